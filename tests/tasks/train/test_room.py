"""Too little memory: one line that names what to change first, and by how much."""

from pathlib import Path
from typing import Any

import pytest

from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError, MissingStateError
from schemas.model_shape import ModelShape
from schemas.training_config import TrainConfig
from tasks.train.footprint import footprint
from tasks.train.room import changes_that_fit, make_sure_of_room, need, refuse_too_little

QWEN = ModelShape(
    parameters=596_049_920, matrices=440_401_920, adapter_rows=630_784, hidden=1024,
    intermediate=3072, layers=28, heads=16, key_value_heads=8, head_width=128, vocabulary=151_936,
    context=40_960,
)  # fmt: skip
"""Qwen3-0.6B."""


def settings(**changes: Any) -> TrainConfig:
    policy = {"kind": "hub", "model": "Qwen/Qwen3-0.6B"}
    base = {"policy": policy, "device": "cuda", "processes": 1}
    return TrainConfig.model_validate({**base, **changes})


def test_candidates_side_by_side_add_up_to_as_many_as_there_are_processes() -> None:
    train = settings(processes=2)
    sft, dpo, grpo = (footprint(QWEN, train, s).total for s in ("sft", "dpo", "grpo"))
    largest = sorted((sft, dpo, grpo))[1:]
    assert need(QWEN, train, ("sft", "dpo", "grpo")).total == sum(largest)
    one = settings(processes=1)
    assert need(QWEN, one, ("sft+dpo", "grpo")).total == max(sft, dpo, grpo)


def test_processes_on_the_cpu_share_one_memory_and_gpus_have_their_own() -> None:
    alone = footprint(QWEN, settings(device="cpu", devices=2), "sft").total
    assert need(QWEN, settings(device="cpu", devices=2), ["sft"]).total == 2 * alone
    one_of_two = footprint(QWEN, settings(devices=2), "sft").total
    assert need(QWEN, settings(devices=2), ["sft"]).total == one_of_two


def test_one_candidate_at_a_time_is_the_first_thing_to_try() -> None:
    train = settings(processes=2)
    enough = need(QWEN, settings(processes=1), ["sft", "kto"]).total
    changes, fits = changes_that_fit(QWEN, train, ["sft", "kto"], enough)
    assert fits
    assert [str(change) for change in changes] == ["train.processes: 1 (now 2)"]


def test_what_is_named_is_enough_and_is_told_from_the_first_value_to_the_last() -> None:
    train = settings(sft={"batch_size": 16})
    changes, fits = changes_that_fit(QWEN, train, ["sft"], 20 * 10**9)
    assert fits
    (batch,) = (change for change in changes if change.key == "train.sft.batch_size")
    assert batch.old == 16
    changed = settings(sft={"batch_size": batch.new})
    assert need(QWEN, changed, ["sft"]).total <= 20 * 10**9


def test_too_little_memory_is_one_line_and_room_enough_is_none() -> None:
    with pytest.raises(ConfigurationError, match=r"needs about .* GB \(grpo.*are free") as caught:
        refuse_too_little(QWEN, settings(), ["grpo"], 20 * 10**9)
    assert "\n" not in str(caught.value)
    assert "train.grpo." in caught.value.next_step
    refuse_too_little(QWEN, settings(), ["grpo"], 10**13)


def test_a_device_that_nothing_fits_asks_for_a_smaller_model() -> None:
    with pytest.raises(ConfigurationError, match="choose a smaller model"):
        refuse_too_little(QWEN, settings(), ["sft"], 10**9)


def test_a_night_without_its_device_or_model_stops_before_anything_starts(tmp_path: Path) -> None:
    missing = {"kind": "hub", "model": str(tmp_path / "nowhere")}
    config = FlywheelConfig.model_validate({"train": {"policy": missing, "device": "cpu"}})
    with pytest.raises(MissingStateError, match="There is no folder"):
        make_sure_of_room(config, ["sft"])
    make_sure_of_room(FlywheelConfig(), ["sft", "grpo"])  # a tiny policy fits
