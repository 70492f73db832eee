"""Replacement of rows in one commit: readers see the old ones or the new ones, a kill leaves one.

The old rows stay in the files of older versions until these are compacted away.
"""

from __future__ import annotations

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from schemas.tables import SCHEMAS
from warehouse.catalog import literal
from warehouse.tables import Warehouse
from warehouse.upkeep import TIGHT


def replace_rows(warehouse: Warehouse, table: str, key: str, value: str, rows: pa.Table) -> None:
    """Put rows in the place of all rows of a table that have a value. Call it in a `turn()`.

    Args:
        warehouse: The tables.
        table: A table that has been written.
        key: A column.
        value: What it holds in the rows that go, and in those that come.
        rows: What comes; may be none.
    """
    write_deltalake(
        DeltaTable(warehouse.location(table)),
        rows.cast(SCHEMAS[table]),
        mode="overwrite",
        predicate=f"{key} = {literal(value)}",
        writer_properties=TIGHT,
    )


def replace_all(warehouse: Warehouse, table: str, rows: pa.Table) -> int:
    """Put rows in the place of all rows of a table. Call it in a `turn()`.

    Returns:
        The table's version afterwards.
    """
    write_deltalake(
        DeltaTable(warehouse.location(table)),
        rows.cast(SCHEMAS[table]),
        mode="overwrite",
        writer_properties=TIGHT,
    )
    return warehouse.version(table)
