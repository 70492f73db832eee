"""Reinforcement by play in the environment."""

from __future__ import annotations

import json

from models.policy import LoadedPolicy
from models.trainers.grpo import train_grpo
from models.trainers.run import TrainerRun
from schemas.recipe_config import GrpoConfig
from tasks.rollout.play import opening, sampling
from tasks.train.stages.bench import Bench, Fed


def grpo(bench: Bench, policy: LoadedPolicy, recipe: GrpoConfig, run: TrainerRun) -> Fed:
    """Reinforce what works better than its group, by play in the environment."""
    scenarios = bench.world.draw("train", recipe.steps * recipe.scenarios_per_step, run.seed + 41)
    rows = [{"prompt": opening(s, None), **json.loads(s.row)} for s in scenarios]
    ran = train_grpo(
        policy, rows, bench.world.environment, config=recipe,
        sampling=sampling(bench.config, recipe.temperature), run=run,
    )  # fmt: skip
    return Fed({"scenarios": len(rows), "episodes": len(rows) * recipe.generations}, ran)
