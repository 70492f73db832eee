"""Whether an error means that memory ran out, and giving back what is not in use."""

from __future__ import annotations

import gc

import torch

_SAID = (
    "out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory",
    "cublas_status_alloc_failed",
)  # fmt: skip
"""What a RuntimeError says when it means memory: torch has no type of its own for the CPU."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error, of a GPU or of main memory, means that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _SAID)


def free_memory() -> None:
    """Give back what nothing refers to any more, on the GPU too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
