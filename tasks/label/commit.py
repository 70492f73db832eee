"""Write what a run of the label stage came to: step values, labels, and where all labels stand.

The row of `labellings` is written last. A run that is killed before it leaves labels that the next
run finds, and counts anew (`tasks.label.standing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.label_config import LabelConfig
from schemas.tables import SCHEMAS
from tasks.label.block import Floats, Ints
from tasks.label.credit import Acts, visits
from tasks.label.found import Found
from tasks.label.past import acts_of, returns_of
from tasks.label.rows import Terms
from tasks.label.signals import Kind
from tasks.label.standing import Standing, table_of
from tasks.label.tally import Totals, totals_of
from tasks.label.weighing import Weighed
from warehouse.replacement import replace_all
from warehouse.tables import Warehouse

MOST_FILES = 32
"""Files of step values from which they are summed up into one."""


class OvertakenError(Exception):
    """Another run has labelled since this one read the tables."""


class Run(NamedTuple):
    """Which run it is."""

    night: str
    now: datetime
    label_version: str
    config: LabelConfig
    kinds: tuple[Kind, ...]


def commit(
    warehouse: Warehouse,
    run: Run,
    before: Mapping[str, int],
    standing: Standing,
    found: Found,
    weighed: Weighed,
    rows: pa.Table,
    values: pa.Table,
    tripped: tuple[list[Any], Mapping[str, float]],
    waiting: list[dict[str, Any]],
    until: int | None = None,
) -> dict[str, Any]:
    """Append labels, step values and the run's row of `labellings`.

    Args:
        warehouse: The tables.
        run: Which run it is.
        before: Versions of the tables when they were read.
        standing: Where the last run left off.
        found: What there was to label.
        weighed: What it came to.
        rows: Rows of `labels`.
        values: Rows of `step_values`.
        tripped: Tripwires touched, and the means to keep.
        waiting: Files that hold signals whose episode has not come.
        until: Version of `episodes` that the run has read to the end; None is what `before` says.

    Returns:
        The row of `labellings`.

    Raises:
        OvertakenError: Another run has labelled in the meantime; nothing was written.
    """
    points = points_after(warehouse, standing, values, run.config)
    with warehouse.turn():
        for table in ("labels", "step_values", "labellings"):
            if warehouse.version(table) != before.get(table, -1):
                raise OvertakenError
        row = {
            "label_version": run.label_version,
            "night": run.night,
            "labelled_at": run.now,
            "number": standing.number,
            "labelled": rows.num_rows,
            "episodes_version": before["episodes"] if until is None else until,
            "signals_version": before.get("signals", -1),
            "step_values_version": add(warehouse, values),
            "labels_version": warehouse.append("labels", rows),
            "totals": table_of(totals_after(standing, found, rows)),
            "decision_points": points[0],
            "decision_points_with_support": points[1],
            "means": [{"name": k, "night": "", "value": v} for k, v in tripped[1].items()],
            "tripwires": tripped[0],
            "waiting": waiting,
            **learnt(weighed, run.kinds),
        }
        warehouse.append("labellings", pa.Table.from_pylist([row], SCHEMAS["labellings"]))
    return row


def add(warehouse: Warehouse, values: pa.Table) -> int:
    """Add step values, and now and then put sums in the place of all that were added one by one.

    So a night reads neither more files nor more rows of a state the longer the history is.
    """
    there = warehouse.files("step_values") if warehouse.exists("step_values") else []
    if len(there) < MOST_FILES:
        return warehouse.append("step_values", values)
    sums = warehouse.sql("step_sums", sign=1)
    named = sums.select(values.schema.names).cast(values.schema)
    return replace_all(warehouse, "step_values", pa.concat_tables([named, values]))


def learnt(weighed: Weighed, kinds: tuple[Kind, ...]) -> dict[str, Any]:
    """Write what was learnt as `labellings` keeps it."""
    counts, weights = weighed.counts, weighed.weights
    return {
        "successes": float(counts.totals[1]),
        "failures": float(counts.totals[0]),
        "prior": weights.prior,
        "kinds": [
            {
                "kind": kind.name,
                "failures": float(counts.failures[i]),
                "successes": float(counts.successes[i]),
                "weight": float(weights.log_odds[i]),
                "default": kind.log_odds,
            }
            for i, kind in enumerate(kinds)
        ],
        "calibration": [
            {"n": round(n), "predicted": predicted, "observed": observed}
            for n, predicted, observed in weighed.bins.tolist()
        ],
    }


def totals_after(standing: Standing, found: Found, rows: pa.Table) -> Totals:
    """Add the new labels to what there was, and take back those they take the place of."""
    totals: Totals = standing.totals.copy()
    totals.update(totals_of(rows))
    totals.subtract(totals_of(found.older))
    totals.subtract(totals_of(found.gone))
    return totals


def step_values(
    warehouse: Warehouse,
    standing: Standing,
    found: Found,
    terms: Terms,
    weighed: Weighed,
    everything: bool,
) -> pa.Table:
    """Give the rows of `step_values` that a run adds, those that take back old ones included."""
    unlabelled = np.isnan(weighed.judged.total)
    parts = [summed(terms.acts, blank(weighed.judged.returns, unlabelled, terms.lengths), 1)]
    old = (found.older, found.gone)
    parts += [summed(acts_of(labels)[0], returns_of(labels), -1) for labels in old]
    if everything:
        parts.append(warehouse.sql("step_sums", sign=-1))
    elif not standing.whole:
        parts.append(warehouse.sql("step_values_mended"))
    schema = SCHEMAS["step_values"]
    return pa.concat_tables([part.select(schema.names).cast(schema) for part in parts])


def summed(acts: Acts, returns: Floats, sign: int) -> pa.Table:
    """Sum the returns of acts; those of unlabelled episodes, which are NaN, are left out."""
    known = np.flatnonzero(~np.isnan(returns))
    return visits(acts.state[known], acts.action[known], acts.depth[known], returns[known], sign)


def blank(returns: Floats, unlabelled: np.ndarray, lengths: Ints) -> Floats:
    """Give NaN for the steps of unlabelled episodes."""
    return np.where(np.repeat(unlabelled, lengths), np.nan, returns)


def points_after(
    warehouse: Warehouse, standing: Standing, values: pa.Table, config: LabelConfig
) -> tuple[int, int]:
    """Count decision points when a run's step values are added."""
    [change] = warehouse.sql(
        "state_changes",
        relations={"fresh": values},
        gap=config.decision_gap,
        support=config.decision_support,
    ).to_pylist()
    return (
        standing.points[0] + change["decision_points"],
        standing.points[1] + change["decision_points_with_support"],
    )
