"""Parquet files of a table, written before a commit names them: a file no commit names is none."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.transaction import AddAction, RemoveAction
from pyarrow import parquet

from warehouse.log import statistics

LEVEL = 1
"""Of zstd: a third less CPU than 3 for a quarter more bytes; compaction writes them tighter."""
REPEATED = frozenset(
    {"format", "model", "policy_version", "agent", "night", "source", "source_file", "tools"}
    | {"termination", "file", "kind", "origin", "role", "name", "build", "use"}
)
"""Columns with few values each; a dictionary of the others would cost and save nothing."""


def write_files(
    folder: Path, rows: pa.Table, partitions: Sequence[str]
) -> list[AddAction | RemoveAction]:
    """Write rows as one file for each combination of partition values.

    Args:
        folder: The table's.
        rows: What to write.
        partitions: Partition columns, texts; they are in the paths and not in the files.

    Returns:
        What a commit says of the files.
    """
    actions: list[AddAction | RemoveAction] = []
    for values, part in by_partition(rows, partitions):
        path = "/".join([*(f"{k}={v}" for k, v in values.items()), f"part-{uuid.uuid4()}.parquet"])
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        names = leaves(part.schema)
        parquet.write_table(
            part,
            target,
            compression="zstd",
            compression_level=LEVEL,
            use_dictionary=[name for name in names if repeats(name) or lone(part, name)],
            write_statistics=[name for name in names if "." not in name],
        )
        size, now = target.stat().st_size, int(time.time() * 1000)
        stats = json.dumps(statistics(part))
        actions.append(AddAction(path, size, values, now, data_change=True, stats=stats))
    return actions


def by_partition(
    rows: pa.Table, partitions: Sequence[str]
) -> list[tuple[dict[str, str | None], pa.Table]]:
    """Cut rows by their partition values, which the parts then lack."""
    if not partitions:
        return [({}, rows)]
    found = rows.select(list(partitions)).group_by(list(partitions)).aggregate([]).to_pylist()
    rest = rows.drop_columns(list(partitions))
    if len(found) == 1:
        return [(found[0], rest)]
    parts = []
    for values in found:
        mask = None
        for column, value in values.items():
            hit = pc.equal(rows[column], value)
            mask = hit if mask is None else pc.and_(mask, hit)
        parts.append((values, rest.filter(mask)))
    return parts


def leaves(schema: pa.Schema) -> list[str]:
    """Name the columns as Parquet does: a struct's fields and a list's elements apart."""
    names: list[str] = []

    def walk(field: pa.Field, path: str) -> None:
        kind = field.type
        if pa.types.is_struct(kind):
            for inner in kind:
                walk(inner, f"{path}.{inner.name}")
        elif pa.types.is_list(kind):
            walk(kind.value_field, f"{path}.list.element")
        else:
            names.append(path)

    for field in schema:
        walk(field, field.name)
    return names


def lone(rows: pa.Table, path: str) -> bool:
    """Say whether a column of texts has nulls and one value only.

    Where such a column has no dictionary, DuckDB 2.0 takes it for that value throughout: asked for
    the nulls it gives every row.
    """
    place = rows.schema.get_field_index(path)
    if place < 0 or not pa.types.is_string(rows.schema.field(place).type):
        return False
    column = rows.column(place)
    if column.null_count in (0, len(column)):
        return False
    ends = pc.min_max(column).as_py()
    return bool(ends["min"] == ends["max"])


def repeats(path: str) -> bool:
    """Say whether a column has few values."""
    return path.rsplit(".", 1)[-1] in REPEATED
