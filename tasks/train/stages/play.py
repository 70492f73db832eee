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
from tasks.build.manifest import load_manifest
from tasks.rollout.judged import Judge, night_judge
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
    judge, why = _judge(bench, recipe)
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


def _judge(bench: Bench, recipe: GrpoConfig) -> tuple[Judge | None, str]:
    """Open the night's reward model, for what the environment cannot judge.

    Returns:
        None where there is none that holds, and in words why; nothing where none is asked for.
    """
    manifest = load_manifest(bench.config.home, bench.build) if bench.build else None
    if not recipe.reward_model or bench.config.label.reward_model is None or manifest is None:
        return None, ""
    tools = bench.successes[0].tools if bench.successes else None
    return night_judge(bench.config, manifest["night"], tools=tools)
