"""Rows of the table `labels`, from what was found of new episodes and what older labels hold."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.label_config import LabelConfig
from schemas.tables import SCHEMAS
from tasks.label.block import Bools, Floats, Ints
from tasks.label.composite import total_of
from tasks.label.cost import MEASURES, costs
from tasks.label.credit import Acts
from tasks.label.evidence import Pieces, lists
from tasks.label.fresh import Fresh
from tasks.label.hearing import codes
from tasks.label.modelled import DECIDED
from tasks.label.past import acts_of
from tasks.label.process import returns_to_go
from tasks.label.risk.rules import Rules
from tasks.label.tally import column, numbers, truths
from tasks.label.verdicts import STATES, Verdicts

SCHEMA = SCHEMAS["labels"]


class Terms(NamedTuple):
    """What verdicts do not change: terms of the reward and steps, one entry an episode or step."""

    about: dict[str, pa.Array]
    """`episode_id`, `day` and `night`."""
    broken: Bools
    """Ended by an infrastructure error, `(episodes,)`."""
    cost: Floats
    risk: Floats
    costs: pa.Array
    """Inputs of the cost, lists of terms, `(episodes,)`."""
    risks: pa.Array
    lengths: Ints
    """Steps of each episode."""
    rewards: Floats
    """Process rewards, `(steps,)`."""
    acts: Acts


def terms_of(fresh: Fresh, rules: Rules, config: LabelConfig) -> Terms:
    """Work out the terms of new episodes."""
    cost, parts = costs(fresh.amounts, codes(fresh.about["scenario_id"]), config.cost)
    risk, weighted = rules.combined(fresh.broken)
    return Terms(
        {name: column(fresh.about, name) for name in ("episode_id", "day", "night")},
        truths(fresh.about, "infrastructure_error"),
        cost,
        risk,
        term_lists(MEASURES, fresh.amounts, parts),
        term_lists(rules.names, np.where(fresh.broken > 0, fresh.broken, np.nan), weighted),
        *fresh.steps,
    )


def kept_terms(labels: pa.Table) -> Terms:
    """Take the terms of older labels as they are."""
    acts, lengths = acts_of(labels)
    return Terms(
        {name: column(labels, name) for name in ("episode_id", "day", "night")},
        truths(labels, "infrastructure_error"),
        numbers(labels, "cost"),
        numbers(labels, "risk"),
        column(labels, "costs"),
        column(labels, "risks"),
        lengths,
        column(labels, "step_rewards").flatten().to_numpy(),
        acts,
    )


def both(fresh: Terms | None, older: Terms) -> Terms:
    """Put the terms of new episodes before those of older ones."""
    if fresh is None:
        return older
    if not len(older.broken):
        return fresh
    parts: list[Any] = []
    for one, other in zip(fresh, older, strict=True):
        if isinstance(one, dict):
            parts.append({name: pa.concat_arrays([one[name], other[name]]) for name in one})
        elif isinstance(one, Acts):
            parts.append(Acts(*(np.concatenate(pair) for pair in zip(one, other, strict=True))))
        elif isinstance(one, pa.Array):
            parts.append(pa.concat_arrays([one, other]))
        else:
            parts.append(np.concatenate([one, other]))
    return Terms(*parts)


def returns_under(terms: Terms, success: Floats, config: LabelConfig) -> tuple[Floats, Floats]:
    """Give each episode's composite reward, NaN where unlabelled, and its steps' returns."""
    total = total_of(success, terms.cost, terms.risk, config)
    returns = returns_to_go(terms.rewards, terms.lengths, np.nan_to_num(total), config.discount)
    return total, returns


class Judged(NamedTuple):
    """What the evidence came to."""

    found: Pieces
    """Evidence, in the order of the episodes."""
    weight: Floats
    """What each piece weighs in its episode's verdict, log-odds, `(pieces,)`."""
    outcome: Floats
    """Verified outcome, NaN where there is none, `(episodes,)`."""
    verdicts: Verdicts
    prior: float
    """Log-odds of success before evidence."""
    predicted: Floats
    """Success probability of verified episodes without their outcome, else NaN, `(episodes,)`."""
    total: Floats
    returns: Floats
    """Of the steps, `(steps,)`."""


def label_rows(terms: Terms, judged: Judged, about: dict[str, pa.Array]) -> pa.Table:
    """Make rows of `labels`.

    Args:
        terms: What verdicts do not change.
        judged: The verdicts and what they rest on.
        about: `label_version`, `labelled_at` and `revision`.
    """
    made, rows = judged.verdicts, len(judged.total)
    tiers = pa.array([name or None for name in DECIDED])
    columns = about | terms.about | {
        "state": pa.array(STATES).take(pa.array(made.state)),
        "success": maybe(made.success),
        "confidence": pa.array(made.confidence),
        "decided_by": tiers.take(pa.array(made.decided_by)),
        "prior": pa.repeat(pa.scalar(judged.prior), rows),
        "silence": pa.array(made.silence),
        "predicted": maybe(judged.predicted),
        "cost": pa.array(terms.cost),
        "risk": pa.array(terms.risk),
        "total": maybe(judged.total),
        "infrastructure_error": pa.array(terms.broken),
        "evidence": lists(judged.found, judged.weight, rows),
        "costs": terms.costs,
        "risks": terms.risks,
        "step_rewards": folded(terms.rewards, terms.lengths, "step_rewards"),
        "step_returns": folded(judged.returns, terms.lengths, "step_returns"),
        "step_states": folded(terms.acts.state, terms.lengths, "step_states"),
        "step_actions": folded(terms.acts.action, terms.lengths, "step_actions"),
    }  # fmt: skip
    arrays = [columns[field.name].cast(field.type) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def term_lists(names: tuple[str, ...], amount: Floats, part: Floats) -> pa.Array:
    """Fold inputs of a term into lists; those without an amount are left out."""
    known = ~np.isnan(amount) & ~np.isnan(part)
    fields = list(SCHEMA.field("costs").type.value_type)
    flat = {
        "name": pa.array(names, pa.string()).take(pa.array(np.nonzero(known)[1])),
        "amount": pa.array(amount[known]),
        "part": pa.array(part[known]),
    }
    structs = pa.StructArray.from_arrays([flat[field.name] for field in fields], fields=fields)
    offsets = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), structs, type=SCHEMA.field("costs").type
    )


def folded(values: Floats | Ints, lengths: Ints, name: str) -> pa.Array:
    """Fold values of steps into one list an episode."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    kind = SCHEMA.field(name).type
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.array(values, kind.value_type), type=kind
    )


def maybe(values: Floats) -> pa.Array:
    """Turn NaN into null."""
    return pa.array(values, mask=np.isnan(values))
