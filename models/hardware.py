"""What a device has: its name and its memory."""

from __future__ import annotations

from typing import NamedTuple

import psutil

CPU = "CPU memory"
"""Name of what is no GPU."""


class Device(NamedTuple):
    """A device that tensors live on."""

    name: str
    devices: int
    """GPUs that this process sees; 1 for the CPU."""
    memory: int
    """Bytes of one of them."""
    free: int
    """Bytes of it that nobody uses now."""


def find_device(kind: str) -> Device | None:
    """Look at a device.

    Args:
        kind: `cpu` or `cuda`.

    Returns:
        What it has; None where this machine has no such device.
    """
    if kind == "cpu":
        memory = psutil.virtual_memory()
        return Device(CPU, 1, int(memory.total), int(memory.available))
    import torch

    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info(0)
    return Device(torch.cuda.get_device_name(0), torch.cuda.device_count(), total, free)
