"""How many bytes of a list of files have been read: as stored, compressed where they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from tasks.ingest.reading.files import LogFile, Stream

PAUSE = 0.1
"""Seconds between two calls, at least."""


class Meter:
    """Follows the reading of one file after the other.

    Args:
        tell: Called now and then with the bytes read so far. None only counts.
    """

    def __init__(self, tell: Callable[[int], None] | None = None) -> None:
        self._tell = tell
        self._told = time.monotonic()
        self._passed = 0
        self._size = 0
        self._raw: IO[bytes] | None = None

    def follow(self, file: LogFile) -> LogFile:
        """Count the file before as read, and give the next one so that its reading is seen."""
        self._passed += self._size
        self._size, self._raw = file.size, None
        return file._replace(system=_Watched(file.system, self))

    @property
    def done(self) -> int:
        """Bytes read so far; never more than the files had when they were listed."""
        if self._raw is None:
            return self._passed
        here = self._size if self._raw.closed else self._raw.tell()
        return self._passed + min(here, self._size)

    def opened(self, raw: IO[bytes]) -> None:
        """Take the stored file that is being read."""
        self._raw = raw

    def moved(self) -> None:
        """Tell, unless that was just done."""
        now = time.monotonic()
        if self._tell is not None and now - self._told >= PAUSE:
            self._told = now
            self._tell(self.done)


class _Watched:
    """A file system that shows a meter what is read of the files it opens."""

    def __init__(self, system: Any, meter: Meter) -> None:
        self._system, self._meter = system, meter

    @contextmanager
    def open(self, path: str, mode: str) -> Iterator[IO[bytes]]:
        """Open a file for reading."""
        with self._system.open(path, mode) as raw:
            self._meter.opened(raw)
            yield cast(IO[bytes], _Read(raw, self._meter))


class _Read:
    """An open file that tells a meter when it is read."""

    def __init__(self, raw: IO[bytes], meter: Meter) -> None:
        self._raw, self._meter = raw, meter

    def read(self, size: int = -1) -> bytes:
        """Read, and say so."""
        data = self._raw.read(size)
        self._meter.moved()
        return data

    def readinto(self, buffer: memoryview) -> int:
        """Read over other bytes, and say so."""
        read = cast(Stream, self._raw).readinto(buffer)
        self._meter.moved()
        return read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)
