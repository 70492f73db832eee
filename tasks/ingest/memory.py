"""Memory of an ingest: blocks of one size follow each other, and use what the last one freed.

Memory that the kernel hands out is cleared first, which costs more than to write it once; what this
process has used before is not.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

import numpy as np

T = TypeVar("T")

KEPT = (32 << 20) - (1 << 13)
"""Bytes of the biggest piece that the C library (glibc) keeps for the next one when it is freed."""
SET_THP_DISABLE, GET_THP_DISABLE = 41, 42
"""Options of Linux's `prctl`: whether this process is kept from huge pages."""


class Shared:
    """Something of the whole process that is off while anybody works, in whatever thread.

    Args:
        turn_off: Turns it off, and gives how it was.
        turn_back: Puts it back as it was.
    """

    def __init__(self, turn_off: Callable[[], T], turn_back: Callable[[T], object]) -> None:
        self._turn_off, self._turn_back = turn_off, turn_back
        self._lock, self._at_work = Lock(), 0

    @contextmanager
    def off(self) -> Iterator[None]:
        """Turn it off; the last one to leave puts it back."""
        with self._lock:
            if not self._at_work:
                self._before = self._turn_off()
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
                if not self._at_work:
                    self._turn_back(self._before)


def huge_pages(*, refused: bool) -> bool:
    """Have the kernel refuse huge pages or not, where it can be told; say whether it did before."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None:
        return refused
    before = prctl(GET_THP_DISABLE, 0, 0, 0, 0)
    prctl(SET_THP_DISABLE, int(refused), 0, 0, 0)
    return bool(before > 0)


def collection_off() -> bool:
    """Turn the cycle collector off; say whether it was on."""
    was_on = gc.isenabled()
    gc.disable()
    return was_on


HUGE_PAGES = Shared(lambda: huge_pages(refused=True), lambda before: huge_pages(refused=before))
"""Arrow's allocator asks for pages of 2 MB, of which it needs parts. To clear them cost a sixth of
an ingest, and all of each counts as used."""
COLLECTION = Shared(collection_off, lambda was_on: gc.enable() if was_on else None)
"""The cycle collector would walk through what a block decodes: it has no cycles."""


@contextmanager
def steady() -> Iterator[None]:
    """Keep memory that is freed, take it in small pages, and collect garbage only when asked to."""
    np.empty(KEPT, np.uint8)  # to free one this big teaches glibc to keep such
    with HUGE_PAGES.off(), COLLECTION.off():
        yield
