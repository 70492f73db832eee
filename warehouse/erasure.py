"""Erasure of rows: out of the current version, out of the files on disk, and out of the log.

A Delta log tells more than names of files: each entry may hold a file's smallest and largest
values, which are people's words. So the log is cut where the rows first came in, and what is kept
of it loses those values. Only for who holds the home alone (`warehouse.occupancy.alone`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from schemas.tables import PARTITIONS
from warehouse.catalog import WHOLE, literal
from warehouse.log import tells_values
from warehouse.tables import Warehouse
from warehouse.upkeep import TIGHT, keep_log

AT_ONCE = 5000
"""Values of one delete statement."""
NO_HIVE = "hive_partitioning=false"


class Rows(NamedTuple):
    """Rows of one table, told by a key."""

    table: str
    keys: tuple[str, ...]
    """Columns, or expressions over columns that DuckDB and Delta both know. One match is enough."""
    values: Sequence[str]


def first_version(warehouse: Warehouse, rows: Rows) -> int | None:
    """Find the first version whose files hold any of the rows, of those that the log leads to.

    Returns:
        None when no file that the log names holds any; 0 when a file does of which the log does
        not say when it came.
    """
    if not rows.values or not warehouse.exists(rows.table):
        return None
    named = _first_named(warehouse, rows.table)
    current = {str(Path(path).resolve()) for path in warehouse.files(rows.table)}
    files = [path for path in sorted(current | set(named)) if Path(path).is_file()]
    holding = _files_holding(files, rows)
    return min((named.get(file, 0) for file in holding), default=None)


def count_rows(warehouse: Warehouse, rows: Rows) -> int:
    """Count the rows in the table's current version."""
    # Names and keys are our own.
    text = f'SELECT count(*) AS rows FROM "{_view(rows)}" WHERE {_tests(rows)}'  # noqa: S608
    found = warehouse.catalog(only=[rows.table]).query(text, relations={"wanted": _wanted(rows)})
    return int(found["rows"][0].as_py())


def delete_rows(warehouse: Warehouse, rows: Rows) -> int:
    """Delete rows from a table's current version; gives how many went.

    Partition by partition: Delta holds much of what it writes again in memory.
    """
    deleted = 0
    for where in _partitions_holding(warehouse, rows):
        for start in range(0, len(rows.values), AT_ONCE):
            listed = ", ".join(literal(value) for value in rows.values[start : start + AT_ONCE])
            condition = " OR ".join(f"{key} IN ({listed})" for key in rows.keys)
            done = DeltaTable(warehouse.location(rows.table)).delete(
                " AND ".join([*where, f"({condition})"]), writer_properties=TIGHT
            )
            deleted += int(done["num_deleted_rows"])
    return deleted


def cut_log(warehouse: Warehouse, table: str, first: int) -> None:
    """Let the log of a table begin anew, without the versions from `first` up to the current one.

    What writers have done (their application transactions) stays, and so do older versions, save
    those that only a checkpoint with values in it leads to.
    """
    keep_log(warehouse, table)
    handle = DeltaTable(warehouse.location(table))
    handle.create_checkpoint()
    entries = _log_files(Path(warehouse.location(table)) / "_delta_log")
    commits = {version for version, path in entries if path.suffix == ".json"}
    run = next(version for version in count() if version not in commits)
    telling = {
        path
        for version, path in entries
        if version < first and path.suffix == ".parquet" and _tells_values(path)
    }
    # A checkpoint is only dispensable where every commit before it is still there.
    lost = range(run, first) if any(v >= run for v, path in entries if path in telling) else ()
    for version, path in entries:
        if path in telling or version in lost or first <= version < handle.version():
            path.unlink()
        elif path.suffix == ".json":
            _drop_values(path)


def _wanted(rows: Rows) -> pa.Table:
    """Make a relation of the values that tell the rows."""
    return pa.table({"value": pa.array(rows.values, pa.string())})


def _view(rows: Rows) -> str:
    """Name the view of all rows of a table, also of those that readers do not see."""
    return WHOLE if rows.table == "episodes" else rows.table


def _partitions_holding(warehouse: Warehouse, rows: Rows) -> list[list[str]]:
    """Write the conditions of each partition that holds any of the rows."""
    names = PARTITIONS.get(rows.table, [])
    listed = ", ".join(names) or "true AS whole"
    # Names and keys are our own.
    text = f'SELECT DISTINCT {listed} FROM "{_view(rows)}" WHERE {_tests(rows)}'  # noqa: S608
    found = warehouse.catalog(only=[rows.table]).query(text, relations={"wanted": _wanted(rows)})
    return [
        [
            f"{name} IS NULL" if row[name] is None else f"{name} = {literal(row[name])}"
            for name in names
        ]
        for row in found.to_pylist()
    ]


def _tests(rows: Rows) -> str:
    """Write the condition that tells the rows, over the relation `wanted`."""
    tests = [f"{key} IN (SELECT value FROM wanted)" for key in rows.keys]  # noqa: S608 - our own
    return " OR ".join(tests)


def _log_files(log: Path) -> list[tuple[int, Path]]:
    """List a log's files that belong to a version, oldest first."""
    found = [(path.name.split(".")[0], path) for path in sorted(log.iterdir())]
    return [(int(version), path) for version, path in found if version.isdigit()]


def _first_named(warehouse: Warehouse, table: str) -> dict[str, int]:
    """Map each file that the log says was added to the first version that says so."""
    folder = Path(warehouse.location(table)).resolve()
    found: dict[str, int] = {}
    for version, path in _log_files(folder / "_delta_log"):
        if path.suffix == ".json":
            actions = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
            names = [action["add"]["path"] for action in actions if "add" in action]
        elif path.name.endswith(".checkpoint.parquet"):
            names = _checkpoint_files(path)
        else:
            continue
        for name in names:
            found.setdefault(str(folder / unquote(name)), version)
    return found


def _checkpoint_files(path: Path) -> list[str]:
    """List the files that a checkpoint says belong to the table."""
    with duckdb.connect(":memory:") as connection:
        text = "SELECT add.path FROM read_parquet($path) WHERE add.path IS NOT NULL"
        return [row[0] for row in connection.execute(text, {"path": str(path)}).fetchall()]


def _files_holding(files: list[str], rows: Rows) -> list[str]:
    """Choose the Parquet files that hold any of the rows."""
    if not files:
        return []
    with duckdb.connect(":memory:") as connection:
        connection.register("wanted", _wanted(rows))
        tests = _tests(rows)
        source = f"read_parquet({literal(files)}, filename=true, union_by_name=true, {NO_HIVE})"
        # Keys are our own expressions, files come from Delta.
        text = f"SELECT DISTINCT filename FROM {source} WHERE {tests}"  # noqa: S608
        return [row[0] for row in connection.execute(text).fetchall()]


def _tells_values(checkpoint: Path) -> bool:
    """Say whether a checkpoint holds smallest and largest values of any file, but for nights."""
    with duckdb.connect(":memory:") as connection:
        text = "SELECT DISTINCT add.stats FROM read_parquet($path) WHERE add.stats IS NOT NULL"
        found = connection.execute(text, {"path": str(checkpoint)}).fetchall()
    return any(tells_values(json.loads(stats)) for [stats] in found)


def _drop_values(path: Path) -> None:
    """Write a commit again without its files' values and its condition, where it tells any."""
    old = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    new = [_bare(action) for action in old]
    if new != old:
        partial = path.with_name(f"_{path.name}.part")
        partial.write_text("".join(json.dumps(action) + "\n" for action in new))
        partial.replace(path)


def _bare(action: dict[str, Any]) -> dict[str, Any]:
    """Take the values, and the condition of a delete, out of one action of a commit."""
    bare = copy.deepcopy(action)
    for kind in ("add", "remove"):
        stats = json.loads(bare.get(kind, {}).get("stats") or "{}")
        if tells_values(stats):
            bare[kind]["stats"] = json.dumps({"numRecords": stats.get("numRecords")})
    bare.get("commitInfo", {}).get("operationParameters", {}).pop("predicate", None)
    return bare
