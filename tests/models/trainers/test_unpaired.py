"""Preference without pairs: what is weighed, against what, and that it moves both kinds apart."""

from pathlib import Path
from typing import Any

import pytest
import torch
from trl import KTOConfig as TrlKtoConfig
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

from models.masks import Conversation, Masked, tokenise
from models.trainers.run import TrainerRun, trainer_arguments
from models.trainers.unpaired import (
    Judged,
    TokenisedKtoTrainer,
    arranged,
    as_dataset,
    collator,
    kto_under_mask,
    train_kto,
    weights,
)
from schemas.errors import ConfigurationError
from schemas.recipe_config import KtoConfig

# The agent says 3 4, a tool answers 5, the agent says 6; and 8, answered by 9 9, then 10.
ONE = Judged(Masked([1, 2, 3, 4, 5, 6], [0, 0, 1, 1, 0, 1]), desirable=True)
TWO = Judged(Masked([7, 8, 9, 9, 10], [0, 1, 0, 0, 1]), desirable=False)
OURS, STOCK = KtoConfig(batch_size=2), KtoConfig(batch_size=2, agent_tokens_only=False)


class Padded:
    """What a collator asks of a tokenizer."""

    pad_token_id = 0


def batch(config: KtoConfig) -> dict[str, list[Any]]:
    made = collator([ONE, TWO], config, Padded())  # type: ignore[arg-type]
    return {k: v.tolist() for k, v in made(list(as_dataset([ONE, TWO], config, 2))).items()}


def test_only_the_agents_tokens_weigh_also_under_another_prompt() -> None:
    found = batch(OURS)
    assert found["input_ids"] == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 9, 10, 0]]
    assert found["completion_mask"] == [[0, 0, 1, 1, 0, 1], [0, 1, 0, 0, 1, 0]]
    # Each prompt with the completion of the other: 1 2 | 8 9 9 10, and 7 | 3 4 5 6.
    assert found["KL_input_ids"] == [[1, 2, 8, 9, 9, 10], [7, 3, 4, 5, 6, 0]]
    assert found["KL_completion_mask"] == [[0, 0, 1, 0, 0, 1], [0, 1, 1, 0, 1, 0]]
    assert found["label"] == [True, False]


def test_trls_own_collator_would_weigh_all_after_the_prompt() -> None:
    found = batch(STOCK)
    assert found["completion_mask"] == [[0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 0]]
    assert found["KL_completion_mask"] == [[0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 0]]
    assert type(collator([ONE, TWO], STOCK, Padded())) is DataCollatorForUnpairedPreference  # type: ignore[arg-type]


def test_a_foreign_completion_is_cut_at_the_longest_episode() -> None:
    long = Judged(Masked([1, 2, 3, 4, 5], [0, 0, 0, 0, 1]), desirable=True)
    other = Judged(Masked([6, 7, 8, 9], [0, 1, 0, 1]), desirable=False)
    made = collator([long, other], OURS, Padded())  # type: ignore[arg-type]
    found = made(list(as_dataset([long, other], OURS, 2)))
    # 1 2 3 4 | 7 8 9 would be seven tokens; no episode has more than five.
    assert found["KL_input_ids"].tolist() == [[1, 2, 3, 4, 7], [6, 5, 0, 0, 0]]
    assert found["KL_completion_mask"].tolist() == [[0, 0, 0, 0, 1], [0, 1, 0, 0, 0]]


def test_completions_move_on_within_their_batch_alone() -> None:
    rows = [Judged(Masked([0, n], [0, 1]), desirable=n % 2 == 0) for n in range(1, 6)]
    dataset = as_dataset(rows, OURS, 3)
    # Batches 1 2 3 and 4 5, each turned by one.
    assert dataset["KL_completion_ids"][:] == [[3], [1], [2], [5], [4]]


@pytest.mark.parametrize(
    ("liked", "others", "expected"),
    [
        (10, 10, (1.0, 1.0)),
        (12, 10, (1.0, 1.0)),  # 1.2 lies between 1 and 4/3
        (10, 40, (4.0, 1.0)),  # 10 * 4 : 40 is 1 : 1
        (40, 10, (1.0, 3.0)),  # 40 : 10 * 3 is 4 : 3
        (0, 5, (1.0, 1.0)),
    ],
)
def test_the_scarcer_kind_is_raised_until_both_weigh_about_the_same(
    liked: int, others: int, expected: tuple[float, float]
) -> None:
    assert weights([True] * liked + [False] * others) == pytest.approx(expected)


def numbered(liked: int, others: int) -> list[Judged]:
    return [Judged(Masked([n, n], [0, 1]), desirable=n < liked) for n in range(liked + others)]


def test_every_batch_holds_both_kinds_in_their_proportion() -> None:
    order = arranged(numbered(30, 10), 1.0, 8, seed=3)
    counts = [sum(one.desirable for one in order[n : n + 8]) for n in range(0, 40, 8)]
    assert counts == [6] * 5
    assert sorted(one.row.input_ids[0] for one in order) == list(range(40))
    assert [one.row.input_ids[0] for one in order] != list(range(40))


def test_passes_have_orders_of_their_own_and_may_be_parts() -> None:
    order = [one.row.input_ids[0] for one in arranged(numbered(4, 4), 1.5, 4, seed=1)]
    assert len(order) == 12
    assert sorted(order[:8]) == list(range(8))
    assert order[8:] != order[:4]
    again = arranged(numbered(4, 4), 1.5, 4, seed=1)
    assert [one.row.input_ids[0] for one in again] == order


def test_a_last_batch_of_one_is_left_out() -> None:
    # Its completion has no other prompt: the divergence would be the very reward.
    assert len(arranged(numbered(5, 4), 1.0, 4, seed=0)) == 8
    assert len(arranged(numbered(5, 5), 1.0, 4, seed=0)) == 10


def weighed(new: Any, folder: Path, config: KtoConfig, said: int) -> list[torch.Tensor]:
    """Give the gradient when the last token, a tool's, is `said`: nothing after it sees it."""
    rows = [
        Judged(Masked([5, 11, 12, said], [0, 1, 1, 0]), desirable=True),
        Judged(Masked([6, 13, 14, 15], [0, 1, 1, 1]), desirable=False),
    ]
    policy = new(seed=5)
    trainer = TokenisedKtoTrainer(
        model=policy.model,
        args=TrlKtoConfig(
            **trainer_arguments(TrainerRun(folder, 0), "cpu"), per_device_train_batch_size=2,
            max_length=None, precompute_ref_log_probs=True, remove_unused_columns=False,
        ),
        train_dataset=as_dataset(rows, config, 2), processing_class=policy.tokenizer,
        data_collator=collator(rows, config, policy.tokenizer),
    )  # fmt: skip
    (found,) = trainer.get_train_dataloader()
    trainer.compute_loss(policy.model, dict(found)).backward()
    return [p.grad for p in policy.model.parameters() if p.grad is not None]


def test_a_tool_token_changes_no_gradient_unless_stock_is_asked_for(
    new: Any, tmp_path: Path
) -> None:
    ours = [weighed(new, tmp_path, OURS, said) for said in (20, 30)]
    for one, two in zip(*ours, strict=True):
        torch.testing.assert_close(one, two, atol=1e-7, rtol=1e-4)
    stock = [weighed(new, tmp_path, STOCK, said) for said in (20, 30)]
    gaps = [(one - two).abs().max() for one, two in zip(*stock, strict=True)]
    assert max(gaps) > 1e-4


def likelihood(policy: Any, row: Masked) -> float:
    """Log-likelihood of the agent's tokens, nats."""
    ids = torch.tensor([row.input_ids])
    with torch.inference_mode():
        logprobs = torch.log_softmax(policy.model.eval()(input_ids=ids).logits[0], dim=-1)
    at = torch.arange(1, ids.shape[1])
    return float((logprobs[at - 1, ids[0, at]] * torch.tensor(row.agent_mask[1:])).sum())


def test_training_moves_towards_what_is_liked_and_away_from_the_other(
    parrot: Any, chats: Any, tmp_path: Path
) -> None:
    good, bad = tokenise([chats["tea"], chats["malformed"]], parrot.tokenizer)
    before = likelihood(parrot, good) - likelihood(parrot, bad)
    told: list[tuple[int, int]] = []
    ran = train_kto(
        parrot, [Judged(good, desirable=True), Judged(bad, desirable=False)] * 24,
        config=KtoConfig(learning_rate=3e-3, batch_size=6),
        run=TrainerRun(tmp_path, 0, lambda done, total: told.append((done, total))),
    )  # fmt: skip
    assert likelihood(parrot, good) - likelihood(parrot, bad) > before + 2
    assert told[-1] == (8, 8)  # 48 episodes by 6
    margins = [row["rewards/margins"] for row in ran.history if "rewards/margins" in row]
    assert margins[-1] > margins[0]
    assert all(row["kl"] >= 0 for row in ran.history if "kl" in row)


def test_the_audit_counts_the_tools_tokens_only_where_they_weigh(new: Any, chats: Any) -> None:
    policy = new()
    kept = [
        (Conversation(chat), row)
        for chat, row in zip(
            chats.values(), tokenise(list(chats.values()), policy.tokenizer), strict=True
        )
    ]
    ours = kto_under_mask(kept, policy.tokenizer, OURS)
    assert ours["assistant"] == sum(sum(row.agent_mask) for _, row in kept)
    assert ours["tool"] == ours["user"] == ours["template"] == 0
    assert kto_under_mask(kept, policy.tokenizer, STOCK)["tool"] > 0


def test_a_process_that_would_have_one_episode_at_a_time_is_one_clear_error(
    new: Any, tmp_path: Path
) -> None:
    run = TrainerRun(tmp_path, 0, parts=2)
    with pytest.raises(ConfigurationError, match="leaves one alone"):
        train_kto(new(), [ONE, TWO], config=KtoConfig(batch_size=2), run=run)


def test_a_batch_in_parts_takes_as_many_steps(new: Any, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    run = TrainerRun(tmp_path, 0, lambda done, total: told.append((done, total)), parts=2)
    train_kto(new(), [ONE, TWO] * 6, config=KtoConfig(batch_size=4), run=run)
    assert told == [(1, 3), (2, 3), (3, 3)]  # 12 episodes by 4
