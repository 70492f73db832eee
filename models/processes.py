"""Several processes that train one policy together: who is first, and waiting for one another.

Accelerate shares out batches and adds gradients up. What else a process does, it does alone: the
first one writes policies and results, and what depends on a clock is decided by the first for all.
"""

from __future__ import annotations

import os

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from torch import distributed


def join(device: str) -> None:
    """Meet the other processes that the launcher started; alone this does nothing.

    Each process has a GPU of its own from here on: `cuda` means that one.

    Args:
        device: `cpu` (gloo) or `cuda` (NCCL).
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        PartialState(cpu=device == "cpu")


def leave() -> None:
    """Part from the other processes."""
    if several():
        distributed.destroy_process_group()


def several() -> bool:
    """Tell whether this process trains together with others."""
    return distributed.is_available() and distributed.is_initialized()


def is_first() -> bool:
    """Tell whether this process is the one that writes."""
    return not several() or distributed.get_rank() == 0


def wait_for_all() -> None:
    """Wait until every process is here."""
    if several():
        distributed.barrier()


def as_the_first(decision: bool) -> bool:
    """Let the first process decide for all: they must stop at the same step.

    Args:
        decision: What this process would do.
    """
    if not several():
        return decision
    device = torch.device("cuda") if distributed.get_backend() == "nccl" else torch.device("cpu")
    told = torch.tensor([int(decision)], device=device)
    distributed.broadcast(told, src=0)
    return bool(told.item())
