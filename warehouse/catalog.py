"""Read-only SQL over the tables: DuckDB views on Delta's Parquet files, nothing else reachable.

External access is off except for the files of the tables, settings are locked, and only single
SELECT statements run, so neither user SQL nor a mistake can write, attach or read another file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from schemas.errors import InputError

WHOLE = "all_episodes"
"""The view of all rows of `episodes`, also of those that a longer episode has taken the place of;
the view `episodes` leaves them out."""
SQL_FOLDER = Path(__file__).parent / "sql"


class Relation(NamedTuple):
    """One table as a view: its declared columns and the Parquet files behind it."""

    name: str
    schema: pa.Schema
    files: Sequence[str]
    partitions: Sequence[str]
    uniform: bool = False
    """All files have exactly the declared columns, so that none needs to be opened to know."""
    superseding: bool = True
    """Of `episodes`: False where it is known that none has taken the place of another."""


class Catalog:
    """A locked-down connection that sees the given tables.

    Args:
        views: Tables on disk; one without files is an empty view with its declared columns.
        relations: Arrow tables by name.
        as_written: Keep what a query joins on the right in memory, as it says, whatever is guessed
            of the sizes. They are guessed from the first file, and a wrong guess keeps messages.

    `superseded` says whether any episode that it sees has taken the place of another.
    """

    def __init__(
        self,
        views: Sequence[Relation],
        relations: Mapping[str, pa.Table],
        *,
        as_written: bool = False,
    ) -> None:
        self.superseded = False
        self.schemas = {view.name: view.schema for view in views}
        self._views, self._relations = views, relations
        self._sources: dict[str, str] = {}
        """What the views with files read, as SQL."""
        self.connection = duckdb.connect(":memory:")
        self.connection.execute("SET TimeZone = 'UTC'")
        # Of a long history, reading what each file begins with is the most of a narrow query.
        self.connection.execute("SET parquet_metadata_cache = true")
        if as_written:
            self.connection.execute("SET disabled_optimizers = 'build_side_probe_side'")
        self.connection.execute(named_sql("agent_view") or "")
        self._open(views, "VIEW")
        paths = [path for view in views for path in view.files]
        self.connection.execute(f"SET allowed_paths = {literal(paths)}")
        self.connection.execute("SET enable_external_access = false")
        self.connection.execute("SET lock_configuration = true")

    def _open(self, views: Sequence[Relation], kind: str) -> None:
        """Make views, and those that stand on them."""
        for view in views:
            self._add_view(view, kind)
        names = {view.name for view in views}
        if "episodes" in names:
            marked = any(view.superseding for view in views if view.name == "episodes")
            self.superseded = marked and self._superseded()
            self.schemas[WHOLE] = self.schemas["episodes"]
            visible = named_sql("visible_episodes") if self.superseded else f"FROM {WHOLE}"
            self.connection.execute(f"CREATE {kind} episodes AS {visible}")
        if "labels" in self.schemas and names & {"episodes", "labels"}:
            latest = named_sql("latest_labels") or ""
            if self.superseded:
                latest += " WHERE episode_id IN (SELECT episode_id FROM episodes)"
            self.connection.execute(f"CREATE {kind} latest_labels AS {latest}")
        for name, table in self._relations.items():
            self.connection.register(name, table)

    def _superseded(self) -> bool:
        """Say whether any episode has taken the place of another; nulls cost nothing to read."""
        text = f"SELECT count(supersedes) + count(superseded_by) FROM {WHOLE}"  # noqa: S608 - our own
        [[marked]] = self.connection.execute(text).fetchall()
        return bool(marked)

    def _add_view(self, view: Relation, kind: str) -> None:
        title = WHOLE if view.name == "episodes" else view.name
        if not view.files:
            self.connection.register(title, view.schema.empty_table())
            return
        options = "hive_partitioning=false"
        if view.partitions:
            types = literal(dict.fromkeys(view.partitions, "VARCHAR"))
            options = f"hive_partitioning=true, hive_types={types}"
        self._sources[view.name] = f"read_parquet({literal(view.files)}, {options})"
        if view.uniform:
            names = ", ".join(f'"{name}"' for name in view.schema.names)
            text = f'CREATE {kind} "{title}" AS SELECT {names} FROM read_parquet('  # noqa: S608 - ours
            self.connection.execute(f"{text}{literal(view.files)}, {options})")
            return
        source = f"read_parquet({literal(view.files)}, union_by_name=true, {options})"
        present = self._types(source)
        self.connection.register("declared", view.schema.empty_table())
        declared = self._types("declared")
        self.connection.unregister("declared")
        columns = [
            self._column(name, present.get(name), declared[name]) for name in view.schema.names
        ]
        extra = sorted(present.keys() - set(view.schema.names))
        columns += [f'"{name}"' for name in extra]
        # Names and files come from our own declarations and from Delta, never from a user.
        text = f'CREATE {kind} "{title}" AS SELECT {", ".join(columns)} FROM {source}'  # noqa: S608
        self.connection.execute(text)

    def _types(self, relation: str) -> dict[str, str]:
        """Give the columns of a relation with their types, in DuckDB's words."""
        rows = self.connection.execute(f"DESCRIBE FROM {relation}").fetchall()
        return {row[0]: row[1] for row in rows}

    @staticmethod
    def _column(name: str, there: str | None, declared: str) -> str:
        """Write one column of a view: what older releases did not write is null, in structs too."""
        if there is None:
            return f'NULL::{declared} AS "{name}"'
        if there != declared and there.startswith("STRUCT") and declared.startswith("STRUCT"):
            return f'"{name}"::{declared} AS "{name}"'
        return f'"{name}"'

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> pa.Table:
        """Read columns of one table, with the rows whose columns equal (or are among) `where`."""
        schema = self.schemas[table]
        names = ", ".join(f'"{name}"' for name in columns or schema.names)
        # Only names stand in the text (DuckDB binds none); an unknown one fails, values are bound.
        tests = [
            f'list_contains(${name}, "{name}")' if isinstance(value, list) else f'"{name}"=${name}'
            for name, value in (where or {}).items()
        ]
        condition = f" WHERE {' AND '.join(tests)}" if tests else ""
        text = f'SELECT {names} FROM "{table}"{condition}'  # noqa: S608
        return self.query(text, dict(where or {}))

    def query(
        self,
        query: str,
        parameters: Mapping[str, Any] | None = None,
        relations: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        """Answer a named query or one SELECT with bound parameters.

        Args:
            query: Name of a file in `warehouse/sql` without its ending, or one SELECT.
            parameters: Values of the query's `$name` parameters.
            relations: Arrow tables that it may name besides the views.

        Raises:
            InputError: The text is not exactly one SELECT, or DuckDB refuses it.
        """
        for name, table in (relations or {}).items():
            self.connection.register(name, table)
        try:
            return self._answer(query, parameters).to_arrow_table()
        except duckdb.Error as error:
            raise refused(error) from error

    def files_where(
        self, table: str, clauses: Sequence[str], relations: Mapping[str, pa.Table]
    ) -> list[str]:
        """Name the files of a table with rows that any of some clauses leaves.

        Only the columns that these name are read: of a long history that is a part of what reading
        the rows takes, which mostly stand in few of the files.

        Args:
            table: A table.
            clauses: Follow `FROM` and the table: SQL of our own that filters or semi-joins it.
            relations: Arrow tables that they may name.
        """
        if table not in self._sources:
            return []
        # Tables and clauses are our own.
        named = f"SELECT DISTINCT filename FROM {self._sources[table]} AS {table}"  # noqa: S608
        parts = [f"{named} {clause}" for clause in clauses]
        found = self.query(" UNION ".join(parts), relations=relations)
        return sorted(found["filename"].to_pylist())

    def only(self, files: Mapping[str, Sequence[str]]) -> Catalog:
        """Give the same catalog with some files of tables in the place of all of theirs."""
        narrow = copy(self)
        narrow.narrow(files)
        return narrow

    def narrow(self, files: Mapping[str, Sequence[str]]) -> None:
        """See some files of tables in the place of all of theirs, on a connection of its own."""
        self.schemas, self._sources = dict(self.schemas), dict(self._sources)
        self._views = [v._replace(files=files.get(v.name, v.files)) for v in self._views]
        # What a connection has for itself comes before what all see under that name; and a table
        # without files was its own too.
        self.connection = self.connection.cursor()
        self._open([v for v in self._views if v.name in files or not v.files], "TEMP VIEW")

    def batches(
        self, query: str, size: int, parameters: Mapping[str, Any] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Answer as `query` does, at most `size` rows at a time, as they are found."""
        try:
            yield from self._answer(query, parameters).to_arrow_reader(size)
        except duckdb.Error as error:
            raise refused(error) from error

    def _answer(self, query: str, parameters: Mapping[str, Any] | None) -> duckdb.DuckDBPyRelation:
        """Check a query and bind its parameters.

        Raises:
            InputError: It is not exactly one SELECT.
        """
        text = named_sql(query) or query
        statements = self.connection.extract_statements(text)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            kinds = ", ".join(s.type.name.replace("_", " ") for s in statements)
            given = f"a {kinds} statement" if len(statements) == 1 else f"several ({kinds})"
            raise InputError(
                f"only a single SELECT runs here, not {given if statements else 'nothing'}.",
                "Write one SELECT; the tables are read-only.",
            )
        # DuckDB refuses parameters that the statement does not name.
        wanted = statements[0].named_parameters
        bound = {key: value for key, value in (parameters or {}).items() if key in wanted}
        return self.connection.sql(text, params=bound or None)


def refused(error: duckdb.Error) -> InputError:
    """Say what DuckDB has against a query."""
    first_line = str(error).strip().splitlines()[0]
    return InputError(f"the query failed: {first_line}", "`SHOW TABLES` lists the tables.")


def named_sql(name: str) -> str | None:
    """Give the text of `warehouse/sql/<name>.sql`, or None if `name` is no such file."""
    path = SQL_FOLDER / f"{name}.sql"
    return path.read_text() if name.isidentifier() and path.is_file() else None


def literal(value: str | Sequence[str] | Mapping[str, str]) -> str:
    """Write strings of our own as an SQL literal, where DuckDB takes no bound parameter."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"'{key}': {literal(text)}" for key, text in value.items()) + "}"
    return "[" + ", ".join(literal(text) for text in value) + "]"
