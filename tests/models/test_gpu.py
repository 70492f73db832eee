"""Training on a GPU: bfloat16, an adapter, checkpointing, and memory as it was expected."""

from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.gpu


def test_the_benchmark_measures_every_kind_of_step(tmp_path: Path) -> None:
    from bench.gpu.run import measured

    for kind in ("sft", "dpo", "grpo"):
        found = measured("tiny", kind, "cuda", stock=False, checkpointing=False)
        assert found["tokens_per_second"] > 0
        assert found["peak_bytes"] > 0


def test_memory_on_a_gpu_is_within_two_fifths_of_what_was_expected() -> None:
    from bench.gpu.run import measured

    for checkpointing in (False, True):
        found = measured("0.6B", "sft", "cuda", stock=False, checkpointing=checkpointing)
        assert 0.6 < found["expected_bytes"] / found["peak_bytes"] < 1.4


def test_an_adapter_on_bfloat16_weights_learns(new: Any, tmp_path: Path) -> None:
    from models.masks import tokenise
    from models.policy import add_adapter, load_policy, save_policy
    from models.trainers.run import TrainerRun
    from models.trainers.sft import train_sft

    policy = add_adapter(
        load_policy(save_policy(new(seed=5), tmp_path / "start"), "cuda", "bfloat16"), 8
    )
    chat = [{"role": "user", "content": "is it so?"}, {"role": "assistant", "content": "yes"}]
    ran = train_sft(
        policy, tokenise([chat] * 160, policy.tokenizer), learning_rate=1e-2, epochs=1.0,
        run=TrainerRun(tmp_path / "run", 0, gradient_checkpointing=True), batch_size=8,
        optimizer="adamw",
    )  # fmt: skip
    losses = [row["loss"] for row in ran.history if "loss" in row]
    assert losses[-1] < losses[0]
    assert policy.model.device.type == torch.device("cuda").type
