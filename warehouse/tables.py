"""The warehouse: one Delta table a record kind under the home, written exactly once a transaction.

Delta does not skip a repeated application transaction by itself. So a writer opens one handle,
looks for the transaction on it, and commits through that same handle: a racing writer of the same
transaction gets a conflict, and looking again finds that the work is done.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from schemas.errors import MissingStateError
from schemas.tables import PARTITIONS, SCHEMAS
from warehouse.catalog import WHOLE, Catalog, Relation, named_sql
from warehouse.log import SUPERSESSION, made_with, of_nights, properties_of, supersedes
from warehouse.parquet import write_files

ATTEMPTS = 5
"""Times a commit is tried again after a conflict with another writer."""
VIEWS = {"latest_labels": {"labels", "episodes"}, WHOLE: {"episodes"}}
"""Views besides those of the tables' names, and the tables they need."""


class Warehouse:
    """Tables under one home.

    Args:
        home: Folder of all run-time data; tables are in `<home>/tables/<name>`.
    """

    def __init__(self, home: Path | str) -> None:
        self.home = Path(home)
        self.root = self.home / "tables"
        self._handles: dict[str, DeltaTable] = {}
        self._stamps: dict[str, int] = {}
        """When a table's last checkpoint was written, as of the last look."""
        self._asked: dict[tuple[str, str], int | None] = {}
        """Table and transaction, with the version that lacked it; None where one carries it."""

    def location(self, table: str) -> str:
        """Name the folder of a table."""
        return str(self.root / table)

    def exists(self, table: str) -> bool:
        """Say whether a table has been written."""
        return table in self._handles or DeltaTable.is_deltatable(self.location(table))

    def version(self, table: str) -> int:
        """Give the current version of a table; -1 when it has not been written."""
        return self._open(table).version() if self.exists(table) else -1

    def versions(self) -> dict[str, int]:
        """Give the current version of every table that has been written."""
        return {name: self.version(name) for name in SCHEMAS if self.exists(name)}

    def committed(self, table: str, transactions: Sequence[str]) -> set[str]:
        """Say which application transactions a table already carries."""
        if not self.exists(table):
            return set()
        return self._carried(table, self._open(table), transactions)

    def _carried(self, table: str, handle: DeltaTable, names: Sequence[str]) -> set[str]:
        """Say which transactions a table carries at the version where a handle stands.

        Each is asked once a version: the engine reads the log for every one.
        """
        version = handle.version()
        for name in names:
            if self._asked.get((table, name), -1) not in (None, version):
                there = handle.transaction_version(name) is not None
                self._asked[table, name] = None if there else version
        return {name for name in names if self._asked[table, name] is None}

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the right to look what is there and then write; other processes wait their turn.

        The kernel gives it back when a process is killed.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / ".turn").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def append(
        self, table: str, rows: pa.Table, *, transaction: str | Sequence[str] | None = None
    ) -> int:
        """Append rows in one commit, once for ever if a transaction names it.

        Args:
            table: Table name; created with its declared schema and partitions if need be.
            rows: Rows; columns that the declared schema has and `rows` lacks are null.
            transaction: Name (or names) of what is being done. If the table already carries any
                of them, nothing is written. None appends without a check.

        Returns:
            The table's version afterwards.

        Raises:
            CommitFailedError: Other writers kept winning.
        """
        names = [transaction] if isinstance(transaction, str) else list(transaction or [])
        if rows.num_rows == 0:
            return self.version(table)
        superseding = supersedes(rows)
        partitions = PARTITIONS.get(table, [])
        if not self.exists(table):
            schema = SCHEMAS.get(table, rows.schema)
            DeltaTable.create(
                self.location(table), schema=schema, partition_by=partitions, mode="ignore",
                configuration=properties_of(schema), description=made_with(schema),
            )  # fmt: skip
        for attempt in range(ATTEMPTS):
            handle = self._open(table)
            if self._carried(table, handle, names):
                return handle.version()
            # Writers beside each other would conflict over it: it is written once.
            first = superseding and handle.transaction_version(SUPERSESSION) is None
            noted = [Transaction(name, 1) for name in (*names, *([SUPERSESSION] if first else []))]
            commit = CommitProperties(app_transactions=noted)
            try:
                self._write(handle, rows, handle.metadata().partition_columns, commit)
                handle.update_incremental()
                self._asked |= dict.fromkeys(((table, name) for name in names), None)
                return handle.version()
            except CommitFailedError:
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _write(
        self, handle: DeltaTable, rows: pa.Table, partitions: list[str], commit: CommitProperties
    ) -> None:
        """Write rows and commit them, with the table's columns or with new ones."""
        there = pa.schema(handle.schema().to_arrow())
        if there.equals(rows.schema) and not any(rows[p].null_count for p in partitions):
            # Half the CPU of the engine's own writer, which casts and looks for repetitions.
            handle.create_write_transaction(
                write_files(Path(plain_path(handle.table_uri)), rows, partitions),
                mode="append",
                schema=handle.schema(),
                partition_by=partitions,
                commit_properties=commit,
            )
            return
        write_deltalake(
            handle,
            rows,
            mode="append",
            schema_mode="merge",
            writer_properties=WriterProperties(compression="ZSTD"),
            commit_properties=commit,
        )

    def files(
        self,
        table: str,
        version: int | None = None,
        partition: Mapping[str, str] | None = None,
    ) -> list[str]:
        """List the Parquet files of a table, for readers that take files.

        Args:
            table: Table name.
            version: Delta version; None is the current one.
            partition: Partition columns and the values to keep, such as `{"build": digest}`.

        Raises:
            MissingStateError: The table has not been written.
        """
        if not self.exists(table):
            raise MissingStateError(
                f"table {table!r} is not there yet under {self.root}",
                "Run the stage that writes it (`flywheel status` shows what there is).",
            )
        filters = [(column, "=", value) for column, value in (partition or {}).items()]
        uris = self._open(table, version).file_uris(file_pruning_predicate=filters or None)
        return sorted(plain_path(uri) for uri in uris)

    def files_since(self, table: str, version: int) -> list[str]:
        """List the files that a table has now and did not have at a version.

        They hold every row that came in since; rows that stood in a file written anew by
        `compact` or `forget` stand in them too. A version that is gone counts as none.

        Args:
            table: Table name; one that has not been written has no files.
            version: Delta version; -1 is before the first.
        """
        if not self.exists(table):
            return []
        now = self.files(table)
        if version < 0 or version == self.version(table):
            return now if version < 0 else []
        try:
            return sorted(set(now) - set(self.files(table, version)))
        except DeltaError:
            return now

    def newest(self, table: str) -> list[str]:
        """Name the file that was written last, without opening any; none of an unwritten table."""
        if not self.exists(table):
            return []
        handle = self._open(table)
        added = pa.table(handle.get_add_actions(flatten=True))
        if not added.num_rows:
            return []
        last = pc.index(added["modification_time"], pc.max(added["modification_time"])).as_py()
        return [
            f"{plain_path(handle.table_uri).rstrip('/')}/{unquote(added['path'][last].as_py())}"
        ]

    def files_of(self, table: str, nights: Sequence[str], version: int | None = None) -> list[str]:
        """List the files of a table that may hold rows of some nights, by the log alone."""
        handle = self._open(table, version)
        root = plain_path(handle.table_uri).rstrip("/")
        paths = of_nights(pa.table(handle.get_add_actions(flatten=True)), nights)
        return [f"{root}/{unquote(path)}" for path in paths]

    def rows_in(self, table: str, files: Sequence[str]) -> int | None:
        """Count the rows of some files by the log alone; None where it does not say."""
        if not files:
            return 0
        added = pa.table(self._open(table).get_add_actions(flatten=True))
        names = {PurePosixPath(file).name for file in files}
        rows = zip(added["path"].to_pylist(), added["num_records"].to_pylist(), strict=True)
        counts = [n for path, n in rows if PurePosixPath(unquote(path)).name in names]
        return None if None in counts or len(counts) != len(names) else sum(counts)

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        version: int | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> pa.Table:
        """Read rows of a table; an unwritten table reads as no rows.

        Args:
            table: Table name.
            columns: Columns to read; None reads all.
            version: Delta version; None is the current one.
            where: Columns and the value each must equal (a list: one of its values).
        """
        return self.catalog(versions={table: version}, only=[table]).read(table, columns, where)

    def sql(
        self,
        query: str,
        *,
        relations: Mapping[str, pa.Table] | None = None,
        files: Mapping[str, Sequence[str]] | None = None,
        **parameters: Any,
    ) -> pa.Table:
        """Answer a named query of `warehouse/sql`, or SQL text, over all tables as views.

        Args:
            query: Name of a file in `warehouse/sql` without its ending, or one SELECT.
            relations: Arrow tables that the query may name besides the warehouse's own.
            files: Tables of which only some files are looked at; the others are whole.
            **parameters: Values bound to the query's `$name` parameters.

        Raises:
            InputError: The text is not exactly one SELECT, or it fails.
        """
        only = self._named(query)
        catalog = self.catalog(relations=relations, only=only, files=files)
        return catalog.query(query, parameters)

    def batches(
        self,
        query: str,
        size: int,
        *,
        relations: Mapping[str, pa.Table] | None = None,
        files: Mapping[str, Sequence[str]] | None = None,
        **parameters: Any,
    ) -> Iterator[pa.RecordBatch]:
        """Answer as `sql` does, a batch of rows at a time, so that memory is that of a batch.

        Args:
            query: As for `sql`.
            size: Most rows of a batch.
            relations: As for `sql`.
            files: As for `sql`.
            **parameters: As for `sql`.
        """
        only = self._named(query)
        catalog = self.catalog(relations=relations, only=only, files=files)
        yield from catalog.batches(query, size, parameters)

    def _named(self, query: str) -> list[str] | None:
        """List the tables that a query of our own names; None is all, for anybody else's."""
        # Of our own queries it is known which tables they name; opening the others costs time.
        text = named_sql(query)
        words = set(re.findall(r"\w+", text)) if text else None
        for view, tables in VIEWS.items():
            if words and view in words:
                words |= tables
        return None if words is None else [name for name in SCHEMAS if name in words]

    def catalog(
        self,
        *,
        versions: Mapping[str, int | None] | None = None,
        relations: Mapping[str, pa.Table] | None = None,
        only: Sequence[str] | None = None,
        files: Mapping[str, Sequence[str]] | None = None,
        as_written: bool = False,
    ) -> Catalog:
        """Open a read-only SQL view of the tables, for one query or several.

        Args:
            versions: Delta versions to pin; tables not named are at their current version.
            relations: Arrow tables to add under their names.
            only: Tables to include; None is all.
            files: Tables of which only some files are to be seen.
            as_written: As for `Catalog`.
        """
        pinned = versions or {}
        views = []
        for name, schema in SCHEMAS.items():
            if only is not None and name not in only:
                continue
            if not self.exists(name):
                views.append(Relation(name, schema, [], []))
                continue
            handle = self._open(name, pinned.get(name))
            given = (files or {}).get(name)
            paths = [plain_path(u) for u in handle.file_uris()] if given is None else list(given)
            # As it was made: an older release may have parted a table otherwise.
            made = handle.metadata()
            uniform = made.description == made_with(schema) and (
                len(handle.schema().fields) == len(schema)
            )
            # Where another release made the table, nobody may have written it down.
            marked = not uniform or handle.transaction_version(SUPERSESSION) is not None
            views.append(Relation(name, schema, paths, made.partition_columns, uniform, marked))
        return Catalog(views, relations or {}, as_written=as_written)

    def _open(self, table: str, version: int | None = None) -> DeltaTable:
        """Open a table as it is now, or as it was at a version."""
        handle = self._handles.get(table)
        if version is not None:
            # A pinned version is mostly the one that was just looked at.
            if handle is not None and handle.version() == version:
                return handle
            return DeltaTable(self.location(table), version=version)
        # Reading on in the log is several times faster than reading it from its checkpoint.
        if handle is None:
            handle = self._handles[table] = DeltaTable(self.location(table))
        elif self._moved_on(table, handle):
            handle.update_incremental()
        return handle

    def _moved_on(self, table: str, handle: DeltaTable) -> bool:
        """Say whether a table may have another version than the one that a handle stands at.

        To have the engine look takes a hundred times as long, and wakes its threads. Where `forget`
        has cut the log, entries are gone, and there is another checkpoint.
        """
        log = self.root / table / "_delta_log"
        mark = log / "_last_checkpoint"
        stamp = mark.stat().st_mtime_ns if mark.exists() else 0
        seen, self._stamps[table] = self._stamps.get(table), stamp
        here, after = (log / f"{handle.version() + step:020}.json" for step in (0, 1))
        return seen != stamp or after.exists() or not here.exists()


def plain_path(uri: str) -> str:
    """Turn a local URI, with or without `file://`, into a path; others stay as they are.

    Delta percent-encodes the paths of local files even where it leaves the scheme out.
    """
    if "%" not in uri and ":" not in uri:
        return uri
    parsed = urlparse(uri)
    return unquote(parsed.path) if parsed.scheme in ("", "file") else uri
