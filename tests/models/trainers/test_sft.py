"""Supervised fine-tuning: it learns, from the agent's tokens alone, in batches of like length."""

from pathlib import Path
from typing import Any

import pytest
import torch
from trl import SFTConfig

from models.masks import Masked, tokenise
from models.trainers.run import TrainerRun, trainer_arguments
from models.trainers.sft import BucketedBatches, BucketedSftTrainer, as_dataset, train_sft


def test_the_loss_falls_to_almost_nothing_on_conversations_to_know_by_heart(
    learnt: tuple[Any, list[dict[str, float]]],
) -> None:
    _, history = learnt
    losses = [row["loss"] for row in history if "loss" in row]
    # A random start guesses among some 385 tokens: ln 385 = 5.95 nats.
    assert losses[0] > 2
    assert losses[-1] < 0.1


def test_labels_outside_the_agent_mask_are_ignored(new: Any, chats: Any, tmp_path: Path) -> None:
    policy = new()
    rows = tokenise(list(chats.values()), policy.tokenizer)
    settings = SFTConfig(
        **trainer_arguments(TrainerRun(tmp_path, 0), "cpu"),
        per_device_train_batch_size=7,
        max_length=None,
    )
    trainer = BucketedSftTrainer(
        model=policy.model, args=settings, train_dataset=as_dataset(rows),
        processing_class=policy.tokenizer,
    )  # fmt: skip
    (batch,) = trainer.get_train_dataloader()
    counted = 0
    for ids, labels in zip(batch["input_ids"].tolist(), batch["labels"].tolist(), strict=True):
        (row,) = [r for r in rows if ids[: len(r.input_ids)] == r.input_ids]
        told = [i if m else -100 for i, m in zip(row.input_ids, row.agent_mask, strict=True)]
        assert labels == told + [-100] * (len(ids) - len(told))
        counted += sum(row.agent_mask)
    assert int((batch["labels"] != -100).sum()) == counted


def test_tokens_outside_the_mask_change_no_gradient_of_their_own(new: Any, tmp_path: Path) -> None:
    # The last token is the tool's: whatever it is, nothing before it sees it, and it has no loss.
    grads = []
    for last in (20, 30):
        policy = new(seed=5)
        row = Masked([5, 11, 12, 13, last], [0, 0, 1, 1, 0])
        settings = SFTConfig(
            **trainer_arguments(TrainerRun(tmp_path, 0), "cpu"),
            per_device_train_batch_size=1,
            max_length=None,
        )
        trainer = BucketedSftTrainer(
            model=policy.model, args=settings, train_dataset=as_dataset([row]),
            processing_class=policy.tokenizer,
        )  # fmt: skip
        (batch,) = trainer.get_train_dataloader()
        trainer.compute_loss(policy.model, dict(batch)).backward()
        grads.append([p.grad for p in policy.model.parameters()])
    for one, two in zip(*grads, strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_progress_tells_every_step_of_all(
    new: Any, chats: Any, tmp_path: Path, optimizer: str
) -> None:
    policy = new()
    told: list[tuple[int, int]] = []
    train_sft(
        policy, tokenise(list(chats.values()), policy.tokenizer),
        run=TrainerRun(tmp_path, 0, lambda done, total: told.append((done, total))),
        learning_rate=1e-3, epochs=1, batch_size=2, optimizer=optimizer,
    )  # fmt: skip
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]  # 7 rows in batches of 2


def test_bucketed_batches_are_a_permutation_of_all_rows() -> None:
    lengths = [(7 * i) % 50 + 1 for i in range(103)]
    batches = BucketedBatches(lengths, 8, seed=3)
    assert sorted(batches) == list(range(103))
    assert len(batches) == 103


def test_rows_of_one_batch_have_like_lengths() -> None:
    lengths = [(37 * i) % 400 for i in range(400)]  # each length from 0 to 399 once
    order = list(BucketedBatches(lengths, 10, seed=0))
    spreads = []
    for start in range(0, 400, 10):
        batch = [lengths[i] for i in order[start : start + 10]]
        spreads.append(max(batch) - min(batch))
    # Ten neighbours span 9; the noise of up to 4 tokens either way adds at most 8 at each end.
    assert max(spreads) <= 9 + 8 + 8
    starts = [lengths[i] for i in order[::10]]
    assert starts != sorted(starts)


def test_epochs_have_orders_of_their_own_and_a_seed_repeats_them() -> None:
    one, two = (BucketedBatches(list(range(60)), 4, seed=1) for _ in range(2))
    first = list(one)
    one.set_epoch(1)
    assert list(one) != first
    assert list(two) == first
