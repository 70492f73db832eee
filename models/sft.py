"""Supervised fine-tuning over TRL: loss on the agent's own tokens only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features, List, Value
from torch.utils.data import Sampler
from transformers import (
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import SFTConfig as TrlSftConfig
from trl import SFTTrainer

from models.masks import Masked
from models.optimizer import MuonWithAdamW
from models.policy import LoadedPolicy

FEATURES = Features(
    {"input_ids": List(Value("int32")), "assistant_masks": List(Value("int8"))}
)  # explicit: `from_list` would infer types from the first rows


_CHECKPOINTING = next(  # transformers renamed it; TRL switches it on under either name
    name
    for name in ("activation_checkpointing", "gradient_checkpointing")
    if hasattr(TrainingArguments, name)
)


class ProgressCallback(TrainerCallback):
    """Tells how many optimizer steps are done, and keeps what TRL logged."""

    def __init__(self, progress: Callable[[int, int], None]) -> None:
        self.progress = progress
        self.history: list[dict[str, float]] = []

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report one step."""
        self.progress(state.global_step, state.max_steps)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep one row of metrics."""
        numbers = {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)}
        self.history.append({"step": float(state.global_step), **numbers})


def trainer_arguments(folder: Path, device: str, seed: int) -> dict[str, Any]:
    """Give the settings every TRL trainer here shares: nothing is uploaded, nothing pickled."""
    return {
        "output_dir": str(folder), "report_to": "none", "save_strategy": "no", "seed": seed,
        "use_cpu": device == "cpu", "bf16": False, _CHECKPOINTING: False,
        "disable_tqdm": True, "dataloader_pin_memory": False, "logging_steps": 5,
        "max_grad_norm": 1.0,
    }  # fmt: skip


def as_dataset(rows: Sequence[Masked]) -> Dataset:
    """Put tokenised conversations into a dataset with explicit types."""
    columns = {
        "input_ids": [r.input_ids for r in rows],
        "assistant_masks": [r.agent_mask for r in rows],
    }
    return Dataset.from_dict(columns, features=FEATURES)


class BucketedBatches(Sampler[int]):
    """Yields row numbers so that each batch holds rows of like length, batches in random order.

    TRL's `group_by_length` sorts within large chunks and leaves the batches sorted, so the loss
    swings with the length; here the batches are shuffled again.

    Args:
        lengths: Tokens of each row.
        batch_size: Rows a batch.
        seed: Seed of the first epoch; each epoch has an order of its own.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = np.asarray(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; the trainer calls it, also when it resumes."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self._seed, self._epoch])
        noisy = self._lengths + rng.uniform(-4, 4, len(self._lengths))
        order = np.argsort(noisy, kind="stable")
        whole = len(order) // self._batch_size * self._batch_size
        batches = order[:whole].reshape(-1, self._batch_size)
        for batch in rng.permutation(batches):
            yield from batch.tolist()
        yield from order[whole:].tolist()


class BucketedSftTrainer(SFTTrainer):
    """TRL's SFT trainer with batches of like length."""

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler[int]:
        rows: Any = dataset if dataset is not None else self.train_dataset
        lengths = [len(ids) for ids in rows["input_ids"]]
        return BucketedBatches(lengths, self.args.per_device_train_batch_size, self.args.seed)


def train_sft(
    policy: LoadedPolicy,
    rows: Sequence[Masked],
    *,
    folder: Path,
    learning_rate: float,
    epochs: float,
    batch_size: int,
    optimizer: str,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, float]]:
    """Fine-tune a policy in place on conversations.

    Args:
        policy: Trained in place.
        rows: Tokenised conversations with the agent's tokens marked.
        folder: Where TRL may write.
        learning_rate: Peak rate, cosine with 4% warm-up.
        epochs: Passes over the rows.
        batch_size: Conversations a step.
        optimizer: `muon` or `adamw`.
        seed: Seed of the order.
        progress: Told steps done and in all.

    Returns:
        What TRL logged: loss, gradient norm, rate, entropy and token accuracy every few steps.
    """
    settings = TrlSftConfig(
        **trainer_arguments(folder, policy.model.device.type, seed),
        per_device_train_batch_size=batch_size,
        num_train_epochs=epochs,
        learning_rate=learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.04,
        weight_decay=0.01,
        max_length=None,
    )
    watcher = ProgressCallback(progress)
    chosen: torch.optim.Optimizer | None = None
    if optimizer == "muon":
        chosen = MuonWithAdamW(policy.model, learning_rate)
    trainer = BucketedSftTrainer(
        model=policy.model,
        args=settings,
        train_dataset=as_dataset(rows),
        processing_class=policy.tokenizer,
        callbacks=[watcher],
        optimizers=(chosen, None),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return watcher.history
