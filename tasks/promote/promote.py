"""Decide on a challenger, register it, move the aliases, and write down why.

Every step can be repeated: the registration has a key, the aliases are set to what they should
be, and the decision's row is committed last, once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from models import registry
from schemas.config import FlywheelConfig
from schemas.errors import InvariantError, MissingStateError
from schemas.release import Attempt, Decision, Gate
from schemas.tables import arrow_rows
from tasks.evaluate.attempts import CHAMPION, LOGGED, digest, model_digest, read_attempts
from tasks.ledger import Ledger, read_object, run_folder, write_whole
from tasks.promote.gates import decide, judge, reward_gate
from tasks.promote.lineage import datasets_of, lineage_of
from warehouse.tables import Warehouse

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Give the current time in UTC."""
    return datetime.now(UTC)


def promote(
    config: FlywheelConfig, *, night: str, train: dict[str, Any], evaluation: dict[str, Any],
    clock: Clock = utc_now,
) -> dict[str, Any]:  # fmt: skip
    """Hold the challenger against the champion and act on it.

    Args:
        config: Gates, registry and tables.
        night: `YYYY-MM-DD`.
        train: What the train stage returned.
        evaluation: What the contest returned.
        clock: Gives the time of the decision, UTC.

    Returns:
        Keys of `flywheel promote --json`, with `candidate`, `reason` and `build`.

    Raises:
        InvariantError: Candidate or champion is no longer what was played.
    """
    warehouse = Warehouse(config.home)
    _refuse_a_changed_candidate(train, evaluation)
    challenger, champion = _attempts_of_both(warehouse, evaluation)
    gates = judge(
        challenger, champion, config.promote, k=config.evaluate.samples, seed=config.seed
    )  # fmt: skip
    labelled = Ledger(config, night).get("label") or {"result": {}}
    gates.append(reward_gate(labelled["result"].get("tripwires", [])))
    decision, reason = decide(gates)
    key = _key(night, evaluation)
    record = run_folder(config, night) / f"decision-{key}.json"
    decided = bool(warehouse.committed("decisions", [f"promote:{key}"]))
    if decided and (done := read_object(record)):
        return done
    previous = evaluation["champion_version"]
    if not decided:
        known = registry.version_of_key(config, key)
        _refuse_a_moved_champion(config, night, previous, known)
    lineage = lineage_of(config, warehouse, night=night, train=train, evaluation=evaluation)
    version = _register(config, night, key, train, evaluation, gates, decision, reason, lineage)
    if not decided:  # else only its record was lost, and the aliases may have moved on since
        registry.set_alias(config, "challenger", version)
        if decision == "promoted":
            registry.set_alias(config, "champion", version)
    row = Decision(
        night=night, decided_at=clock(), decision=decision, candidate=evaluation["challenger"],
        reason=reason, gates=gates, version=version, previous=previous,
    )  # fmt: skip
    result = {
        "night": night, "decision": decision, "reason": reason, "candidate": row.candidate,
        "gates": [msgspec.to_builtins(g) for g in gates], "version": version,
        "previous": previous, "build": train.get("build") or lineage["build"],
        "champion": version if decision == "promoted" else previous,
    }  # fmt: skip
    write_whole(record, json.dumps(result, indent=1))
    warehouse.append("decisions", arrow_rows("decisions", [row]), transaction=f"promote:{key}")
    return result


def _key(night: str, evaluation: dict[str, Any]) -> str:
    """Name a decision: who was held against whom, on which scenarios, in which night."""
    models = evaluation["models"]
    return digest([
        night, models[evaluation["challenger"]]["evaluation"], models[CHAMPION]["evaluation"],
        evaluation["champion_version"],
    ])  # fmt: skip


def _attempts_of_both(
    warehouse: Warehouse, evaluation: dict[str, Any]
) -> tuple[list[Attempt], list[Attempt]]:
    """Read what challenger and champion did.

    Raises:
        MissingStateError: The evaluation's attempts are not in the table.
    """
    found = [
        read_attempts(warehouse, evaluation["models"][name]["evaluation"])
        for name in (evaluation["challenger"], CHAMPION)
    ]
    if not all(found):
        raise MissingStateError(
            f"The attempts of night {evaluation['night']} are not in the evaluations table.",
            "Run `flywheel evaluate` again.",
        )
    return found[0], found[1]


def _refuse_a_changed_candidate(train: dict[str, Any], evaluation: dict[str, Any]) -> None:
    """Stop when the candidate's folder is not what was played.

    Raises:
        InvariantError: The candidate was trained again since.
    """
    name = evaluation["challenger"]
    policy = train["policies"].get(name)
    if policy is None or model_digest(policy) != evaluation["models"][name]["model"]:
        raise InvariantError(
            f"Candidate {name} of night {evaluation['night']} has changed since it was played.",
            "Run `flywheel evaluate` again, then `flywheel promote`.",
        )


def _refuse_a_moved_champion(
    config: FlywheelConfig, night: str, previous: str | None, version: str | None
) -> None:
    """Stop when someone promoted or rolled back since the evaluation.

    Args:
        config: Where the registry is.
        night: Night that decides.
        previous: Champion that was played.
        version: What a promotion that was cut short registered for this decision, if it did.

    Raises:
        InvariantError: The alias stands for neither the evaluated champion nor this challenger.
    """
    now = registry.alias_version(config, "champion")
    if now in (previous, version):
        return
    made = registry.describe(config, now)["tags"].get("lineage.night") if now else None
    raise InvariantError(
        f"The champion is version {now or 'none'}, but {previous or 'none'} was played.",
        "This very night made it: to decide the night anew, run `flywheel rollback` first."
        if made == night
        else "Run `flywheel evaluate` again, then `flywheel promote`.",
    )


def _register(
    config: FlywheelConfig, night: str, key: str, train: dict[str, Any],
    evaluation: dict[str, Any], gates: list[Gate], decision: str, reason: str,
    lineage: dict[str, Any],
) -> str:  # fmt: skip
    """Register the challenger with its lineage, gates and comparison."""
    name = evaluation["challenger"]
    papers = run_folder(config, night) / "lineage.json"
    write_whole(papers, json.dumps(lineage, indent=1))
    tags = {
        "gate.decision": decision, "gate.reason": reason,
        registry.PREVIOUS: evaluation["champion_version"] or "none",
        **{f"gate.{g.name}": "passed" if g.passed else "failed" for g in gates},
        "lineage.night": night, "lineage.candidate": name, "lineage.build": lineage["build"],
        "lineage.start": lineage["start"] or "none", "lineage.code": lineage["code"],
        "lineage.evaluation": evaluation["models"][name]["evaluation"],
    }  # fmt: skip
    return registry.register(
        Path(train["policies"][name]), config=config, night=night, tags=tags, key=key,
        metrics=_metrics(evaluation["models"][name]), run_id=_run_of(train, name),
        description=comparison_markdown(evaluation, gates, reason),
        datasets=datasets_of(lineage), artifacts=[papers],
    )  # fmt: skip


def _run_of(train: dict[str, Any], name: str) -> str | None:
    """Find the MLflow run of a candidate, else the night's."""
    for candidate in train.get("candidates", []):
        if candidate["name"] == name and candidate.get("run_id"):
            return str(candidate["run_id"])
    return train.get("run_id")


def _metrics(model: dict[str, Any]) -> dict[str, float]:
    """Choose the frozen figures that the registry shows."""
    keys = ("pass_at_1", "sampled", "pass_at_k", "cost", "latency_s", "tool_error_rate")
    figures = {f"frozen/{key}": float(model[key]) for key in keys}
    for split, found in model["splits"].items():
        figures[f"{split}/pass_at_1"] = float(found["pass_at_1"])
    return figures


def comparison_markdown(evaluation: dict[str, Any], gates: list[Gate], reason: str) -> str:
    """Write the version page: comparison and gates as Markdown tables."""
    models = evaluation["models"]
    names = [evaluation["challenger"], CHAMPION, LOGGED]
    lines = [f"**{reason}**", "", "| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    rows = {
        "greedy success": "pass_at_1", "sampled success": "sampled", "pass@k": "pass_at_k",
        "tool calls": "cost", "tool-error rate": "tool_error_rate", "seconds": "latency_s",
    }  # fmt: skip
    for title, key in rows.items():
        lines.append(f"| {title} | " + " | ".join(f"{models[n][key]:.3f}" for n in names) + " |")
    lines += ["", "| gate | passed | measured | asked |", "|---|---|---|---|"]
    for gate in gates:
        mark = "yes" if gate.passed else "**no**"
        lines.append(f"| {gate.name} | {mark} | {gate.measured:.4f} | {gate.threshold:.4f} |")
    return "\n".join(lines)
