"""Planted failures in play: each is caught, named, and mended or ended."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from models.generation import Sampling
from models.trainers.grpo import train_grpo
from models.trainers.guard import ActingGuard
from models.trainers.run import Acted, Ran, TrainerRun
from schemas.monitor_config import MonitorConfig
from schemas.recipe_config import GrpoConfig
from tasks.train.stages.memory import Load, with_less_memory

ASKED = [{"role": "user", "content": "is it so?"}]

Weights = dict[str, torch.Tensor]


def weights(policy: Any) -> Weights:
    return {name: value.detach().clone() for name, value in policy.model.named_parameters()}


def same(one: Weights, other: Weights) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


class Oracle:
    """Pays for the answer `yes`."""

    def reset(self, **_: Any) -> None:
        self._answer: str | None = None

    def look(self) -> str:
        """Look around."""
        return "nothing"

    def get_reward(self) -> float | None:
        return float(self._answer == "yes")

    def _finish(self, answer: str | None, malformed: bool) -> None:
        self._answer = answer


class Silent(Oracle):
    """Never gives a verdict."""

    def get_reward(self) -> float | None:
        return None


class Constant(Oracle):
    """Pays the same whatever is said."""

    def get_reward(self) -> float | None:
        return 1.0


class Broken(Oracle):
    """Its tool fails whenever it is called."""

    def count(self, thing: str) -> str:
        """Count a thing.

        Args:
            thing: What is counted.
        """
        raise ConnectionError("the warehouse is down")


def play(
    policy: Any, environment: type[Oracle], run: TrainerRun, prompt: Any = ASKED, **recipe: Any
) -> Ran:
    """Play so many steps of two scenarios."""
    settings = {
        "steps": 24, "scenarios_per_step": 2, "generations": 4, "learning_rate": 1e-3,
        "average_last": 0.2, "kl_rows": 8, **recipe,
    }  # fmt: skip
    return train_grpo(
        policy, [{"prompt": prompt}] * 48, environment, config=GrpoConfig(**settings),
        sampling=Sampling(temperature=1.0, episode_tokens=24), run=run,
    )  # fmt: skip


def test_rewards_that_are_always_none_end_play_with_the_start(
    speaker: Callable[[], Any], tmp_path: Path
) -> None:
    policy = speaker()
    start = weights(policy)
    guard = ActingGuard(MonitorConfig(), "play")
    ran = play(policy, Silent, TrainerRun(tmp_path, 0, guard=guard))
    assert (ran.stopped, ran.steps) == ("abstained", 5)
    assert ran.acted[-1].saw.startswith("100% of the rollouts have no reward")
    assert ran.acted[-1].did == "went back to the start and stopped"
    assert same(weights(policy), start)


def test_a_constant_reward_ends_play_that_learns_nothing(
    speaker: Callable[[], Any], tmp_path: Path
) -> None:
    policy = speaker()
    start = weights(policy)
    guard = ActingGuard(MonitorConfig(), "play")
    ran = play(policy, Constant, TrainerRun(tmp_path, 0, guard=guard))
    assert (ran.stopped, ran.steps) == ("constant_reward", 15)
    (ended,) = [a for a in ran.acted if a.monitor == "constant_reward"]
    assert ended.saw.endswith("earned differently (reward 1.00): nothing can be learnt")
    assert ended.did.endswith("and stopped")
    assert same(weights(policy), start)


def test_an_environment_whose_tools_all_fail_ends_play(parrot: Any, tmp_path: Path) -> None:
    start = weights(parrot)
    guard = ActingGuard(MonitorConfig(), "play")
    how_many = [{"role": "user", "content": "how many tea?"}]  # the parrot counts at once
    ran = play(parrot, Broken, TrainerRun(tmp_path, 0, guard=guard), how_many)
    assert (ran.stopped, ran.steps) == ("environment", 5)
    assert ran.acted[-1].saw.endswith("of the tool calls fail: the environment seems broken")
    assert same(weights(parrot), start)


def test_play_that_runs_away_from_its_start_is_brought_back(
    speaker: Callable[[], Any], tmp_path: Path
) -> None:
    policy = speaker()
    start = weights(policy)
    guard = ActingGuard(MonitorConfig(), "play")
    ran = play(policy, Oracle, TrainerRun(tmp_path, 0, guard=guard), learning_rate=0.3)
    assert ran.stopped == "kl"
    assert ran.steps < 10
    assert "nats a token from its start (limit 0.5)" in ran.acted[-1].saw
    assert ran.acted[-1].did == "went back to the start and stopped"
    assert same(weights(policy), start)


def test_a_policy_that_explores_no_more_plays_at_a_higher_temperature(
    speaker: Callable[[], Any], tmp_path: Path
) -> None:
    guard = ActingGuard(MonitorConfig(entropy_low=9.0, warm=0, kl_high=9, kl_stop=9), "play")
    ran = play(speaker(), Oracle, TrainerRun(tmp_path, 0, guard=guard), learning_rate=1e-6)
    warmer = [a for a in ran.acted if a.monitor == "entropy"]
    assert [a.did for a in warmer] == [
        "raised the sampling temperature to 1.25", "raised the sampling temperature to 1.56",
        "nothing: this was mended as often as it may be (2)",
    ]  # fmt: skip
    assert [a.step for a in warmer] == [5, 10, 15]
    told = [row["entropy"] for row in ran.history if "entropy" in row]
    assert sum(told[10:15]) / 5 > sum(told[:5]) / 5


def test_play_that_runs_out_of_memory_once_goes_on_with_fewer_generations(
    speaker: Callable[[], Any], tmp_path: Path
) -> None:
    passes: list[int] = []

    def full(module: Any, inputs: Any, output: torch.Tensor) -> None:
        if output.requires_grad:
            passes.append(1)
            if len(passes) == 8:
                raise torch.OutOfMemoryError("CUDA out of memory.")

    def attempt(load: Load) -> Ran:
        policy = speaker()
        policy.model.model.norm.register_forward_hook(full)
        guard = ActingGuard(MonitorConfig(), "play")
        run = TrainerRun(tmp_path, 0, checkpoint_steps=4, guard=guard)
        return play(policy, Oracle, run, **load.recipe.model_dump(exclude_unset=True))

    recipe = GrpoConfig(steps=12, generations=4, scenarios_per_step=2)
    ran, acted = with_less_memory(attempt, Load(recipe), limit=4)
    assert acted == [
        Acted(
            0, "memory", "memory ran out: CUDA out of memory.",
            "tried again with 2 generations a scenario",
        )
    ]  # fmt: skip
    assert (ran.steps, ran.stopped) == (12, "")
    steps = [row["step"] for row in ran.history if "kl" in row]
    assert steps == list(range(1, 13))  # the first four are those before memory ran out
