"""What the GPU benchmark trains: models of a size from a random start, and steps of each kind.

It imports no more than the benchmark's machine has: torch, transformers, trl, and wheels carried
there (README.md). There is no hub, so weights are random and only speed and memory mean anything.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, Qwen3Config
from trl import SFTConfig, SFTTrainer

from models.generation import Player, Sampling
from models.masks import Masked
from models.policy import LoadedPolicy, save_policy
from models.tokenizer import train_tokenizer
from models.trainers.grpo import train_grpo
from models.trainers.preference import MaskedPair, train_dpo
from models.trainers.run import TrainerRun, run_trainer, trainer_arguments
from models.trainers.sft import as_dataset, train_sft
from schemas.recipe_config import DpoConfig, GrpoConfig


class Size(NamedTuple):
    """A Qwen3 of published sizes, or a small one."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    vocabulary: int
    tokens: int
    """Length of every row."""
    rows: int
    """Rows a step."""
    rollouts: int
    """Rollouts a step of play, in groups of 4."""


SIZES = {
    "tiny": Size(64, 176, 2, 4, 2, 700, 64, 4, 8),
    "0.6B": Size(1024, 3072, 28, 16, 8, 151_936, 1024, 16, 64),
    "1.7B": Size(2048, 6144, 28, 16, 8, 151_936, 1024, 16, 64),
    "4B": Size(2560, 9728, 36, 32, 8, 151_936, 1024, 8, 32),
}
STEPS = 4
"""Steps of a measurement; the first warms up and does not count."""


class Clock:
    """Notes when each step ended; given to a run as its progress."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def __call__(self, done: int, total: int) -> None:
        """Note one step."""
        del done, total
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Give the mean of a step, the first left out."""
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)


class Silent:
    """An environment without tools that pays every other episode."""

    opened = 0

    def reset(self, **_: Any) -> None:
        """Start an episode."""
        Silent.opened += 1
        self._number = Silent.opened

    def get_reward(self) -> float:
        """Pay."""
        return float(self._number % 2)


def configuration(size: Size) -> Qwen3Config:
    """Describe a model of a size."""
    return Qwen3Config(
        vocab_size=size.vocabulary, hidden_size=size.hidden, intermediate_size=size.intermediate,
        num_hidden_layers=size.layers, num_attention_heads=size.heads,
        num_key_value_heads=size.key_value_heads,
        head_dim=128 if size.hidden >= 1024 else size.hidden // size.heads,
        max_position_embeddings=size.tokens + 64, tie_word_embeddings=True, bos_token_id=None,
        eos_token_id=1, pad_token_id=0,
    )  # fmt: skip


def new(size: Size, folder: Path, device: str) -> LoadedPolicy:
    """Make a model from a random start; bfloat16 on a GPU."""
    tokenizer = train_tokenizer(["user and agent speak of one two three"] * 8, 400)
    config = configuration(size)
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    torch.manual_seed(0)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    policy = LoadedPolicy(model, tokenizer, "")
    save_policy(policy, folder / "policy")
    return policy


def rows(size: Size, count: int) -> list[Masked]:
    """Make rows of the full length, of which the agent says the second half."""
    half = size.tokens // 2
    return [
        Masked(
            [5 + (7 * i + 3 * j) % 300 for j in range(size.tokens)],
            [0] * half + [1] * (size.tokens - half),
        )
        for i in range(count)
    ]


def imitate(policy: LoadedPolicy, size: Size, run: TrainerRun, *, stock: bool) -> None:
    """Take a few steps of SFT, by our trainer or TRL's own."""
    told = rows(size, STEPS * size.rows)
    if not stock:
        train_sft(
            policy, told, run=run, learning_rate=1e-5, epochs=1.0, batch_size=size.rows,
            optimizer="adamw",
        )  # fmt: skip
        return
    settings = SFTConfig(
        **trainer_arguments(run, policy.model.device.type), num_train_epochs=1.0,
        per_device_train_batch_size=size.rows, learning_rate=1e-5, max_length=None,
    )  # fmt: skip
    trainer = SFTTrainer(
        model=policy.model, args=settings, train_dataset=as_dataset(told),
        processing_class=policy.tokenizer,
    )  # fmt: skip
    run_trainer(trainer, run)


def prefer(policy: LoadedPolicy, size: Size, run: TrainerRun, *, stock: bool) -> None:
    """Take a few steps of DPO; stock counts every token after the prompt, as TRL does."""
    pairs = max(1, size.rows // 2)
    half = size.tokens // 2
    told = [
        MaskedPair(
            one.input_ids[:half], one.input_ids[half:], other.input_ids[half:],
            one.agent_mask[half:], other.agent_mask[half:],
        )
        for one, other in zip(
            rows(size, STEPS * pairs), rows(size, STEPS * pairs + 1)[1:], strict=True
        )
    ]  # fmt: skip
    config = DpoConfig(batch_size=pairs, max_pairs=len(told), agent_tokens_only=not stock)
    train_dpo(policy, told, config=config, run=run)


def play(policy: LoadedPolicy, size: Size, run: TrainerRun, *, stock: bool) -> None:
    """Take a few steps of GRPO with our decode loop, or TRL's."""
    config = GrpoConfig(
        steps=STEPS, scenarios_per_step=size.rollouts // 4, generations=4, micro_batch=size.rows,
        rollouts="trl" if stock else "player", kl_rows=0, average_last=0,
    )  # fmt: skip
    asked = [{"prompt": [{"role": "user", "content": "one"}]}] * (STEPS * size.rollouts // 4)
    train_grpo(policy, asked, Silent, config=config, sampling=sampling(size), run=run)


def sampling(size: Size) -> Sampling:
    """Say how long episodes may become."""
    tokens = size.tokens // 2
    return Sampling(temperature=1.0, turn_tokens=tokens, episode_tokens=tokens)


def rollout_seconds(policy: LoadedPolicy, size: Size) -> float:
    """Time the rollouts of one step by themselves, after a first time that warms up."""
    player = Player(policy.model, policy.tokenizer, sampling(size), 0)
    took = 0.0
    for _ in range(2):
        environments = [Silent() for _ in range(size.rollouts)]
        for environment in environments:
            environment.reset()
        clock = Clock()
        clock(0, 0)
        player.play(environments, [[{"role": "user", "content": "one"}]] * size.rollouts)
        clock(0, 0)
        took = clock.seconds
    return took
