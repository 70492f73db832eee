"""The process in which SQL that a model wrote runs: one script, nothing imported but DuckDB.

`warehouse.sandbox` starts it and is the only one to talk to it: one JSON line in (a list of
`[database, sql]`), one JSON line out a query (`[columns, rows, truncated, error, broken]`).

Five fences, because each alone has a hole: the statement must be one SELECT; the database is
opened read-only; DuckDB's external access is off and its configuration locked; the kernel limits
address space and lets no file grow; the kernel's alarm ends the process when a query is late,
also when the parent has died.
"""

from __future__ import annotations

import decimal
import json
import resource
import signal
import sys
from pathlib import Path

import duckdb

MOST_OPEN = 32
"""Databases kept open at once."""
RESULT_CHARACTERS = 1_000_000
"""Characters of one result, all cells together; rows beyond are dropped."""
THREADS: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "async_threads": 0}
"""DuckDB starts eight more threads a database otherwise: 64 MB of the address space."""
OUT_OF_MEMORY = "Out of Memory"
"""How DuckDB's message starts when memory was too small."""
SETTINGS = (
    "SET temp_directory=''",  # else a large sort would spill to the disk
    "SET autoinstall_known_extensions=false",
    "SET autoload_known_extensions=false",
    "SET python_enable_replacements=false",
    "SET enable_external_access=false",
    "SET lock_configuration=true",
)

Cell = str | int | float | bool | None
Reply = tuple[list[str], list[list[Cell]], bool, str | None, bool]


def first_line(error: BaseException) -> str:
    """Shorten an error to the line a model can act on."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def refused(message: str) -> Reply:
    """Answer a query that gave an error and no rows."""
    return [], [], False, message, False


def plain_cell(value: object, most_characters: int) -> Cell:
    """Reduce a value to what JSON holds; dates, lists and structs become their text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, decimal.Decimal):
        return float(value)
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= most_characters else text[:most_characters] + "..."


class Databases:
    """Read-only connections by path; a file that was replaced is opened anew."""

    def __init__(self, memory_mb: int) -> None:
        self.memory_mb = memory_mb
        self.opened: dict[str, tuple[tuple[int, int, int], duckdb.DuckDBPyConnection]] = {}

    def connection(self, path: str) -> duckdb.DuckDBPyConnection:
        """Return a locked-down connection to the database file at `path`."""
        state = Path(path).stat()
        identity = (state.st_ino, state.st_mtime_ns, state.st_size)
        known = self.opened.get(path)
        if known and known[0] == identity:
            return known[1]
        if known:
            self.opened.pop(path)[1].close()
        elif len(self.opened) >= MOST_OPEN:
            self.opened.pop(next(iter(self.opened)))[1].close()
        connection = duckdb.connect(path, read_only=True, config=THREADS)
        # DuckDB's own limit gives a message where the kernel's gives a dead process.
        connection.execute(f"SET memory_limit='{max(64, self.memory_mb // 2)}MB'")
        for setting in SETTINGS:
            connection.execute(setting)
        self.opened[path] = (identity, connection)
        return connection

    def forget(self) -> None:
        """Close all databases, and with them what they keep in memory."""
        for _, connection in self.opened.values():
            connection.close()
        self.opened.clear()


def answer(
    connection: duckdb.DuckDBPyConnection, sql: str, most_rows: int, most_characters: int
) -> Reply:
    """Run one SELECT and return what of its result fits the limits."""
    if not sql.isascii() and any("\ud800" <= character <= "\udfff" for character in sql):
        return refused("Refused: the text holds a lone surrogate, which is no character.")
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            return refused(f"Refused: exactly one statement is allowed, not {len(statements)}.")
        if statements[0].type != duckdb.StatementType.SELECT:
            kind = statements[0].type.name
            return refused(f"Refused: only SELECT is allowed, not {kind}.")
        result = connection.execute(statements[0])
        columns = [column[0] for column in result.description or []]
        fetched = result.fetchmany(most_rows + 1)
    except (duckdb.Error, RuntimeError, MemoryError, OverflowError, ValueError) as error:
        # ValueError: a date outside Python's years. RuntimeError: some internal DuckDB errors.
        return refused(first_line(error))
    rows: list[list[Cell]] = []
    room = RESULT_CHARACTERS
    for row in fetched[:most_rows]:
        cells = [plain_cell(value, most_characters) for value in row]
        room -= sum(len(cell) if isinstance(cell, str) else 8 for cell in cells)
        if room < 0:
            break
        rows.append(cells)
    return columns, rows, len(rows) < len(fetched), None, False


def reply_to(
    databases: Databases, path: str, sql: str, most_rows: int, most_characters: int
) -> Reply:
    """Answer one query, if need be a second time with the memory that other databases held."""
    alone = not set(databases.opened) - {path}
    reply = open_and_answer(databases, path, sql, most_rows, most_characters)
    if not (reply[3] or "").startswith(OUT_OF_MEMORY):
        return reply
    databases.forget()
    return reply if alone else open_and_answer(databases, path, sql, most_rows, most_characters)


def open_and_answer(
    databases: Databases, path: str, sql: str, most_rows: int, most_characters: int
) -> Reply:
    """Answer one query; a database that does not open is not the query's fault."""
    try:
        connection = databases.connection(path)
    except (duckdb.Error, OSError) as error:
        return [], [], False, first_line(error), True
    return answer(connection, sql, most_rows, most_characters)


def limit_process(memory_mb: int) -> None:
    """Have the kernel hold memory and file writes; its alarm shall kill, not raise."""
    memory = memory_mb << 20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle


def main(memory_mb: int, timeout_s: float, most_rows: int, most_characters: int) -> None:
    """Answer lines from standard input until it closes."""
    limit_process(memory_mb)
    databases = Databases(memory_mb)
    write, flush = sys.stdout.write, sys.stdout.flush
    write("ready\n")
    flush()
    for line in sys.stdin:
        for path, sql in json.loads(line):
            signal.setitimer(signal.ITIMER_REAL, timeout_s)
            text = json.dumps(reply_to(databases, path, sql, most_rows, most_characters))
            signal.setitimer(signal.ITIMER_REAL, 0)
            write(text + "\n")
            flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
