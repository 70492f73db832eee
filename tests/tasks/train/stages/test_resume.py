"""A worker that is killed (kill -9) in any stage, again and again, comes to the same policy."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.config import FlywheelConfig, TrafficConfig
from schemas.recipe_config import DpoConfig, GrpoConfig, KtoConfig, RejectionConfig, SftConfig
from schemas.training_config import TinyPolicy, TrainConfig

ROOT = Path(__file__).parents[4]
NIGHT = "2026-06-02"
STEPS = {"sft": 8, "dpo": 4, "kto": 4, "grpo": 4, "rejection": 4}
"""Fewest steps of each stage here: a checkpoint every two, and a kill between."""
TRAIN = TrainConfig(
    policy=TinyPolicy(hidden_size=64, layers=2, heads=2, vocabulary=500, context=384),
    sft=SftConfig(epochs=8, batch_size=8),
    dpo=DpoConfig(kinds=("episode", "retry"), scenarios=8, generations=2, batch_size=4, epochs=2),
    kto=KtoConfig(max_episodes=32, batch_size=8),
    grpo=GrpoConfig(steps=4, scenarios_per_step=4, generations=2),
    rejection=RejectionConfig(scenarios=60, generations=4, epochs=6),
    checkpoint_steps=2,
    validation_scenarios=20,
)


class Home:
    """A home with a build, and the policy that stages go on from."""

    def __init__(self, config: FlywheelConfig, build: str) -> None:
        self.config, self.build = config, build
        self.start: str | None = None

    def order(self, folder: Path, route: str) -> Path:
        """Write an order and give its file."""
        from tasks.train.order import Order, place

        return place(
            Order(
                candidate=route, route=route, config=self.config.model_dump(mode="json"),
                build=self.build, start=self.start, seed=7, folder=str(folder), threads=1,
                code="x", validation=0.1,
            )
        )  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Log a night of traffic, build of it, and imitate it."""
    from tasks.build.build import build
    from tasks.ingest.ingest import ingest
    from tasks.label.label import label
    from tasks.rollout.traffic import write_night

    folder = tmp_path_factory.mktemp("home")
    config = FlywheelConfig(home=folder, train=TRAIN, traffic=TrafficConfig(first_night=400))
    logs = folder / "logs"
    logs.mkdir()

    def clock() -> datetime:
        return datetime(2026, 6, 2, 1, tzinfo=UTC)

    write_night(config, night=NIGHT, champion=None, out=logs, clock=clock)
    paths = [str(logs / "episodes.jsonl"), str(logs / "feedback.jsonl")]
    ingest(config, paths, night=NIGHT, clock=clock)
    label(config, night=NIGHT, clock=clock)
    made = Home(config, build(config, night=NIGHT, clock=clock)["digest"])
    assert finish(made.order(folder / "first", "sft"))["stages"][0]["stopped"] == ""
    made.start = str(folder / "first" / "to-100" / "policy")
    return made


def started(order: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.train.worker", str(order)], cwd=ROOT, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def told(process: subprocess.Popen[str], stage: str) -> Iterator[int]:
    """Give the steps of a stage as the worker tells them."""
    assert process.stdout is not None
    for line in process.stdout:
        one = json.loads(line)
        if one["stage"] == stage:
            yield int(one["done"])


def finish(order: Path) -> dict[str, Any]:
    with started(order) as process:
        for _ in told(process, ""):
            pass
    return dict(json.loads((order.parent / "result.json").read_text()))


def killed(order: Path, stage: str, after: int, pause: float = 0.0) -> list[int]:
    """Kill a worker after a step of a stage; gives the steps that it took."""
    steps: list[int] = []
    with started(order) as process:
        for done in told(process, stage):
            steps.append(done)
            if done >= after:
                time.sleep(pause)
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
    assert process.returncode == -signal.SIGKILL
    return steps


def with_play(home: Home, order: Path) -> Path:
    """Put played episodes where a rejection stage keeps its own.

    So small a policy never succeeds: the logged agent's play stands for it.
    """
    import msgspec

    from tasks.rollout.environment import open_world
    from tasks.rollout.play import SCRIPTED, play_policy

    recipe, world = TRAIN.rejection, open_world(home.config)
    drawn = world.draw("train", recipe.scenarios, 7 + 51)  # as the stage draws them
    world.close()
    rollouts = play_policy(
        home.config, SCRIPTED, drawn, samples=recipe.generations, greedy=False, seed=1
    )
    folder = order.parents[1] / "0-rejection" / "trainer"
    folder.mkdir(parents=True)
    (folder / "played.msgpack").write_bytes(msgspec.msgpack.encode(rollouts))
    return order


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "to-100" / "policy" / "model.safetensors")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("stage", list(STEPS))
def test_a_killed_stage_comes_to_the_same_policy(home: Home, tmp_path: Path, stage: str) -> None:
    import torch

    plain = home.order(tmp_path / "straight", stage)
    straight = finish(with_play(home, plain) if stage == "rejection" else plain)
    assert "error" not in straight, straight
    steps = straight["stages"][0]["steps"]
    assert steps >= STEPS[stage]
    order = home.order(tmp_path / "killed", stage)
    if stage == "rejection":
        with_play(home, order)
    # Before the first checkpoint; while or after one is written; and at the last step.
    killed(order, stage, 1)
    first = killed(order, stage, 2, pause=0.02)
    then = killed(order, stage, 3)
    last = killed(order, stage, steps)
    assert (first[0], last[-1]) == (1, steps)
    assert then[0] in {1, 3}  # 3 where the checkpoint of step 2 became whole before the kill
    ended = finish(order)
    (record,) = ended["stages"]
    assert (record["steps"], record["stopped"]) == (steps, "")
    once, again = (
        [row["step"] for row in found["history"] if "loss" in row] for found in (straight, ended)
    )
    assert once == again
    for name, tensor in weights(tmp_path / "straight").items():
        torch.testing.assert_close(weights(tmp_path / "killed")[name], tensor, atol=1e-5, rtol=0)
