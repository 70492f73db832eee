"""What judges have answered, and what each night has spent, kept under `<home>/judge`.

It holds digests and scores, never what an episode says. SQLite keeps it whole through a kill and
under two processes at once.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

from schemas.digest import digest
from schemas.errors import InputError

Scores = list[float | None]

_TABLES = (
    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, scores TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS spent (night TEXT PRIMARY KEY, requests INTEGER NOT NULL)",
)
_PATIENCE_S = 60.0
"""Seconds to wait for another process that is writing."""


class Cache:
    """Answers by key and requests by night; several threads may use it. Close it after use.

    Args:
        home: The run-time folder.

    Raises:
        InputError: Its file is not whole, or cannot be written.
    """

    def __init__(self, home: Path) -> None:
        self.path = _file(home)
        self._lock = threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _whole(self.path):
            self._base = _open(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._base.close()

    def get(self, key: str) -> Scores | None:
        """Give the scores kept under a key; None where there are none."""
        rows = self._run("SELECT scores FROM answers WHERE key = ?", (key,))[0]
        return json.loads(rows[0][0]) if rows else None

    def put(self, key: str, scores: Sequence[float | None]) -> None:
        """Keep scores under a key."""
        self._run("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, json.dumps(list(scores))))

    def claim(self, night: str, requests: int, budget: int) -> bool:
        """Take requests out of a night's budget, all or none; say whether they could be taken."""
        self._run("INSERT OR IGNORE INTO spent VALUES (?, 0)", (night,))
        changed = self._run(
            "UPDATE spent SET requests = requests + ? WHERE night = ? AND requests + ? <= ?",
            (requests, night, requests, budget),
        )[1]
        return changed == 1

    def give_back(self, night: str, requests: int) -> None:
        """Return requests that were claimed and not made."""
        self._run("UPDATE spent SET requests = requests - ? WHERE night = ?", (requests, night))

    def spent(self, night: str) -> int:
        """Count the requests of a night."""
        rows = self._run("SELECT requests FROM spent WHERE night = ?", (night,))[0]
        return int(rows[0][0]) if rows else 0

    def _run(self, statement: str, values: tuple[object, ...]) -> tuple[list[tuple[str]], int]:
        """Run one statement, a transaction of its own; give its rows and how many it changed."""
        with self._lock, _whole(self.path):
            cursor = self._base.execute(statement, values)
            return cursor.fetchall(), cursor.rowcount


def key_of(*parts: str) -> str:
    """Name an answer by all that it depends on, in order."""
    return digest(json.dumps(parts))


def clear(home: Path) -> int:
    """Forget all answers, and leave no trace of them in the file; what nights have spent stays.

    Returns:
        How many there were.

    Raises:
        InputError: The file is not whole, or cannot be written.
    """
    path = _file(home)
    if not path.is_file():
        return 0
    with _whole(path), closing(_open(path)) as base:
        base.execute("PRAGMA secure_delete = ON")
        removed = base.execute("DELETE FROM answers").rowcount
        base.execute("VACUUM")
        return removed


def _file(home: Path) -> Path:
    return home / "judge" / "answers.sqlite"


def _open(path: Path) -> sqlite3.Connection:
    """Open the file, with its tables; every statement is committed by itself."""
    base = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
    try:
        for statement in _TABLES:
            base.execute(statement)
    except BaseException:
        base.close()
        raise
    return base


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Say of a file that SQLite cannot use what to do about it."""
    try:
        yield
    except sqlite3.Error as error:
        raise InputError(
            f"{path} cannot be used: {error}.",
            "Check the disk, or remove that file (it only saves asking the judge again).",
        ) from error
