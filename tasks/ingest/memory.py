"""Memory of an ingest: blocks of one size follow each other, and use what the last one freed.

Memory that the kernel hands out is cleared first, which costs more than to write it once; what this
process has used before is not.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

KEPT = (32 << 20) - (1 << 13)
"""Bytes of the biggest piece that the C library (glibc) keeps for the next one when it is freed."""


@contextmanager
def steady() -> Iterator[None]:
    """Keep memory that is freed, for Arrow too, and leave garbage alone until it is asked for.

    Arrow's own allocator asks for pages of 2 MB, of which it needs parts: to clear them cost a
    sixth of an ingest, and they stay. Threads that ingest side by side may leave Arrow with the C
    library's, which is good for any use.
    """
    pool = pa.default_memory_pool()
    np.empty(KEPT, np.uint8)  # to free one this big teaches glibc to keep such
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        with without_collection():
            yield
    finally:
        pa.set_memory_pool(pool)


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
