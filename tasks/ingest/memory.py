"""Memory of an ingest: blocks of one size follow each other, and use what the last one freed.

Memory that the kernel hands out is cleared first, which costs more than to write it once; what this
process has used before is not.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

KEPT = (32 << 20) - (1 << 13)
"""Bytes of the biggest piece that the C library (glibc) keeps for the next one when it is freed."""
SET_THP_DISABLE, GET_THP_DISABLE = 41, 42
"""Options of Linux's `prctl`: whether this process is kept from huge pages."""


@contextmanager
def steady() -> Iterator[None]:
    """Keep memory that is freed, take it in small pages, and collect garbage only when asked to."""
    np.empty(KEPT, np.uint8)  # to free one this big teaches glibc to keep such
    with without_huge_pages(), without_collection():
        yield


@contextmanager
def without_huge_pages() -> Iterator[None]:
    """Take memory in pages of 4 KB, where the kernel can be told so.

    Arrow's allocator asks for pages of 2 MB, of which it needs parts. To clear them cost a sixth of
    an ingest, and all of each counts as used. Threads that ingest side by side may get them back
    early, which costs what it did.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None:
        yield
        return
    before = prctl(GET_THP_DISABLE, 0, 0, 0, 0)
    prctl(SET_THP_DISABLE, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(SET_THP_DISABLE, max(before, 0), 0, 0, 0)


@contextmanager
def without_collection() -> Iterator[None]:
    """Keep the cycle collector from walking through what a block decodes: it has no cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
