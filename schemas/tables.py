"""Arrow schemas of every table, derived from the record structs: one declaration of a column.

A table's grain and meaning stand in its struct; here are only its name, partition columns and
the translation of Python types to Arrow types.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pyarrow as pa

from schemas.dataset import HeldOut, LoggedScenario, Pair, SplitRow, Trajectory
from schemas.episode import Episode
from schemas.label import Label
from schemas.labelling import Labelling
from schemas.release import Attempt, Decision
from schemas.signal import Signal
from schemas.sketch import Sketch
from schemas.source import Quarantined, Source
from schemas.step_value import StepValue

RECORDS: dict[str, type[msgspec.Struct]] = {
    "episodes": Episode,
    "signals": Signal,
    "quarantine": Quarantined,
    "sources": Source,
    "sketches": Sketch,
    "labels": Label,
    "step_values": StepValue,
    "labellings": Labelling,
    "split_keys": SplitRow,
    "scenarios": LoggedScenario,
    "held_out": HeldOut,
    "trajectories": Trajectory,
    "pairs": Pair,
    "evaluations": Attempt,
    "decisions": Decision,
}
"""Table name to the struct of one row.

`scenarios` are those of logs; those of an environment come from its seeded generator, which gives
the same ones again.
"""

PARTITIONS: dict[str, list[str]] = {
    "episodes": ["day"],
    "labels": ["day"],
    "trajectories": ["build", "use"],
    "pairs": ["build"],
    "scenarios": ["build"],
    "held_out": ["build"],
}
"""Partition columns of the tables that have any."""

SCALARS: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
    datetime: pa.timestamp("us", tz="UTC"),
}


def arrow_type(hint: Any) -> pa.DataType:
    """Translate a Python annotation to an Arrow type.

    Args:
        hint: A scalar, `list[...]`, `Literal[...]` of strings, a struct, or an optional of these.

    Raises:
        TypeError: The annotation has no Arrow type here, such as a dict.
    """
    origin = get_origin(hint)
    if origin is Literal:
        return pa.string()
    if origin is list:
        return pa.list_(arrow_type(get_args(hint)[0]))
    if origin is Union or origin is types.UnionType:
        [inner] = [part for part in get_args(hint) if part is not type(None)]
        return arrow_type(inner)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return pa.struct(list(struct_schema(hint)))
    if hint in SCALARS:
        return SCALARS[hint]
    raise TypeError(f"no Arrow type for {hint!r}")


def struct_schema(record: type[msgspec.Struct]) -> pa.Schema:
    """Derive the Arrow schema of one record struct; fields keep their order, all are nullable."""
    hints = get_type_hints(record)
    return pa.schema([pa.field(name, arrow_type(hints[name])) for name in record.__struct_fields__])


SCHEMAS: dict[str, pa.Schema] = {name: struct_schema(record) for name, record in RECORDS.items()}
"""Table name to its Arrow schema."""


def arrow_rows(table: str, rows: Sequence[msgspec.Struct]) -> pa.Table:
    """Turn records into an Arrow table with the declared schema of `table`.

    Args:
        table: A key of `RECORDS`.
        rows: Structs of that table's record type.
    """
    schema = SCHEMAS[table]
    return pa.Table.from_arrays([column(rows, field) for field in schema], schema=schema)


def column(rows: Sequence[msgspec.Struct], field: pa.Field) -> pa.Array:
    """Turn one attribute of records into an array."""
    values = [getattr(row, field.name) for row in rows]
    if pa.types.is_nested(field.type):
        values = [plain(value) for value in values]
    return pa.array(values, field.type)


def plain(value: Any) -> Any:
    """Turn structs inside a column value into dicts; scalars pass as they are."""
    if isinstance(value, list | msgspec.Struct):
        return msgspec.to_builtins(value, builtin_types=(datetime, bytes))
    return value
