"""The choice among a night's candidates, in words, and what is kept of each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.errors import TrainingError
from tasks.train.halving import Standing, points, ranked


def verdict(
    names: Sequence[str], standings: Mapping[str, Standing], left_out: Mapping[str, str],
    start: dict[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    """Choose by validation play among those that came furthest.

    Args:
        names: All candidates, in the order of the configuration.
        standings: How far those that were trained came.
        left_out: Why the others were not.
        start: The start's own validation play; None where there was none to play, or it failed.

    Returns:
        `candidates`, `chosen`, `reason`, `policies` and `start_validation`.

    Raises:
        TrainingError: None was trained.
    """
    order = ranked([standings[name] for name in names if name in standings])
    if not order:
        raise TrainingError(*_why_none(standings))
    best = order[0]
    equals = [one for one in order if one.reached == best.reached]
    return {
        "candidates": [
            _trained(standings[name], order) if name in standings else _skipped(name, left_out)
            for name in names
        ],
        "chosen": best.name,
        "reason": _reason(best, order[1:], standings.values(), start),
        "policies": {one.name: _last(one)["policy"] for one in equals},
        "start_validation": None if start is None else start["validation"],
    }  # fmt: skip


def _reason(
    best: Standing, others: Sequence[Standing], everyone: Any, start: dict[str, Any] | None
) -> str:
    """Say why one was chosen: against whom, on how many scenarios, and against the start."""
    rivals = [one for one in others if one.reached == best.reached]
    stopped = [one for one in others if one.reached < best.reached]
    scenarios = f"on {_last(best)['validation_n']} validation scenarios"
    mine = f"{best.name} {points(best.score)}"
    if rivals and rivals[0].score < best.score:
        said = (
            f"{mine} against {points(rivals[0].score)} of the next ({rivals[0].name}) {scenarios}"
        )
    elif rivals:
        said = f"{mine} as {rivals[0].name}, which the configuration names later, {scenarios}"
    elif stopped:
        said = f"{mine} {scenarios}; it alone went on, the others were stopped"
    else:
        said = f"{mine} {scenarios}; it is the only candidate"
    if best.reached < 1.0:
        said += f", after {best.reached:.0%} of its steps"
    if any(one.stopped.endswith("the budget of time was spent") for one in everyone):
        said += "; the budget of time was spent before all were compared to their end"
    if start is not None and best.score <= start["validation"]:
        said += f"; nothing beat the start, which has {points(start['validation'])}"
    elif start is not None:
        said += f"; the start has {points(start['validation'])}"
    return said


def _trained(standing: Standing, order: Sequence[Standing]) -> dict[str, Any]:
    """Gather what is kept of a candidate that was trained, or should have been."""
    record = _last(standing) if standing.results else _nothing(standing.name)
    record = {**record, "name": standing.name, "rungs": [_rung(*one) for one in standing.results]}
    record["seconds"] = sum(float(one["seconds"]) for _, one in standing.results)
    record["stopped_at"] = None
    if standing.stopped:
        record["stopped_at"] = {"rung": standing.reached, "reason": standing.stopped}
    if standing.error is not None:
        told = standing.error["error"]
        record |= {"validation": None, "health": [*record["health"], told], "error": told}
    return {**record, "decided": _decided(standing, order)}


def _decided(standing: Standing, order: Sequence[Standing]) -> str:
    """Say in a few words what became of a candidate."""
    best = order[0]
    if standing.error is not None:
        return f"failed: {standing.error['error']}"
    if standing is best:
        return "chosen"
    if standing.stopped:
        return standing.stopped
    behind = "is behind" if standing.score < best.score else "is no more than"
    return f"{points(standing.score)} {behind} {points(best.score)} of {best.name}"


def _skipped(name: str, left_out: Mapping[str, str]) -> dict[str, Any]:
    reason = f"left out: {left_out[name]}"
    return {**_nothing(name), "health": [reason], "decided": reason}


def _nothing(name: str) -> dict[str, Any]:
    return {
        "name": name, "stages": [], "validation": None, "seconds": 0.0, "health": [],
        "history": [], "rungs": [], "stopped_at": None,
    }  # fmt: skip


def _rung(until: float, result: Mapping[str, Any]) -> dict[str, Any]:
    """Write a score down: success as fractions, training time in seconds."""
    return {
        "until": until, "validation": result["validation"],
        "greedy": result["validation_greedy"], "sampled": result["validation_sampled"],
        "n": result["validation_n"], "seconds": result["seconds"],
        "cut": any(stage.get("stopped") == "time" for stage in result["stages"]),
    }  # fmt: skip


def _last(standing: Standing) -> dict[str, Any]:
    return standing.results[-1][1]


def _why_none(standings: Mapping[str, Standing]) -> tuple[str, str]:
    """Say of the first that failed why, and what to do."""
    for one in standings.values():
        if one.error is not None:
            return f"No candidate could be trained: {one.error['error']}", str(one.error["next"])
    return (
        "No candidate could be trained: the budget of time was spent before one was scored.",
        "Raise train.budget_minutes, or name fewer candidates.",
    )
