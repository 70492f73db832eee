"""Reinforcement by play in the environment."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from models.policy import LoadedPolicy
from models.trainers.grpo import train_grpo
from models.trainers.run import TrainerRun
from schemas.errors import TrainingError
from schemas.recipe_config import GrpoConfig
from tasks.rollout.judged import judge_of
from tasks.rollout.play import opening, sampling
from tasks.train.stages.bench import Bench, Fed

SPARE = 2
"""Scenarios drawn for each one that is played, for the curriculum to choose among."""


def grpo(bench: Bench, policy: LoadedPolicy, recipe: GrpoConfig, run: TrainerRun) -> Fed:
    """Reinforce what works better than its group, by play in the environment."""
    wanted = recipe.steps * recipe.scenarios_per_step
    count = wanted * SPARE if recipe.curriculum else wanted
    scenarios = bench.world.draw("train", count, run.seed + 41)
    if not scenarios:
        raise TrainingError(
            "The environment has no training scenarios to play.",
            "Take grpo, rloo and rejection out of the candidates, or give it scenarios.",
        )
    rows = [{"prompt": opening(s, None), **json.loads(s.row)} for s in scenarios]
    limits = sampling(bench.config, recipe.temperature)
    tokens = round(recipe.completion_share * bench.config.train.policy.context)
    tools = bench.successes[0].tools if bench.successes else None
    judge, why = judge_of(bench.config, bench.build, tools) if recipe.reward_model else (None, "")
    ran = train_grpo(
        policy, rows, bench.world.environment, config=recipe,
        sampling=replace(limits, episode_tokens=tokens), run=run,
        kinds=[s.slice for s in scenarios], judge=judge,
    )  # fmt: skip
    played = ran.steps * recipe.scenarios_per_step
    account: dict[str, Any] = {"scenarios": played, "episodes": played * recipe.generations}
    if why:
        account |= {"reward_model": why, "judged": judge.judged if judge else 0}
    return Fed(account, ran)
