"""What a table's Delta log tells of its files, and what it must not tell.

Builds pin old versions, so the log outlives them. What stands in it `forget` can hardly reach, so
it holds no smallest and largest values of columns, which are people's words and names (Parquet
files have their own, which is what queries use): only of nights, by which a reader chooses files
without opening any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.digest import digest

NIGHT = "night"
"""The column whose smallest and largest value stand in the log."""
PROPERTIES = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.dataSkippingNumIndexedCols": "0",
    "delta.checkpointInterval": "10",
}
"""Of every table. To open one takes 1 ms for each four commits since the last checkpoint, to write
a checkpoint of 250 files 10 ms."""
SUPERSESSION = "flywheel:supersession"
"""Application transaction of the first commit in which an episode took the place of another: the
log says by it whether any ever did, so that nobody has to look into all files."""


def properties_of(schema: pa.Schema) -> dict[str, str]:
    """Give the properties of a table with these columns."""
    nights = {"delta.dataSkippingStatsColumns": NIGHT} if NIGHT in schema.names else {}
    return PROPERTIES | nights


def made_with(schema: pa.Schema) -> str:
    """Say with which columns a table was made, as its description.

    While a release declares the same ones, all files have them; where it declares others, files of
    several shapes may stand side by side.
    """
    return f"columns {digest(str(schema), 16)}, supersession in the log"


def supersedes(rows: pa.Table) -> bool:
    """Say whether any of these rows takes the place of another, or has lost its own."""
    marks = [name for name in ("supersedes", "superseded_by") if name in rows.schema.names]
    return any(rows[name].null_count < len(rows) for name in marks)


def statistics(rows: pa.Table) -> dict[str, Any]:
    """Write what the log says of a file with these rows: how many, and their nights."""
    counted: dict[str, Any] = {"numRecords": len(rows)}
    found = pc.min_max(rows[NIGHT]).as_py() if NIGHT in rows.schema.names else {}
    if found.get("min") is None:
        return counted
    return counted | {
        "minValues": {NIGHT: found["min"]},
        "maxValues": {NIGHT: found["max"]},
        "nullCount": {NIGHT: rows[NIGHT].null_count},
    }


def tells_values(stats: Mapping[str, Any]) -> bool:
    """Say whether statistics of a file tell a value of any column but the night."""
    told = {*(stats.get("minValues") or {}), *(stats.get("maxValues") or {})}
    return bool(told - {NIGHT})


def of_nights(added: pa.Table, nights: Sequence[str]) -> list[str]:
    """List the files that may hold rows of some nights; one of which nothing is known may.

    Args:
        added: What the log says of the files: `get_add_actions(flatten=True)`.
        nights: `YYYY-MM-DD`.

    Returns:
        Their paths, as the log has them.
    """
    unknown = [None] * len(added)
    first, last = (
        added[name].to_pylist() if name in added.schema.names else unknown
        for name in (f"min.{NIGHT}", f"max.{NIGHT}")
    )
    return [
        path
        for path, low, high in zip(added["path"].to_pylist(), first, last, strict=True)
        if low is None or high is None or any(low <= night <= high for night in nights)
    ]
