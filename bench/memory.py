"""Measure the memory of a step of training against what `tasks.train.footprint` says beforehand.

Each row is a process of its own that trains two steps on rows of the greatest length, on the CPU;
its peak resident memory stands beside the estimate.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from bench.gpu.work import Silent
from bench.measure import arguments, machine, measure
from models.masks import Masked
from models.policy import LoadedPolicy, save_policy
from models.shape import measured
from models.tiny import tiny_config
from models.tokenizer import train_tokenizer
from models.trainers.run import TrainerRun
from schemas.training_config import TinyPolicy, TrainConfig
from tasks.train.footprint import footprint

SIZES = {
    "0.7M": TinyPolicy(),
    "32M": TinyPolicy(hidden_size=512, layers=5, heads=8, vocabulary=32_000, context=128),
}
ADAMW = {"optimizer": "adamw"}
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("0.7M", "sft", {}),
    ("0.7M", "grpo", {"grpo": {"scenarios_per_step": 4, "generations": 8, "micro_batch": 16}}),
    ("32M", "sft", {"sft": {"batch_size": 2, **ADAMW}}),
    ("32M", "sft", {"sft": {"batch_size": 2}}),
    ("32M", "sft", {"sft": {"batch_size": 12, **ADAMW}}),
    ("32M", "sft", {"sft": {"batch_size": 12, **ADAMW}, "gradient_checkpointing": True}),
    ("32M", "grpo", {"grpo": {"scenarios_per_step": 2, "generations": 6, "micro_batch": 6}}),
]
"""Size, stage, and what differs from the default configuration."""


def new(size: TinyPolicy, folder: Path) -> LoadedPolicy:
    """Make a policy of a size from a random start; its tokenizer knows but a few of its words."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = train_tokenizer(["user and agent speak of one two three"] * 8, 400)
    torch.manual_seed(0)
    config = tiny_config(size, size.vocabulary, tokenizer.eos_token_id, tokenizer.pad_token_id)
    policy = LoadedPolicy(AutoModelForCausalLM.from_config(config), tokenizer, "")
    save_policy(policy, folder)
    return policy


def step(size: str, stage: str, changes: dict[str, Any], folder: str) -> dict[str, Any]:
    """Train two steps; the process that measures says how much memory it took."""
    train = TrainConfig.model_validate({"policy": SIZES[size].model_dump(), **changes})
    policy = new(SIZES[size], Path(folder) / "policy")
    run = TrainerRun(
        Path(folder) / "trainer", 0, gradient_checkpointing=train.gradient_checkpointing
    )
    (_sft if stage == "sft" else _grpo)(policy, train, run)
    expected = footprint(measured(policy.model.config), train, stage)
    return {
        "parameters": policy.model.num_parameters(), "expected": expected.total,
        "parts": expected.parts,
    }  # fmt: skip


def _sft(policy: LoadedPolicy, train: TrainConfig, run: TrainerRun) -> None:
    from models.trainers.sft import train_sft

    context, batch = train.policy.context, train.sft.batch_size
    rows = [Masked([5 + (i + j) % 300 for j in range(context)], [1] * context)
            for i in range(2 * batch)]  # fmt: skip
    train_sft(
        policy, rows, run=run, learning_rate=1e-4, epochs=1.0, batch_size=batch,
        optimizer=train.sft.optimizer,
    )  # fmt: skip


def _grpo(policy: LoadedPolicy, train: TrainConfig, run: TrainerRun) -> None:
    from models.generation import Sampling
    from models.trainers.grpo import train_grpo

    config = train.grpo.model_copy(update={"steps": 2})
    tokens = train.policy.context - 16
    prompts = [
        {"prompt": [{"role": "user", "content": "one"}], "number": i}
        for i in range(2 * config.scenarios_per_step)
    ]
    train_grpo(
        policy, prompts, Silent, config=config, run=run,
        sampling=Sampling(temperature=1.0, turn_tokens=tokens, episode_tokens=tokens),
    )  # fmt: skip


def imported() -> None:
    """Import what training imports, and do nothing."""
    import models.trainers.grpo
    import models.trainers.sft  # noqa: F401


def main() -> None:
    """Measure every case."""
    options = arguments(__doc__ or "")
    found = []
    for size, stage, changes in CASES:
        with tempfile.TemporaryDirectory() as folder:
            run = measure("bench.memory:step", size=size, stage=stage, changes=changes,
                          folder=folder)  # fmt: skip
        expected = run.result["expected"] / 1e6
        found.append({
            "size": size, "stage": stage, "changes": changes, "measured_mb": run.rss_mb * 1.048576,
            "expected_mb": expected, "ratio": expected / (run.rss_mb * 1.048576),
            "seconds": run.seconds, "parts": run.result["parts"],
        })  # fmt: skip
        if not options.json:
            row = found[-1]
            print(
                f"{size:5} {stage:5} measured {row['measured_mb']:7.0f} MB, expected "
                f"{row['expected_mb']:7.0f} MB, ratio {row['ratio']:.2f}  {changes}",
                flush=True,
            )
    if options.json:
        print(json.dumps({"rows": found, "machine": machine()}))


if __name__ == "__main__":
    main()
