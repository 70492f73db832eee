"""Supervised fine-tuning over TRL: loss on the agent's own tokens only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features, List, Value
from peft import PeftModel
from torch.utils.data import Sampler
from trl import SFTConfig as TrlSftConfig
from trl import SFTTrainer

from models.masks import Masked
from models.policy import LoadedPolicy
from models.trainers.optimizer import MuonWithAdamW
from models.trainers.run import Ran, TrainerRun, batches, run_trainer, trainer_arguments

FEATURES = Features(
    {"input_ids": List(Value("int32")), "assistant_masks": List(Value("int8"))}
)  # explicit: `from_list` would infer types from the first rows


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
        # All rows of a step, so that they are the same however processes share them out.
        step = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return BucketedBatches(lengths, step * self.args.world_size, self.args.seed)


def train_sft(
    policy: LoadedPolicy,
    rows: Sequence[Masked],
    *,
    run: TrainerRun,
    learning_rate: float,
    epochs: float,
    batch_size: int,
    optimizer: str,
) -> Ran:
    """Fine-tune a policy in place on conversations.

    Args:
        policy: Trained in place.
        rows: Tokenised conversations with the agent's tokens marked.
        run: Where it writes, what it tells and when it stops.
        learning_rate: Peak rate, cosine with 4% warm-up.
        epochs: Passes over the rows.
        batch_size: Conversations a step.
        optimizer: `muon` or `adamw`. An adapter is trained by AdamW either way: to orthogonalise
            the steps of two factors does not orthogonalise that of their product.

    Returns:
        How far it came, and what TRL logged: loss, gradient norm, rate, entropy and token accuracy
        every few steps.
    """
    settings = TrlSftConfig(
        **trainer_arguments(run, policy.model.device.type),
        **batches(run, batch_size),
        num_train_epochs=epochs,
        learning_rate=learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.04,
        weight_decay=0.01,
        max_length=None,
    )
    chosen: torch.optim.Optimizer | None = None
    if optimizer == "muon" and not isinstance(policy.model, PeftModel):
        chosen = MuonWithAdamW(policy.model, learning_rate)
    trainer = BucketedSftTrainer(
        model=policy.model,
        args=settings,
        train_dataset=as_dataset(rows),
        processing_class=policy.tokenizer,
        optimizers=(chosen, None),
    )
    return run_trainer(trainer, run)
