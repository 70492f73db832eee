"""A night's training end to end, small: traffic, a build, workers in processes of their own."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.config import FlywheelConfig, TrafficConfig
from schemas.errors import ConfigurationError, TrainingError
from schemas.recipe_config import GrpoConfig, SftConfig
from schemas.training_config import TinyPolicy, TrainConfig
from tasks.build.build import build
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from tasks.rollout.traffic import write_night
from tasks.train.recipe import _choice, order, run_all, train
from tasks.train.worker import RESULT
from warehouse.tables import Warehouse

NIGHT = "2026-06-02"
TINY = TrainConfig(
    policy=TinyPolicy(hidden_size=32, layers=1, heads=2, vocabulary=420, context=256),
    later_nights=("sft", "grpo"),
    sft=SftConfig(epochs=1, batch_size=8),
    grpo=GrpoConfig(steps=2, scenarios_per_step=2, generations=2),
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
    assert candidate["validation_n"] == 20
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


def test_a_later_night_has_a_result_of_each_candidate(later: Later) -> None:
    results = {c["name"]: c for c in later.result["candidates"]}
    assert set(results) == {"sft", "grpo"}
    for candidate in results.values():
        assert 0 <= candidate["validation"] <= 1
        mean = (candidate["validation_greedy"] + candidate["validation_sampled"]) / 2
        assert candidate["validation"] == pytest.approx(mean)
        assert candidate["seconds"] > 0
        assert candidate["history"]
    # Two steps of two scenarios, two rollouts each.
    assert results["grpo"]["stages"] == [{"name": "grpo", "scenarios": 4, "episodes": 8}]


def test_the_chosen_one_has_the_highest_validation(later: Later) -> None:
    scores = {c["name"]: c["validation"] for c in later.result["candidates"]}
    assert scores[later.result["chosen"]] == max(scores.values())
    assert set(later.result["policies"]) == {"sft", "grpo"}


def test_steps_of_each_candidate_are_told_as_they_come(later: Later) -> None:
    assert ("train grpo", 2, 2, "") in later.told
    stages = {stage for stage, *_ in later.told}
    assert stages == {"train sft", "train grpo"}
    assert {note for *_, note in later.told} >= {"", "validation"}


def test_a_night_run_again_starts_no_process(later: Later) -> None:
    before = later.written()
    told = len(later.told)
    assert later.train() == later.result
    assert later.written() == before
    assert len(later.told) == told


def test_a_worker_that_dies_is_reported_and_the_others_go_on(later: Later) -> None:
    good = [
        order(
            later.config, name, night=NIGHT, build=later.digest, start=later.start,
            folder=later.run_dir / "candidates",
        )
        for name in ("sft", "grpo")
    ]  # fmt: skip
    folder = later.run_dir / "candidates" / "broken"
    broken = msgspec.structs.replace(good[0], config={"no_such_key": 1}, folder=str(folder))
    # An old result of another order lies there; it must not answer for this one.
    folder.mkdir()
    (folder / "order.json").write_bytes(msgspec.json.encode(good[0]))
    (folder / RESULT).write_text('{"name": "sft", "validation": 1.0}')
    dead, *others = run_all([broken, *good], 2, silent)
    assert dead["name"] == "sft"
    assert dead["error"].startswith("training sft died: ")
    assert dead["next"] == f"Read {folder / 'worker.log'}."
    assert "no_such_key" in (folder / "worker.log").read_text()
    assert others == sorted(later.result["candidates"], key=lambda c: c["name"] == "grpo")


def broke(name: str) -> dict[str, Any]:
    return {"name": name, "error": "It broke.", "next": "Mend it."}


def test_a_failure_of_one_candidate_is_told_beside_the_others(later: Later) -> None:
    grpo = next(c for c in later.result["candidates"] if c["name"] == "grpo")
    result = _choice(["sft", "grpo"], {"sft": broke("sft"), "grpo": grpo})
    assert result["chosen"] == "grpo"
    assert set(result["policies"]) == {"grpo"}
    failed = next(c for c in result["candidates"] if c["name"] == "sft")
    assert failed["validation"] is None
    assert failed["health"] == ["It broke."]


def test_a_night_whose_every_candidate_failed_is_an_error() -> None:
    with pytest.raises(TrainingError, match=r"It broke\. Mend it\."):
        _choice(["sft", "grpo"], {name: broke(name) for name in ("sft", "grpo")})


def test_a_candidate_that_failed_is_tried_again(later: Later) -> None:
    file = later.run_dir / "candidates" / "sft" / RESULT
    good = json.loads(file.read_text())
    file.write_text(json.dumps(broke("sft")))
    again = next(c for c in later.train()["candidates"] if c["name"] == "sft")
    assert again["validation"] == good["validation"]


def test_a_first_night_without_imitation_is_a_configuration_error(tmp_path: Path) -> None:
    config = FlywheelConfig(home=tmp_path, train=TrainConfig(first_night=("grpo",)))
    with pytest.raises(ConfigurationError, match="nothing to start from"):
        train(config, night=NIGHT, build="b", start=None, run_dir=tmp_path, progress=silent)


def test_nights_have_seeds_of_their_own(tmp_path: Path) -> None:
    config = FlywheelConfig(home=tmp_path, seed=3)
    one, two = (
        order(config, "sft", night=night, build="b", start=None, folder=tmp_path).seed
        for night in ("2026-06-02", "2026-06-03")
    )
    assert one == 3602  # 3 * 1000 + 20260602 % 1000
    assert two == 3603
