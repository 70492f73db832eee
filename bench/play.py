"""Measure a step of reinforcement by play: ours, and TRL's own trainer and loop, on one policy."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from bench.measure import cpu_seconds
from schemas.config import FlywheelConfig

STEPS = 4
"""Steps measured; the one before them warms up."""
LEARNT_FROM = 2500
"""Verified episodes that the policy has imitated, so that it plays to the end of an episode."""


def prepare(folder: str, seed: int) -> str:
    """Imitate verified episodes of the logged agent; give the policy's folder."""
    from bench.ablations import verified
    from models.policy import save_policy, use_threads
    from tasks.rollout.environment import open_world
    from tasks.train.stages.bench import Bench
    from tasks.train.stages.route import train_route

    use_threads(1)
    config = FlywheelConfig(home=Path(folder) / "home", seed=seed)
    bench = Bench(
        config=config, world=open_world(config), start=None, seed=seed,
        folder=Path(folder) / "sft", successes=verified(config, LEARNT_FROM), pairs=[],
        unpaired=[], progress=lambda *_: None,
    )  # fmt: skip
    policy = train_route(bench, "sft").policy
    bench.world.close()
    return str(save_policy(policy, Path(folder) / "policy"))


def steps(folder: str, policy: str, seed: int, how: str) -> dict[str, Any]:
    """Take some steps from a policy; the clock leaves start-up and the first step out.

    Args:
        folder: Of the home whose environment is played.
        policy: Where it starts.
        seed: Of scenarios and sampling.
        how: `ours`, `trl_rollouts` (our trainer over TRL's loop) or `trl` (TRL's trainer alone).
    """
    from models.policy import load_policy, use_threads
    from tasks.rollout.environment import open_world
    from tasks.rollout.play import opening, sampling

    use_threads(1)
    config = FlywheelConfig(home=Path(folder) / "home", seed=seed)
    recipe = config.train.grpo.model_copy(
        update={"steps": 1 + STEPS, "rollouts": "player" if how == "ours" else "trl"}
    )
    world = open_world(config)
    drawn = world.draw("train", recipe.steps * recipe.scenarios_per_step, seed)
    rows = [{"prompt": opening(s, None), **json.loads(s.row)} for s in drawn]
    watch = Watch()
    start = load_policy(policy)
    limits = sampling(config, 1.0)
    with tempfile.TemporaryDirectory() as scratch:
        train = stock if how == "trl" else ours
        history = train(start, rows, world.environment, recipe, limits, Path(scratch), seed, watch)
    world.close()
    played = [row for row in history if "reward" in row]
    return {
        "cpu_s_a_step": (watch.at[-1] - watch.at[0]) / STEPS,
        "episodes_a_cpu_s": recipe.scenarios_per_step * recipe.generations
        * STEPS / (watch.at[-1] - watch.at[0]),
        "reward": sum(row["reward"] for row in played) / len(played),
    }  # fmt: skip


class Watch:
    """Notes the CPU seconds used at the end of each step."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def __call__(self, *_: int) -> None:
        """Look at the clock."""
        self.at.append(cpu_seconds())


def ours(
    policy: Any, rows: list[dict[str, Any]], environment: Any, recipe: Any, limits: Any,
    folder: Path, seed: int, watch: Watch,
) -> list[dict[str, float]]:  # fmt: skip
    """Train by our trainer."""
    from models.trainers.grpo import train_grpo
    from models.trainers.run import TrainerRun

    run = TrainerRun(folder, seed, watch)
    return train_grpo(policy, rows, environment, config=recipe, sampling=limits, run=run).history


def stock(
    policy: Any, rows: list[dict[str, Any]], environment: Any, recipe: Any, limits: Any,
    folder: Path, seed: int, watch: Watch,
) -> list[dict[str, float]]:  # fmt: skip
    """Train by TRL's trainer as it is; only the environments are told how their episode ended."""
    from bench.stock import stock_trainer
    from models.trainers.run import TrainerRun, run_trainer

    run = TrainerRun(folder, seed, watch)
    return run_trainer(stock_trainer(policy, rows, environment, recipe, limits, run), run).history
