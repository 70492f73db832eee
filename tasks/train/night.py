"""A night's training as the loop calls it: the recipe, and its record in MLflow."""

from __future__ import annotations

from typing import Any

from models.tracking import NightRun, tag_run
from schemas.config import FlywheelConfig
from schemas.progress import Progress, report
from tasks.build.card import card_files
from tasks.evaluate.attempts import SCRIPTED
from tasks.ledger import run_folder, write_whole
from tasks.train.halving import points
from tasks.train.recipe import train
from tasks.train.room import make_sure_of_room


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
    make_sure_of_room(config, config.train.later_nights if start else config.train.first_night)
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
            run_id = run.candidate(
                candidate["name"], params=recipes(config, candidate["name"]),
                metrics=figures(candidate),
                history=[*candidate.get("history", ()), *rungs(candidate)],
                tags=marks(candidate, trained["chosen"]),
            )  # fmt: skip
            candidates.append({**candidate, "run_id": run_id})
        run.log(start_figures(trained))
        why = {"flywheel.chosen": trained["chosen"], "flywheel.reason": trained["reason"]}
        tag_run(config, run.run_id, why)
        run.attach(card_files(config.home, built["digest"]), "build")
        page = run_folder(config, night) / "training.md"
        write_whole(page, training_page(night, trained))
        run.attach([page], "training")
    return {**trained, "candidates": candidates, "run_id": run.run_id}


def recipes(config: FlywheelConfig, route: str) -> dict[str, Any]:
    """Give the recipes of a candidate's stages, by stage."""
    return {stage: getattr(config.train, stage).model_dump() for stage in route.split("+")}


def figures(candidate: dict[str, Any]) -> dict[str, float]:
    """Choose a candidate's final figures."""
    named = {
        "validation/success": candidate.get("validation"),
        "validation/greedy": candidate.get("validation_greedy"),
        "validation/sampled": candidate.get("validation_sampled"),
        "seconds": candidate.get("seconds", 0.0),
    }
    return {name: float(value) for name, value in named.items() if value is not None}


def rungs(candidate: dict[str, Any]) -> list[dict[str, float]]:
    """Give a candidate's scores as a metric's history; its step is the share trained, per cent."""
    return [
        {
            "step": float(round(100 * one["until"])),
            **{f"rung/{key}": float(one[key]) for key in ("validation", "greedy", "sampled", "n")},
        }
        for one in candidate.get("rungs", ())
    ]


def marks(candidate: dict[str, Any], chosen: str) -> dict[str, str]:
    """Tag a candidate with what became of it."""
    stopped = candidate.get("stopped_at")
    return {
        "flywheel.chosen": str(candidate["name"] == chosen),
        "flywheel.reason": str(candidate.get("decided", "")),
        **({"flywheel.stopped_at": f"{stopped['rung']:.0%}"} if stopped else {}),
    }


def start_figures(trained: dict[str, Any]) -> dict[str, float]:
    """Give what is known of the start: its validation play, and how mixed its groups are."""
    known = {"start/validation": trained.get("start_validation")}
    for key in ("success", "pass_at_k", "mixed"):
        known[f"start/{key}"] = (trained.get("diagnosis") or {}).get(key)
    return {name: float(value) for name, value in known.items() if value is not None}


def training_page(night: str, trained: dict[str, Any]) -> str:
    """Write the night's training down: the choice, each candidate, and what monitors did."""
    lines = [f"# Training of {night}", "", f"Chosen: {trained['reason']}.", ""]
    lines += ["| candidate | scores | decided |", "|---|---|---|"]
    for one in trained["candidates"]:
        lines.append(f"| {one['name']} | {scores(one)} | {one['decided']} |")
    diagnosis = trained.get("diagnosis")
    if diagnosis:
        lines += ["", "## What the start gets wrong", ""]
        lines += [f"- {line}" for line in diagnosis["lines"]]
    for one in trained["candidates"]:
        if one["health"]:
            lines += ["", f"## {one['name']}", ""]
            lines += [f"- {line}" for line in one["health"]]
    return "\n".join(lines) + "\n"


def scores(candidate: dict[str, Any]) -> str:
    """Write a candidate's scores, rung by rung: `71.5 after 34%, 83.0`."""
    told = [
        points(one["validation"]) + ("" if one["until"] == 1.0 else f" after {one['until']:.0%}")
        for one in candidate.get("rungs", ())
    ]
    return ", ".join(told) or "-"
