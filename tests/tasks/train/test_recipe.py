"""A night's training end to end, small: traffic, a build, candidates, rungs, workers, a choice."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.config import FlywheelConfig, TrafficConfig
from schemas.errors import ConfigurationError, TrainingError
from schemas.monitor_config import MonitorConfig
from schemas.recipe_config import GrpoConfig, SftConfig
from schemas.training_config import TinyPolicy, TrainConfig
from tasks.build.build import build
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from tasks.rollout.traffic import write_night
from tasks.train.order import RESULT
from tasks.train.recipe import Contest, train
from tasks.train.workers import Workers
from warehouse.tables import Warehouse

NIGHT = "2026-06-02"
TINY = TrainConfig(
    policy=TinyPolicy(hidden_size=32, layers=1, heads=2, vocabulary=420, context=256),
    later_nights=("sft", "grpo", "sft+grpo", "off_policy"),
    sft=SftConfig(epochs=1, batch_size=8),
    grpo=GrpoConfig(steps=2, scenarios_per_step=2, generations=2),
    monitors=MonitorConfig(mixed_low=0.0),  # so small a policy solves next to nothing
    validation_scenarios=20,
)


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Say nothing."""


def add_malformed_calls(logs: Path) -> None:
    """Log successes again with a first call that is no JSON: training must do without them."""
    lines = (logs / "episodes.jsonl").read_text().splitlines()
    with (
        (logs / "episodes.jsonl").open("a") as episodes,
        (logs / "feedback.jsonl").open("a") as told,
    ):
        for line in lines[:5]:
            record = json.loads(line)
            record["id"] += "-malformed"
            record["session_id"] += "-malformed"
            record["messages"][1]["tool_calls"][0]["function"]["arguments"] = "{no json"
            episodes.write(json.dumps(record) + "\n")
            event = {
                "episode_id": record["id"], "session_id": record["session_id"], "kind": "outcome",
                "value": 1, "source": "verifier", "timestamp": record["timestamp"],
            }  # fmt: skip
            told.write(json.dumps(event) + "\n")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[FlywheelConfig, str]:
    """A home with some sixty scripted episodes and a build of them."""
    home = tmp_path_factory.mktemp("home")
    config = FlywheelConfig(home=home, train=TINY, traffic=TrafficConfig(first_night=72))
    logs = home / "logs"
    logs.mkdir()

    def clock() -> datetime:
        return datetime(2026, 6, 2, 1, tzinfo=UTC)

    write_night(config, night=NIGHT, champion=None, out=logs, clock=clock)
    add_malformed_calls(logs)
    paths = [str(logs / "episodes.jsonl"), str(logs / "feedback.jsonl")]
    ingest(config, paths, night=NIGHT, clock=clock)
    label(config, night=NIGHT, clock=clock)
    return config, build(config, night=NIGHT, clock=clock)["digest"]


@pytest.fixture(scope="module")
def first(
    built: tuple[FlywheelConfig, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The first night: imitation from a random start."""
    config, digest = built
    run_dir = tmp_path_factory.mktemp("first")
    return train(config, night=NIGHT, build=digest, start=None, run_dir=run_dir, progress=silent)


class Later:
    """A later night, and what was told of it."""

    def __init__(self, config: FlywheelConfig, digest: str, start: str, run_dir: Path) -> None:
        self.config, self.digest, self.start, self.run_dir = config, digest, start, run_dir
        self.told: list[tuple[str, int, int, str]] = []
        self.result = self.train()

    def train(self) -> dict[str, Any]:
        return train(
            self.config, night=NIGHT, build=self.digest, start=self.start, run_dir=self.run_dir,
            progress=self.tell,
        )  # fmt: skip

    def tell(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.told.append((stage, done, total, note))

    def written(self) -> dict[str, int]:
        """When each candidate's files were written, nanoseconds."""
        files = sorted((self.run_dir / "candidates").rglob("*"))
        return {str(f): f.stat().st_mtime_ns for f in files if f.is_file()}


@pytest.fixture(scope="module")
def later(
    built: tuple[FlywheelConfig, str],
    first: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Later:
    config, digest = built
    return Later(config, digest, first["policies"]["sft"], tmp_path_factory.mktemp("later"))


def test_the_first_night_imitates_from_a_random_start(first: dict[str, Any]) -> None:
    assert first["chosen"] == "sft"
    (candidate,) = first["candidates"]
    assert [s["name"] for s in candidate["stages"]] == ["sft"]
    assert candidate["stages"][0]["episodes"] > 5
    assert [one["until"] for one in candidate["rungs"]] == [1.0]
    assert candidate["validation_n"] == 20
    assert (first["start_validation"], first["diagnosis"]) == (None, None)
    policy = Path(first["policies"]["sft"])
    assert (policy / "model.safetensors").exists()
    assert (policy / "tokenizer.json").exists()


def test_the_build_holds_malformed_calls_that_training_did_without(
    built: tuple[FlywheelConfig, str], first: dict[str, Any]
) -> None:
    config, digest = built
    where = {"build": digest, "use": "sft"}
    rows = Warehouse(config.home).read("trajectories", where=where).to_pylist()
    malformed = sum("{no json" in str(row["messages"]) for row in rows)
    assert malformed > 0
    assert first["candidates"][0]["stages"][0]["episodes"] == len(rows) - malformed


def test_a_later_night_compares_its_candidates_rung_by_rung(later: Later) -> None:
    results = {c["name"]: c for c in later.result["candidates"]}
    assert list(results) == ["sft", "grpo", "sft+grpo", "off_policy"]
    trained = [results[name] for name in ("sft", "grpo", "sft+grpo")]
    # Of three after the first rung, half rounded up go on: two.
    assert sorted(len(c["rungs"]) for c in trained) == [1, 2, 2]
    for candidate in trained:
        # Half of the 20 scenarios below the last rung, all of them on it.
        assert [r["n"] for r in candidate["rungs"]] == [10, 20][: len(candidate["rungs"])]
        mean = (candidate["validation_greedy"] + candidate["validation_sampled"]) / 2
        assert (
            candidate["validation"] == pytest.approx(mean) == candidate["rungs"][-1]["validation"]
        )
        assert candidate["seconds"] > 0
        assert candidate["history"]
        assert not any(rung["cut"] for rung in candidate["rungs"])
    (loser,) = (c for c in trained if len(c["rungs"]) == 1)
    assert loser["stopped_at"]["rung"] == 0.34
    assert loser["stopped_at"]["reason"].startswith("stopped after 34%: ")
    assert loser["name"] not in later.result["policies"]


def test_a_stage_that_is_stopped_has_taken_its_share_of_the_steps(later: Later) -> None:
    for candidate in later.result["candidates"]:
        if not candidate["rungs"]:
            continue
        of = candidate["name"].count("+") + 1
        *whole, last = candidate["stages"]
        share = candidate["rungs"][-1]["until"] * of - len(whole)
        assert all(stage["steps"] == stage["of"] for stage in whole)
        assert last["steps"] == math.ceil(min(1.0, share) * last["of"])
        assert last["stopped"] == ("share" if last["steps"] < last["of"] else "")


def test_what_the_data_does_not_support_stands_in_the_record_with_its_reason(later: Later) -> None:
    left_out = later.result["candidates"][-1]
    assert left_out["validation"] is None
    assert left_out["stages"] == left_out["rungs"] == []
    assert left_out["decided"].startswith("left out: 0 training episodes carry the tokens and")
    assert left_out["decided"].endswith("dpo or kto take its place")


def test_the_chosen_one_has_the_highest_validation_of_the_last_rung(later: Later) -> None:
    last = {
        c["name"]: c["validation"]
        for c in later.result["candidates"]
        if c["rungs"] and c["rungs"][-1]["until"] == 1.0
    }
    assert last[later.result["chosen"]] == max(last.values())
    assert set(later.result["policies"]) == set(last)
    assert "on 20 validation scenarios" in later.result["reason"]


def test_the_start_is_scored_and_its_failures_are_sorted(later: Later) -> None:
    assert 0 <= later.result["start_validation"] <= 1
    found = later.result["diagnosis"]
    assert found["attempts"] == 4 * found["scenarios"]  # one that is drawn twice is played once
    assert 15 <= found["scenarios"] <= 20
    assert later.result["diagnosis"]["lines"]
    chosen = next(c for c in later.result["candidates"] if c["name"] == later.result["chosen"])
    beaten = chosen["validation"] > later.result["start_validation"]
    assert ("nothing beat the start" in later.result["reason"]) == (not beaten)


def test_steps_of_each_candidate_are_told_as_they_come(later: Later) -> None:
    stages = {stage for stage, *_ in later.told}
    assert stages == {f"train {name}" for name in ("start", "diagnosis", "sft", "grpo", "sft+grpo")}
    assert {note for *_, note in later.told} >= {"", "validation", "play"}


def test_a_night_run_again_starts_no_process(later: Later) -> None:
    before = later.written()
    told = len(later.told)
    assert later.train() == later.result
    assert later.written() == before
    assert len(later.told) == told


def test_a_candidate_that_failed_is_tried_again(later: Later) -> None:
    file = later.run_dir / "candidates" / "sft" / "to-34" / RESULT
    good = json.loads(file.read_text())
    file.write_text(json.dumps({"name": "sft", "error": "It broke.", "next": "Mend it."}))
    again = next(c for c in later.train()["candidates"] if c["name"] == "sft")
    assert again["rungs"][0]["validation"] == good["validation"]


def test_a_first_night_without_imitation_is_a_configuration_error(tmp_path: Path) -> None:
    config = FlywheelConfig(home=tmp_path, train=TrainConfig(first_night=("grpo",)))
    with pytest.raises(ConfigurationError, match="nothing to start from"):
        train(config, night=NIGHT, build="b", start=None, run_dir=tmp_path, progress=silent)


def test_a_first_night_without_successes_says_what_to_do(tmp_path: Path) -> None:
    config = FlywheelConfig(home=tmp_path)
    with pytest.raises(TrainingError, match=r"0 successes.*more logs with feedback"):
        train(config, night=NIGHT, build="b", start=None, run_dir=tmp_path, progress=silent)


def test_nights_have_seeds_of_their_own(tmp_path: Path) -> None:
    config = FlywheelConfig(home=tmp_path, seed=3)
    one, two = (
        Contest(config, night, "b", tmp_path, Workers(tmp_path, 1, silent))
        .order("sft", "sft", None)
        .seed
        for night in ("2026-06-02", "2026-06-03")
    )
    assert one == 3602  # 3 * 1000 + 20260602 % 1000
    assert two == 3603


def test_a_look_at_the_start_that_failed_is_told() -> None:
    from tasks.train.recipe import _told

    broken = {"name": "start", "error": "the world is shut"}
    seen = {"attempts": 4, "lines": ["1 scenarios x 4: all succeed"]}
    assert _told({}) is None
    assert _told({"diagnosis": seen}) == seen
    assert _told({"score": broken, "diagnosis": seen}) == {
        "attempts": 4, "lines": ["no score: the world is shut", "1 scenarios x 4: all succeed"],
    }  # fmt: skip
    assert _told({"diagnosis": broken}) == {
        "attempts": 0,
        "lines": ["no diagnosis: the world is shut"],
    }
