"""The plan of a night: what will run, what it takes, and what is not known yet."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError, MissingStateError
from tasks.ledger import Ledger
from tasks.train.plan import plan, work_of

NIGHT = "2026-01-05"
QWEN = {
    "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024, "intermediate_size": 3072,
    "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
    "tie_word_embeddings": True, "max_position_embeddings": 40960,
}  # fmt: skip
BUILT = {"digest": "b1", "sft": 100, "kto": 64, "pairs_by_kind": {"episode": 30, "retry": 500}}


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def settings(home: Path, **train: Any) -> FlywheelConfig:
    return FlywheelConfig.model_validate({"home": str(home), "train": train})


def files(home: Path) -> set[Path]:
    return set(home.rglob("*")) if home.exists() else set()


def test_a_first_night_starts_from_nothing_and_writes_nothing(tmp_path: Path) -> None:
    config = settings(tmp_path / "home", first_night=("sft", "sft+grpo"))
    found = plan(config, NIGHT)
    assert found["start"] == {"version": None, "from": "a random start"}
    assert [one["name"] for one in found["candidates"]] == ["sft", "sft+grpo"]
    assert [s["name"] for s in found["candidates"][1]["stages"]] == ["sft", "grpo"]
    assert [(one["until"], one["candidates"]) for one in found["rounds"]] == [(1.0, 1), (1.0, 1)]
    assert found["build"] is found["seconds"] is found["seconds_from"] is None
    assert any("no build yet" in note for note in found["notes"])
    assert any("Time is unknown" in note for note in found["notes"])
    assert 0 < found["memory"]["needed_bytes"] < found["memory"]["free_bytes"]
    assert files(tmp_path) == set()


def test_steps_are_counted_from_the_build() -> None:
    config = FlywheelConfig()
    # 100 successes, three passes of batches of 8 on the first night: 300 / 8 = 37.5; one later.
    assert work_of(config, "sft", BUILT, fresh=True)["steps"] == 38
    assert work_of(config, "sft", BUILT, fresh=False)["steps"] == 13
    # 30 pairs of the kind in use and at most 2 x 150 of its own play: 330 / 16; 150 x 8 rollouts.
    assert work_of(config, "dpo", BUILT, fresh=False) == {"steps": 21, "rollouts": 1200}
    assert work_of(config, "kto", BUILT, fresh=False)["steps"] == 4
    # 45 steps of 24 scenarios x 8.
    assert work_of(config, "grpo", BUILT, fresh=False) == {"steps": 45, "rollouts": 8640}
    assert work_of(config, "sft", None, fresh=True)["steps"] is None


def trained_night(config: FlywheelConfig, night: str) -> None:
    """Write down a night on which sft took 30 s, of which a third of the steps were done."""
    ledger = Ledger(config, night)
    rungs = [{"until": 0.5, "seconds": 30.0}]
    candidate = {"name": "sft", "seconds": 30.0, "rungs": rungs, "stages": []}
    ledger.keep("train", {"candidates": [candidate]}, 40.0)
    order = ledger.folder / "candidates" / "sft" / "order.json"
    order.parent.mkdir(parents=True)
    order.write_text(json.dumps({"config": config.model_dump(mode="json")}))


def test_time_comes_from_the_last_night_alike_and_from_no_other(tmp_path: Path) -> None:
    config = settings(tmp_path)
    trained_night(config, "2026-01-04")
    found = plan(config, NIGHT)
    assert found["seconds_from"] == "2026-01-04"
    assert found["candidates"][0]["seconds"] == 60.0  # half of its steps took 30
    assert found["seconds"] == 60.0
    other = settings(tmp_path, policy={"kind": "tiny", "hidden_size": 64})
    assert plan(other, NIGHT)["seconds"] is None
    assert plan(config, "2026-01-03")["seconds"] is None  # a later night is not looked at


def test_a_gpus_plan_for_a_models_folder_is_sensible_and_too_little_memory_is_told(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "qwen"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(QWEN))
    policy = {"kind": "hub", "model": str(folder)}
    found = plan(settings(tmp_path / "home", policy=policy, device="cuda", processes=1), NIGHT)
    assert found["policy"]["parameters"] == 596_049_920
    assert found["policy"]["trained_parameters"] == 16 * 630_784
    small = settings(
        tmp_path / "home", policy=policy, device="cpu", processes=1, sft={"batch_size": 100_000}
    )
    error = plan(small, NIGHT)["error"]
    assert "needs about" in error["message"]
    assert "train.sft.batch_size" in error["next"]


def test_a_model_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    policy = {"kind": "hub", "model": str(tmp_path / "nowhere")}
    with pytest.raises(MissingStateError, match="There is no folder"):
        plan(settings(tmp_path, policy=policy), NIGHT)


def test_a_first_night_without_imitation_has_nothing_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing to start from"):
        plan(settings(tmp_path, first_night=("grpo",)), NIGHT)
