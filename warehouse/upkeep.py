"""Upkeep of a table's files: small ones merged, and those that no pinned version needs removed.

Only for who holds the home alone (`warehouse.occupancy.alone`): a reader or writer beside it would
find files gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable, WriterProperties
from deltalake.exceptions import DeltaError

from warehouse.log import properties_of
from warehouse.tables import Warehouse

TARGET_BYTES = 128 * 1024 * 1024
"""Size to which small files are merged, bytes; larger ones stay as they are."""

TIGHT = WriterProperties(compression="ZSTD", compression_level=3, max_row_group_size=8192)
"""How files are written again: smaller than ingest in its hurry writes them, and in groups of rows
few enough that a reader or writer of long conversations holds little of them at once."""


class Size(NamedTuple):
    """What a table takes."""

    files: int
    """Parquet files of the current version."""
    bytes: int
    """Bytes of all Parquet files on disk, those of old versions included."""


def size_of(warehouse: Warehouse, table: str) -> Size:
    """Measure a table."""
    folder = Path(warehouse.location(table))
    on_disk = sum(path.stat().st_size for path in parquet_files(folder))
    return Size(len(warehouse.files(table)), on_disk)


def parquet_files(folder: Path) -> list[Path]:
    """List the data files below a table's folder, also those that no version names."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "_delta_log")
        found += [Path(parent, name) for name in sorted(names) if ".parquet" in name]
    return found


def keep_log(warehouse: Warehouse, table: str) -> None:
    """Give a table that an older release made the properties that tables have now."""
    handle = DeltaTable(warehouse.location(table))
    known = handle.metadata().configuration
    wanted = properties_of(pa.schema(handle.schema().to_arrow()))
    missing = {name: value for name, value in wanted.items() if known.get(name) != value}
    if missing:
        handle.alter.set_table_properties(missing)


def merge_files(warehouse: Warehouse, table: str) -> None:
    """Merge small files into larger ones in one commit; rows and older versions stay as they are.

    One partition at a time: a merged file is held in memory while it is written.
    """
    DeltaTable(warehouse.location(table)).optimize.compact(
        target_size=TARGET_BYTES,
        max_concurrent_tasks=1,
        writer_properties=TIGHT,
    )


def readable(warehouse: Warehouse, table: str, versions: Iterable[int]) -> list[int]:
    """Choose the versions that the log still leads to and whose files are all there."""
    found = []
    for version in sorted(set(versions)):
        try:
            files = warehouse.files(table, version)
        except DeltaError:
            continue
        if all(Path(file).is_file() for file in files):
            found.append(version)
    return found


def vacuum(warehouse: Warehouse, table: str, keep: list[int]) -> int:
    """Remove the files that neither the current version nor a kept one needs.

    Args:
        warehouse: Tables of the home.
        table: A table that has been written.
        keep: Older versions that stay readable; the log must lead to each.

    Returns:
        How many files went, those that a killed writer left included.
    """
    folder = Path(warehouse.location(table))
    handle = DeltaTable(str(folder))

    def remove(*, dry_run: bool) -> list[str]:
        return handle.vacuum(
            retention_hours=0,
            enforce_retention_duration=False,
            dry_run=dry_run,
            full=True,
            keep_versions=keep,
        )

    # Delta names files that went long ago too; where nothing is left to go, no version is made.
    if not any((folder / unquote(path)).exists() for path in remove(dry_run=True)):
        return 0
    before = set(parquet_files(folder))
    remove(dry_run=False)
    return len(before - set(parquet_files(folder)))
