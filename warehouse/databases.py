"""Small DuckDB database files that an environment plays on."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pyarrow as pa


def write_database(path: Path, tables: dict[str, pa.Table]) -> None:
    """Write tables into a new DuckDB file, whole or not at all.

    Args:
        path: The file; replaced if it exists.
        tables: Rows by table name; names are trusted identifiers of the environment's own.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with duckdb.connect(str(unfinished)) as connection:
        for name, rows in tables.items():
            connection.register("incoming", rows)
            connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM incoming')  # noqa: S608 - trusted names
            connection.unregister("incoming")
    unfinished.replace(path)
