"""A night's training as the loop calls it: the recipe, and its record in MLflow."""

from __future__ import annotations

from typing import Any

from models.tracking import NightRun
from schemas.config import FlywheelConfig
from schemas.progress import Progress, report
from tasks.build.card import card_files
from tasks.evaluate.attempts import SCRIPTED
from tasks.ledger import run_folder
from tasks.train.recipe import train


def train_night(
    config: FlywheelConfig, *, night: str, built: dict[str, Any], champion: dict[str, Any],
    code: str, progress: Progress = report,
) -> dict[str, Any]:  # fmt: skip
    """Train the night's candidates from the champion and record each as an MLflow run.

    Args:
        config: Policy, recipes and home.
        night: `YYYY-MM-DD`.
        built: What the build stage returned.
        champion: `{"version", "policy"}`; a scripted champion gives no weights to start from.
        code: Version of the code.
        progress: Told about each candidate's training.

    Returns:
        What `tasks.train.recipe.train` returns, with `build`, `code`, `start_version` and run ids.
    """
    start = None if champion["policy"] == SCRIPTED else champion["policy"]
    result = train(
        config, night=night, build=built["digest"], start=start,
        run_dir=run_folder(config, night), progress=progress,
    )  # fmt: skip
    result |= {"build": built["digest"], "code": code, "start_version": champion["version"]}
    return result if result.get("run_id") else record(config, night, built, result)


def record(
    config: FlywheelConfig, night: str, built: dict[str, Any], trained: dict[str, Any]
) -> dict[str, Any]:
    """Write a night's run with a child run a candidate.

    Returns:
        `trained` with `run_id` of the night and of each candidate.
    """
    versions = {**built.get("inputs", {}), **built.get("tables", {})}
    datasets = [
        {"name": name, "version": versions[name], "digest": built["digest"]}
        for name in ("trajectories", "pairs", "scenarios")
        if name in versions
    ]
    params = {"seed": config.seed, "policy": config.train.policy.model_dump(), "night": night}
    candidates = []
    with NightRun(config, night, params=params, datasets=datasets) as run:
        for candidate in trained["candidates"]:
            recipe = getattr(config.train, candidate["name"], None)
            run_id = run.candidate(
                candidate["name"], params=recipe.model_dump() if recipe else {},
                metrics=figures(candidate), history=candidate.get("history", ()),
                tags={"flywheel.chosen": str(candidate["name"] == trained["chosen"])},
            )  # fmt: skip
            candidates.append({**candidate, "run_id": run_id})
        run.attach(card_files(config.home, built["digest"]), "build")
    return {**trained, "candidates": candidates, "run_id": run.run_id}


def figures(candidate: dict[str, Any]) -> dict[str, float]:
    """Choose a candidate's final figures."""
    validation = candidate.get("validation")
    found = validation if isinstance(validation, dict) else {"success": validation}
    numbers = {f"validation/{k}": float(v) for k, v in found.items() if isinstance(v, int | float)}
    return {**numbers, "seconds": float(candidate.get("seconds", 0.0))}
