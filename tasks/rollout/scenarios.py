"""Scenarios of the embedded environment: what can be asked, how, and who may ever see it.

A specification (tenant, kind, measure, filters, window) is the identity of a question. Its salted
hash decides once and for ever whether it is production and training, validation, or frozen, so
the splits are disjoint by specification whatever text a question is dressed in.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from schemas.dataset import Scenario, Split
from tasks.rollout.tenants import AREAS, PRODUCTS, Tenant, table_rows, tenants

WINDOWS = (30, 45, 60, 90)
HELD_OUT_COMPOSITIONS = 0.15
VALIDATION, FROZEN = 0.12, 0.14

KIND_WEIGHTS = {"total": 5, "count": 3, "largest": 2, "top": 3, "share": 3, "compare": 3}


@dataclass(frozen=True)
class Specification:
    """What is asked, without the words."""

    tenant: str
    kind: str
    measure: str
    """`money`, `units` or `rows`."""
    by: str | None = None
    """For `top`: the column that is ranked. For `compare`: the one that is compared."""
    area: str | None = None
    product: str | None = None
    versus: str | None = None
    """For `compare`: the other value."""
    days: int | None = None

    @property
    def text(self) -> str:
        """Give the canonical JSON text, the identity of the question."""
        return json.dumps({k: v for k, v in vars(self).items() if v is not None}, sort_keys=True)

    @property
    def composition(self) -> str:
        """Give the specification without its parameters: which parts it is composed of."""
        filters = [c for c in ("area", "product") if getattr(self, c)]
        parts = [self.tenant, self.kind, self.measure, self.by or "-", "+".join(filters) or "-"]
        return "/".join([*parts, "window" if self.days else "-"])


def _fraction(text: str, salt: str) -> float:
    digest = hashlib.sha256(f"{salt}|{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _unordered(spec: Specification) -> Specification:
    """Ask a comparison always the same way round: A against B and B against A share a split."""
    one = spec.area or spec.product
    if spec.versus is None or one is None or one < spec.versus:
        return spec
    if spec.by == "product":
        return replace(spec, product=spec.versus, versus=one)
    return replace(spec, area=spec.versus, versus=one)


def split_of(spec: Specification, salt: str) -> Split:
    """Say where a specification belongs, for ever.

    Args:
        spec: The specification.
        salt: The split's salt (`build.split_salt`).
    """
    if _fraction(spec.composition, salt + "/composition") < HELD_OUT_COMPOSITIONS:
        return "frozen_compositions"
    place = _fraction(_unordered(spec).text, salt)
    if place < FROZEN:
        return "frozen_params"
    return "validation" if place < FROZEN + VALIDATION else "train"


def _of_tenant(tenant: str) -> list[Specification]:
    specs = []
    filters: list[dict[str, Any]] = [
        *({"area": a} for a in AREAS),
        *({"product": p} for p in PRODUCTS),
        *({"area": a, "product": p} for a, p in itertools.product(AREAS, PRODUCTS)),
    ]
    for where, measure in itertools.product(filters, ("money", "units")):
        specs.append(Specification(tenant, "total", measure, **where))
        specs.append(Specification(tenant, "largest", measure, **where))
        if len(where) == 1:
            specs.append(Specification(tenant, "share", measure, **where))
            specs += [Specification(tenant, "total", measure, days=d, **where) for d in WINDOWS]
    for where in filters:
        specs.append(Specification(tenant, "count", "rows", **where))
        if len(where) == 1:
            specs += [Specification(tenant, "count", "rows", days=d, **where) for d in WINDOWS]
    for measure, days in itertools.product(("money", "units"), (None, *WINDOWS)):
        specs += [
            Specification(tenant, "top", measure, "product", area=a, days=days) for a in AREAS
        ]
        specs += [
            Specification(tenant, "top", measure, "area", product=p, days=days) for p in PRODUCTS
        ]
    for measure in ("money", "units"):
        for one, other in itertools.permutations(AREAS, 2):
            specs.append(Specification(tenant, "compare", measure, "area", one, versus=other))
        for one, other in itertools.permutations(PRODUCTS, 2):
            specs.append(
                Specification(tenant, "compare", measure, "product", product=one, versus=other)
            )
    return specs


def _answerable(specs: list[Specification], tenant: Tenant, seed: int) -> list[Specification]:
    """Keep the questions with one true answer: rows that match, and no tie for the top."""
    rows = table_rows(tenant, seed).to_pydict()
    area = np.array(rows[tenant.area])
    product = np.array(rows[tenant.product])
    values = {"money": np.array(rows[tenant.money]), "units": np.array(rows[tenant.units])}
    age = np.array([(tenant.today - day).days for day in rows[tenant.day]])

    def answerable(spec: Specification) -> bool:
        fits = np.ones(len(age), dtype=bool)
        if spec.area:
            fits &= area == spec.area
        if spec.product:
            fits &= product == spec.product
        if spec.days:
            fits &= age < spec.days
        if spec.kind != "top" or not fits.any():
            return bool(fits.any())
        ranked = (product if spec.by == "product" else area)[fits]
        sums = [values[spec.measure][fits][ranked == one].sum() for one in np.unique(ranked)]
        return sums.count(max(sums)) == 1

    return [s for s in specs if answerable(s)]


@lru_cache(maxsize=4)
def population(seed: int, salt: str) -> dict[Split, dict[str, list[Specification]]]:
    """List every specification there is, by split and composition.

    Args:
        seed: Seed of the tenants.
        salt: The split's salt.
    """
    made: dict[Split, dict[str, list[Specification]]] = {
        "train": {}, "validation": {}, "frozen_params": {}, "frozen_compositions": {},
    }  # fmt: skip
    for tenant in tenants(seed):
        for spec in _answerable(_of_tenant(tenant.name), tenant, seed):
            made[split_of(spec, salt)].setdefault(spec.composition, []).append(spec)
    return made


def question(spec: Specification, tenant: Tenant, rng: np.random.Generator) -> str:
    """Put a specification into a user's words."""
    noun = tenant.noun
    thing = {"money": "revenue", "units": "quantity", "rows": noun}[spec.measure]
    where = "".join(
        [f" in {spec.area}" if spec.area else "", f" for {spec.product}" if spec.product else ""]
    )
    when = f" in the last {spec.days} days" if spec.days else ""
    if spec.kind == "total":
        forms = (
            f"total {thing} of {noun}{where}{when}?",
            f"what is the {thing} of {noun}{where}{when}?",
        )
    elif spec.kind == "count":
        forms = (f"how many {noun}{where}{when}?", f"number of {noun}{where}{when}?")
    elif spec.kind == "largest":
        forms = (
            f"largest {thing} of {noun}{where}?",
            f"what is the highest {thing} of {noun}{where}?",
        )
    elif spec.kind == "top":
        forms = (
            f"which {spec.by} has the most {thing} of {noun}{where}{when}?",
            f"top {spec.by} by {thing} of {noun}{where}{when}?",
        )
    elif spec.kind == "share":
        forms = (
            f"percent of {thing} of {noun} that is{where}?",
            f"what percent of {thing} of {noun} is{where}?",
        )
    else:
        word = "in" if spec.by == "area" else "for"
        one = spec.area or spec.product
        forms = (
            f"how much more {thing} of {noun} {word} {one} than {word} {spec.versus}?",
            f"difference of {thing} of {noun} {word} {one} and {word} {spec.versus}?",
        )
    return forms[int(rng.integers(len(forms)))]


def aggregate(measure: str, tenant: Tenant, function: str = "SUM") -> str:
    """Write the aggregate that a measure stands for."""
    if measure == "rows":
        return "COUNT(*)"
    return f"{function}({tenant.money if measure == 'money' else tenant.units})"


def where_clause(
    tenant: Tenant, area: str | None, product: str | None, since: str | None = None
) -> str:
    """Write the filter, or nothing."""
    parts = [f"{tenant.area} = '{area}'"] if area else []
    parts += [f"{tenant.product} = '{product}'"] if product else []
    parts += [f"{tenant.day} > {since}"] if since else []
    return " WHERE " + " AND ".join(parts) if parts else ""


def gold_sql(spec: Specification, tenant: Tenant) -> str:
    """Write the one query whose result is the true answer."""
    since = f"DATE '{tenant.today}' - {spec.days}" if spec.days else None
    value = aggregate(spec.measure, tenant, "MAX" if spec.kind == "largest" else "SUM")
    table = tenant.table
    if spec.kind == "top":
        column = tenant.product if spec.by == "product" else tenant.area
        where = where_clause(tenant, spec.area, spec.product, since)
        return (
            f"SELECT {column} FROM {table}{where} GROUP BY {column} ORDER BY {value} DESC LIMIT 1"
        )
    if spec.kind == "share":
        part = where_clause(tenant, spec.area, spec.product)
        return (
            f"SELECT ROUND(100.0 * (SELECT {value} FROM {table}{part})"
            f" / (SELECT {value} FROM {table}), 1)"
        )
    if spec.kind == "compare":
        other = {"area": (spec.versus, None), "product": (None, spec.versus)}[spec.by or "area"]
        one = where_clause(tenant, spec.area, spec.product)
        two = where_clause(tenant, *other)
        return f"SELECT (SELECT {value} FROM {table}{one}) - (SELECT {value} FROM {table}{two})"
    return f"SELECT {value} FROM {table}{where_clause(tenant, spec.area, spec.product, since)}"


def scenario(spec: Specification, tenant: Tenant, split: Split, wording_seed: int) -> Scenario:
    """Make the playable scenario of a specification."""
    digest = hashlib.sha256(spec.text.encode()).hexdigest()[:16]
    rng = np.random.default_rng([wording_seed, int(digest[:8], 16)])
    asked = question(spec, tenant, rng)
    row = {"question": asked, "tenant": tenant.name, "gold_sql": gold_sql(spec, tenant)}
    return Scenario(
        scenario_id=digest, split=split, slice=spec.kind, specification=spec.text,
        composition=spec.composition, question=asked, environment="sql_agent",
        row=json.dumps(row, sort_keys=True),
    )  # fmt: skip


def draw(seed: int, salt: str, split: Split, count: int, draw_seed: int) -> list[Scenario]:
    """Draw scenarios of one split: by kind, then composition, then parameters.

    Args:
        seed: Seed of the tenants.
        salt: The split's salt.
        split: Which split.
        count: How many; production may ask the same thing twice, held-out sets never do, and
            give fewer where there are no more.
        draw_seed: Seed of the draw.
    """
    rng = np.random.default_rng([seed, draw_seed])
    by_name = {t.name: t for t in tenants(seed)}
    of_kind: dict[str, list[list[Specification]]] = {}
    for specs in population(seed, salt)[split].values():
        of_kind.setdefault(specs[0].kind, []).append(specs)
    weights = np.array([KIND_WEIGHTS[k] for k in of_kind], dtype=float)
    kinds = rng.choice(list(of_kind), 20 * count, p=weights / weights.sum())
    made: list[Scenario] = []
    seen: set[str] = set()
    for kind in kinds:
        if len(made) == count:
            break
        options = of_kind[str(kind)]
        specs = options[int(rng.integers(len(options)))]
        spec = specs[int(rng.integers(len(specs)))]
        if split != "train" and spec.text in seen:
            continue
        seen.add(spec.text)
        wording = draw_seed if split == "train" else 0
        made.append(scenario(spec, by_name[spec.tenant], split, wording))
    return made
