"""What a device has."""

import pytest
import torch

from models.hardware import find_device


def test_the_cpu_has_memory_of_which_some_is_free() -> None:
    cpu = find_device("cpu")
    assert cpu is not None
    assert cpu.devices == 1
    assert 0 < cpu.free <= cpu.memory


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_none() -> None:
    assert find_device("cuda") is None


@pytest.mark.gpu
def test_a_gpu_tells_its_name_and_memory() -> None:
    found = find_device("cuda")
    assert found is not None
    assert found.name
    assert 0 < found.free <= found.memory
