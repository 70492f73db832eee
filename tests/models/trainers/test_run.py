"""A run that is interrupted and taken up comes to what it would have come to in one go."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.masks import tokenise
from models.trainers.preference import masked_pair, train_dpo
from models.trainers.run import WHOLE, Ran, TrainerRun, last_checkpoint, until_step
from models.trainers.sft import train_sft
from models.trainers.unpaired import Judged, train_kto
from schemas.recipe_config import DpoConfig, KtoConfig

Train = Callable[[Any, TrainerRun], Ran]
STEPS = 12
NAMES = ("sft", "dpo", "kto")


@pytest.fixture
def trains(chats: Any) -> dict[str, Train]:
    """Give each trainer something to learn in twelve steps; half of them are uneven in length."""

    def sft(policy: Any, run: TrainerRun) -> Ran:
        rows = tokenise(list(chats.values()) * 6 + [chats["tea"]] * 6, policy.tokenizer)
        return train_sft(
            policy, rows, run=run, learning_rate=1e-2, epochs=1, batch_size=4, optimizer="muon"
        )

    def dpo(policy: Any, run: TrainerRun) -> Ran:
        good, bad, odd = tokenise(
            [chats["tea"], chats["malformed"], chats["both"]], policy.tokenizer
        )
        pairs = [masked_pair(good, bad), masked_pair(odd, good)] * 12
        config = DpoConfig(learning_rate=1e-3, batch_size=2)
        return train_dpo(policy, [p for p in pairs if p is not None], config=config, run=run)

    def kto(policy: Any, run: TrainerRun) -> Ran:
        good, bad = tokenise([chats["tea"], chats["malformed"]], policy.tokenizer)
        rows = [Judged(good, desirable=True), Judged(bad, desirable=False)] * 24
        return train_kto(policy, rows, config=KtoConfig(learning_rate=1e-3, batch_size=4), run=run)

    return {"sft": sft, "dpo": dpo, "kto": kto}


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """Keep what each trainer comes to in one go: several tests compare with it."""
    return {}


def in_one_go(whole: dict[str, Any], name: str, new: Any, train: Train, folder: Path) -> Any:
    """Train without a break, once for all tests; gives the policy and its run."""
    if name not in whole:
        policy = new(seed=1)
        whole[name] = policy, train(policy, TrainerRun(folder, 0))
    return whole[name]


def same(one: Any, other: Any) -> None:
    for mine, its in zip(one.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(mine, its, atol=1e-6, rtol=0)


def logged(ran: Ran) -> list[float]:
    """List the steps at which a loss was logged."""
    return [row["step"] for row in ran.history if "loss" in row]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_stopped_at_a_share_goes_on_to_the_same_weights(
    new: Any, trains: dict[str, Train], whole: dict[str, Any], tmp_path: Path, name: str
) -> None:
    first, rest = new(seed=1), new(seed=1)
    straight, ran = in_one_go(whole, name, new, trains[name], tmp_path / "whole")
    told: list[int] = []
    part = trains[name](first, TrainerRun(tmp_path / "parts", 0, until=0.34))
    # 0.34 of twelve steps are 4.08: it stops after the fifth.
    assert (part.steps, part.of, part.stopped) == (5, STEPS, "share")
    run = TrainerRun(tmp_path / "parts", 0, lambda done, total: told.append(done))
    again = trains[name](rest, run)
    assert told == list(range(6, STEPS + 1))
    assert (again.steps, again.of, again.stopped) == (STEPS, STEPS, "")
    assert logged(again) == logged(ran) == [5, 10]
    same(rest, straight)
    with pytest.raises(AssertionError):
        same(first, straight)


@pytest.mark.parametrize("name", NAMES)
def test_killed_while_saving_it_goes_on_from_the_checkpoint_before(
    new: Any, trains: dict[str, Train], whole: dict[str, Any], tmp_path: Path, name: str
) -> None:
    killed, again = new(seed=1), new(seed=1)
    straight, _ = in_one_go(whole, name, new, trains[name], tmp_path / "whole")
    folder = tmp_path / "killed"
    trains[name](killed, TrainerRun(folder, 0, until=0.5, checkpoint_steps=2))
    assert sorted(p.name for p in folder.glob("checkpoint-*")) == ["checkpoint-4", "checkpoint-6"]
    # As kill -9 leaves it: the last file is not there, and of others a part.
    (folder / "checkpoint-6" / WHOLE).unlink()
    weights = folder / "checkpoint-6" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    told: list[int] = []
    ran = trains[name](again, TrainerRun(folder, 0, lambda done, total: told.append(done)))
    assert told == list(range(5, STEPS + 1))
    assert ran.steps == STEPS
    assert len(logged(ran)) == len(set(logged(ran)))
    same(again, straight)


def test_a_run_that_has_come_to_its_share_takes_no_step_more(
    new: Any, trains: dict[str, Train], tmp_path: Path
) -> None:
    there, again = new(seed=1), new(seed=1)
    first = trains["sft"](there, TrainerRun(tmp_path, 0, until=0.34))
    told: list[int] = []
    second = trains["sft"](
        again, TrainerRun(tmp_path, 0, lambda done, total: told.append(done), until=0.34)
    )
    assert told == []
    # It is no further than the share, and must not be taken for done.
    assert (second.steps, second.of, second.stopped) == (5, STEPS, "share")
    assert logged(second) == logged(first) == [5]
    same(again, there)


def test_a_run_out_of_time_leaves_a_checkpoint_to_go_on_from(
    new: Any, trains: dict[str, Train], whole: dict[str, Any], tmp_path: Path
) -> None:
    first, rest = new(seed=1), new(seed=1)
    straight, _ = in_one_go(whole, "sft", new, trains["sft"], tmp_path / "whole")
    part = trains["sft"](first, TrainerRun(tmp_path / "parts", 0, seconds=0.0))
    assert (part.steps, part.stopped) == (1, "time")
    assert trains["sft"](rest, TrainerRun(tmp_path / "parts", 0)).steps == STEPS
    same(rest, straight)


def test_only_a_whole_checkpoint_counts_and_the_newest_by_number(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    for step, whole in ((9, True), (10, True), (11, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if whole:
            (tmp_path / f"checkpoint-{step}" / WHOLE).touch()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert not (tmp_path / "checkpoint-11").exists()


@pytest.mark.parametrize(
    ("until", "steps", "expected"),
    # 1/3 of 12 is 4, whatever the fraction's last bit says; the least is one.
    [(1.0, 12, 12), (1 / 3, 12, 4), (0.34, 12, 5), (0.01, 12, 1), (0.5, 7, 4)],
)
def test_a_share_is_rounded_up_to_whole_steps(until: float, steps: int, expected: int) -> None:
    assert until_step(until, steps) == expected
