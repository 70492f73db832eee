"""One run at a time on a home: a lock that goes with the process, however that ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import FlywheelError


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold a home while the block runs.

    The file `.lock` stays: it is the lock on it that counts, which the system takes away from a
    process that is killed.

    Raises:
        FlywheelError: Another run holds it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FlywheelError(
                f"Another run holds {home}.", "Wait until it has ended, or use another --home."
            ) from None
        yield
