"""Where the last run of the label stage left off: what it had learnt, and where labels stood.

The newest row of `labellings` says it. Where the tables have changed otherwise since (rows
forgotten, files merged, a run killed between two commits), all is counted anew from the labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tasks.label.block import Floats
from tasks.label.calibration import BINS
from tasks.label.signals import Kind
from tasks.label.tally import Totals, told
from tasks.label.weights import Counts
from warehouse.tables import Warehouse

BATCH = 65_536
"""Labels counted at once."""


class Standing(NamedTuple):
    """What a run goes on from."""

    number: int
    """Runs so far."""
    versions: Mapping[str, int]
    """Versions of tables up to which all has been read; -1 for nothing."""
    counts: Counts
    bins: Floats
    """Calibration, `(10, 3)`."""
    totals: Totals
    points: tuple[int, int]
    """Decision points, and those with support."""
    means: Mapping[str, float]
    """Of earlier nights, for tripwires."""
    whole: bool
    """False where labels have changed otherwise, and all was counted anew."""
    waiting: Sequence[Mapping[str, Any]] = ()
    """Files of `signals` that hold signals whose episode had not come."""
    last: Mapping[str, Any] | None = None
    """The last run's row of `labellings`."""


def beginning(kinds: Sequence[Kind], number: int = 0) -> Standing:
    """Give where the first run begins."""
    return Standing(
        number,
        {"episodes": -1, "signals": -1},
        Counts.none(len(kinds)),
        np.zeros((BINS, 3)),
        Counter(),
        (0, 0),
        {},
        True,
    )


def anew(warehouse: Warehouse, kinds: Sequence[Kind], gap: float, support: int) -> Standing:
    """Give where a run begins that labels everything anew; step values it takes back by itself."""
    rows = warehouse.sql("SELECT max(number) AS number FROM labellings").to_pylist()
    number = -1 if rows[0]["number"] is None else rows[0]["number"]
    return beginning(kinds, number + 1)._replace(points=points_of(warehouse, gap, support))


def standing_of(
    warehouse: Warehouse, kinds: Sequence[Kind], gap: float, support: int, version: str
) -> Standing:
    """Read where the last run left off.

    Args:
        warehouse: The tables.
        kinds: The kinds of evidence; counts of others are left out.
        gap: `label.decision_gap`, for counting anew.
        support: `label.decision_support`.
        version: Label version of this run; decision points of another one are counted anew.
    """
    newest = {"labellings": warehouse.newest("labellings")}  # one row a file, until merged
    rows = warehouse.sql("last_labelling", files=newest).to_pylist()
    if not rows and not warehouse.exists("labels"):
        return beginning(kinds)
    row = rows[0] if rows else None
    whole = row is not None and all(
        row[f"{table}_version"] == warehouse.version(table) for table in ("labels", "step_values")
    )
    by_name = {count["kind"]: count for count in row["kinds"]} if row else {}
    # A kind that is new here may be one of old: labels tell.
    if row is None or not whole or not all(kind.name in by_name for kind in kinds):
        return counted_anew(warehouse, kinds, row, gap, support)
    points = (row["decision_points"], row["decision_points_with_support"])
    if row["label_version"] != version:
        points = points_of(warehouse, gap, support)

    def shown(side: str) -> Floats:
        return np.array([by_name[k.name][side] if k.name in by_name else 0.0 for k in kinds])

    return Standing(
        row["number"] + 1,
        {"episodes": row["episodes_version"], "signals": row["signals_version"]},
        Counts(
            shown("failures"), shown("successes"), np.array([row["failures"], row["successes"]])
        ),
        np.array([[b["n"], b["predicted"], b["observed"]] for b in row["calibration"]]),
        Counter({(t["night"], t["name"]): t["value"] for t in row["totals"]}),
        points,
        {mean["name"]: mean["value"] for mean in row["means"]},
        True,
        row["waiting"],
        row,
    )


def counted_anew(
    warehouse: Warehouse, kinds: Sequence[Kind], row: Mapping[str, object] | None,
    gap: float, support: int,
) -> Standing:  # fmt: skip
    """Count what all labels say; only what was read to the end is taken from the last run."""
    start = beginning(kinds)
    counts, bins, totals = start.counts, start.bins, Counter[tuple[str, str]]()
    for batch in warehouse.batches("labels_told", BATCH):
        if batch.num_rows:
            said = told(pa.Table.from_batches([batch]), kinds)
            counts, bins = counts + said.counts, bins + said.bins
            totals.update(said.totals)
    known = row or {
        "number": -1,
        "episodes_version": -1,
        "signals_version": -1,
        "means": [],
        "waiting": [],
    }
    return Standing(
        int(known["number"]) + 1,  # type: ignore[call-overload]
        {"episodes": known["episodes_version"], "signals": known["signals_version"]},  # type: ignore[dict-item]
        counts,
        bins,
        totals,
        points_of(warehouse, gap, support),
        {mean["name"]: mean["value"] for mean in known["means"]},  # type: ignore[attr-defined]
        False,
        known["waiting"],  # type: ignore[arg-type]
    )


def points_of(warehouse: Warehouse, gap: float, support: int) -> tuple[int, int]:
    """Count decision points, and those with support, over all step values."""
    [points] = warehouse.sql("state_decision_points", gap=gap, support=support).to_pylist()
    return points["decision_points"], points["decision_points_with_support"]


def table_of(totals: Totals) -> list[dict[str, object]]:
    """Write totals as the table `labellings` keeps them."""
    return [
        {"name": name, "night": night, "value": float(value)}
        for (night, name), value in sorted(totals.items())
        if value
    ]
