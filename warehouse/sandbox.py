"""Run SQL that a model wrote, in a worker process that can do nothing but read one database.

    with Sandbox() as sandbox:
        result = sandbox.query(Path("shop.duckdb"), "SELECT count(*) FROM orders")

The worker (`warehouse.sandbox_worker`, which lists the fences) starts with the first query, keeps
databases open between queries, and is started anew after a query that it did not survive. What
goes wrong with a query is data, one line in `QueryResult.error`, because the model has to read it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from schemas.errors import SandboxError

WORKER = Path(__file__).with_name("sandbox_worker.py")

Cell = str | int | float | bool | None


class QueryResult(msgspec.Struct, frozen=True):
    """What a query gave: rows, or one line that says why there are none."""

    columns: list[str]
    rows: list[tuple[Cell, ...]]
    """Numbers, text, booleans and None; other types (dates, lists, structs) as their text."""
    error: str | None = None
    """First line of DuckDB's message; None when the query ran."""
    truncated: bool = False
    """True when rows were left out: over the row limit or the result's size."""


class Sandbox:
    """A reusable locked-down worker. Safe to share between threads; queries take turns.

    Args:
        memory_mb: Address space of the worker, megabytes; about 150 of them are DuckDB itself.
        timeout_s: Wall-clock seconds after which a query is killed.
        max_rows: Rows of a result that are returned.
        max_cell_chars: Characters of one text cell that are returned.
    """

    def __init__(
        self,
        memory_mb: int = 1024,
        timeout_s: float = 5.0,
        max_rows: int = 1000,
        max_cell_chars: int = 4000,
    ) -> None:
        self.memory_mb = memory_mb
        self.timeout_s = timeout_s
        self._arguments = [str(memory_mb), str(timeout_s), str(max_rows), str(max_cell_chars)]
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    @property
    def process_id(self) -> int | None:
        """Process id of the worker; None while none runs."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def query(self, database: Path, sql: str) -> QueryResult:
        """Run one SELECT over one database file.

        Raises:
            SandboxError: The database file cannot be opened, or the worker cannot be started.
        """
        return self.query_many([(database, sql)])[0]

    def query_many(self, queries: Sequence[tuple[Path, str]]) -> list[QueryResult]:
        """Run several queries in one round trip; results in the order asked.

        A query that kills the worker is answered with an error, and the rest goes to a new worker.

        Raises:
            SandboxError: A database file cannot be opened, or the worker cannot be started.
        """
        waiting = [(str(database), sql) for database, sql in queries]
        results: list[QueryResult] = []
        with self._lock:
            try:
                while len(results) < len(waiting):
                    self._answer(waiting[len(results) :], results)
            except BaseException:
                self._drop()  # unread answers in its pipe would be taken for the next query's
                raise
        return results

    def close(self) -> None:
        """End the worker; a later query starts a new one."""
        with self._lock:
            self._drop()

    def _answer(self, waiting: list[tuple[str, str]], results: list[QueryResult]) -> None:
        """Append an answer to each waiting query, up to the first that kills the worker."""
        process = self._running()
        _send(process, json.dumps(waiting))
        for path, _ in waiting:
            line = process.stdout.readline() if process.stdout else ""
            if not line.endswith("\n"):
                results.append(QueryResult([], [], self._obituary(process)))
                return
            results.append(self._result(path, line))

    def _result(self, path: str, line: str) -> QueryResult:
        columns, rows, truncated, error, broken = json.loads(line)
        if broken:
            raise SandboxError(
                f"The database {path} cannot be opened: {error}.",
                "Check that it exists, that nobody writes to it, and that the worker has memory.",
            )
        return QueryResult(columns, [tuple(row) for row in rows], error, truncated)

    def _running(self) -> subprocess.Popen[str]:
        # A forked child must not share its parent's pipes: it gets a worker of its own.
        if self._process is not None and self._owner == os.getpid():
            if self._process.poll() is None:
                return self._process
            self._drop()  # killed from outside between two queries
        process = subprocess.Popen(
            [sys.executable, "-I", str(WORKER), *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env=_worker_environment(),
        )
        self._process, self._owner = process, os.getpid()
        self._finalizer = weakref.finalize(self, _end, process, self._owner)
        if process.stdout is None or process.stdout.readline() != "ready\n":
            self._drop()
            raise SandboxError(
                f"The SQL worker did not start in {self.memory_mb} MB (exit {process.returncode}).",
                "Give it more memory (at least 400 MB) and check that `import duckdb` works.",
            )
        return process

    def _obituary(self, process: subprocess.Popen[str]) -> str:
        """Say why the worker died, and make room for the next one."""
        status = process.wait()
        self._drop()
        if status == -signal.SIGALRM:
            return f"Timed out: the query ran longer than {self.timeout_s:g} s and was stopped."
        return (
            f"Stopped: the query broke its worker (status {status}); "
            f"most likely it needed more than {self.memory_mb} MB."
        )

    def _drop(self) -> None:
        if self._process is not None:
            self._finalizer()
            self._process = None


def _send(process: subprocess.Popen[str], line: str) -> None:
    """Write one line; that the worker is gone shows when its answer is read."""
    with contextlib.suppress(BrokenPipeError):
        if process.stdin is not None:
            process.stdin.write(line + "\n")
            process.stdin.flush()


def _end(process: subprocess.Popen[str], owner: int) -> None:
    """Kill the worker and close its pipes; in a forked child, only the pipes."""
    if owner == os.getpid():
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # a half-written line to a dead worker
                pipe.close()


def _worker_environment() -> dict[str, str]:
    """Hand over no secrets: only what the interpreter needs to find its libraries."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return kept | {"MALLOC_ARENA_MAX": "1"}
