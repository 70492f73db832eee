"""Two processes that train one policy together: the same weights, and what one would have made."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from models.policy import save_policy

ROOT = Path(__file__).parents[3]
TOGETHER = Path(__file__).with_name("train_together.py")


def launched(processes: int, start: Path, to: Path) -> Path:
    """Train in so many processes over gloo, launched as a night launches them."""
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(several if processes > 1 else []), str(TOGETHER)]
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }  # fmt: skip
    done = subprocess.run(
        [*command, str(start), str(to)], env=environment, cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return to


def weights(folder: Path, rank: int) -> dict[str, torch.Tensor]:
    return load_file(folder / f"rank-{rank}.safetensors")


def seen(folder: Path, rank: int) -> dict[str, Any]:
    return dict(json.loads((folder / f"rank-{rank}.json").read_text()))


@pytest.mark.slow
@pytest.mark.timeout(1800)  # eight CPU seconds of imports in each of four processes
def test_two_processes_train_one_policy(new: Any, tmp_path: Path) -> None:
    start = save_policy(new(seed=5), tmp_path / "start")
    two = launched(2, start, tmp_path / "two")
    one = launched(1, start, tmp_path / "one")
    before = dict(new(seed=5).model.named_parameters())

    for kind in ("sft", "grpo"):
        first, second = weights(two / kind, 0), weights(two / kind, 1)
        assert all(torch.equal(first[name], second[name]) for name in first), kind
        assert any(not torch.equal(first[name], before[name]) for name in first), kind
        saved = load_file(two / kind / "policy" / "model.safetensors")
        assert all(torch.equal(saved[name], first[name]) for name in saved), kind
        assert [seen(two / kind, rank)["first"] for rank in (0, 1)] == [True, False]

    # Imitation: the same rows a step, shared out, and so the same step but for rounding.
    alone, together = weights(one / "sft", 0), weights(two / "sft", 0)
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=1e-3, atol=1e-4)
    assert seen(two / "sft", 0)["steps"] == seen(one / "sft", 0)["steps"] == 4

    # Play: 2 steps of 4 scenarios x 4 rollouts, half of them in each process; figures are one.
    assert seen(one / "grpo", 0)["played"] == 32
    assert [seen(two / "grpo", rank)["played"] for rank in (0, 1)] == [16, 16]
    for figure in ("losses", "kl", "mixed"):
        assert seen(two / "grpo", 0)[figure] == seen(two / "grpo", 1)[figure], figure
