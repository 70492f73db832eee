"""Held-out play of named policies on the frozen scenarios, kept in the `evaluations` table.

An evaluation is named by model, scenarios and sampling. One that is in the table already is read,
not played again: the champion costs nothing on the night after it was judged.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from schemas.config import FlywheelConfig
from schemas.dataset import Scenario
from schemas.progress import Progress, report
from schemas.release import Attempt
from schemas.rollout import Rollout
from schemas.tables import arrow_rows
from tasks.evaluate.attempts import digest, model_digest, read_attempts
from tasks.evaluate.metrics import summarise
from tasks.rollout.environment import frozen
from tasks.rollout.play import play_policy
from tasks.rollout.version import play_version
from warehouse.tables import Warehouse


def evaluate(
    config: FlywheelConfig, *, night: str, candidates: Mapping[str, str],
    progress: Progress = report,
) -> dict[str, Any]:  # fmt: skip
    """Play policies greedily and sampled on the frozen scenarios, and sum them up.

    Args:
        config: What is played, how often, and where the tables are.
        night: `YYYY-MM-DD`.
        candidates: Name -> folder of a policy, or `scripted` for the logged production agent.
        progress: Told about each policy's play.

    Returns:
        `models`: name -> keys of `flywheel evaluate --json` with its id `evaluation`,
        `reused`, `abstained` and `seconds`; `scenario_set`, `scenarios` and `tables`.
    """
    scenarios = frozen(config)
    warehouse = Warehouse(config.home)
    known = digest(sorted([s.scenario_id, s.question, s.row] for s in scenarios))
    models: dict[str, Any] = {}
    for name, policy in candidates.items():
        model = model_digest(policy)
        how = [config.seed, config.evaluate.samples, config.environment.model_dump()]
        evaluation = digest([model, known, how, play_version()])
        began = time.perf_counter()
        attempts = read_attempts(warehouse, evaluation)
        reused = bool(attempts)
        if not reused:
            attempts = _play(config, night, name, policy, model, evaluation, scenarios, progress)
            warehouse.append(
                "evaluations", arrow_rows("evaluations", attempts),
                transaction=f"evaluate:{evaluation}",
            )  # fmt: skip
        models[name] = {
            "model": model, "evaluation": evaluation, "policy": policy, "reused": reused,
            **summarise(attempts, config.evaluate.samples),
            "abstained": len(scenarios) * (1 + config.evaluate.samples) - len(attempts),
            "seconds": time.perf_counter() - began,
        }  # fmt: skip
    return {
        "night": night, "scenario_set": known, "scenarios": len(scenarios), "models": models,
        "tables": {"evaluations": warehouse.version("evaluations")},
    }  # fmt: skip


def _play(
    config: FlywheelConfig, night: str, name: str, policy: str, model: str, evaluation: str,
    scenarios: Sequence[Scenario], progress: Progress,
) -> list[Attempt]:  # fmt: skip
    """Play a policy greedily and sampled; leave out what the verifier could not judge."""
    known = {s.scenario_id: s for s in scenarios}
    attempts = []
    modes: list[tuple[Literal["greedy", "sampled"], int]] = [
        ("greedy", 1), ("sampled", config.evaluate.samples),
    ]  # fmt: skip
    for mode, samples in modes:
        rollouts = play_policy(
            config, policy, list(scenarios), samples=samples, greedy=mode == "greedy",
            seed=config.seed, progress=_renamed(progress, f"evaluate {name} {mode}"),
        )  # fmt: skip
        attempts += [
            _attempt(r, known[r.scenario_id], night, model, name, evaluation, mode)
            for r in rollouts
            if r.reward is not None
        ]
    return attempts


def _renamed(progress: Progress, title: str) -> Progress:
    """Report a player's progress under another name."""

    def tell(stage: str, done: int, total: int, note: str = "") -> None:
        progress(title, done, total, note or stage)

    return tell


def _attempt(
    rollout: Rollout, scenario: Scenario, night: str, model: str, name: str, evaluation: str,
    mode: Literal["greedy", "sampled"],
) -> Attempt:  # fmt: skip
    """Turn a rollout into a row. A malformed call fails whatever the text says."""
    return Attempt(
        evaluation=evaluation, night=night, model=model, candidate=name,
        scenario_id=scenario.scenario_id, split=scenario.split, slice=scenario.slice,
        specification=scenario.specification, mode=mode, attempt=rollout.attempt,
        success=0.0 if rollout.malformed else float(rollout.reward or 0.0),
        tool_calls=rollout.tool_calls, tool_errors=rollout.tool_errors,
        malformed=rollout.malformed, truncated=rollout.truncated,
        tokens=sum(rollout.agent_mask), seconds=rollout.seconds,
    )  # fmt: skip
