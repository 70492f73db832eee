"""Lineage of a policy: from the registered version to the files it learned from, and back."""

from __future__ import annotations

from typing import Any

from models import registry
from schemas.config import FlywheelConfig
from schemas.errors import MissingStateError
from tasks.evaluate.attempts import CHAMPION
from tasks.ledger import Ledger
from warehouse.lineage import builds_of, descendants, episodes_matching, sources_of_build
from warehouse.tables import Warehouse


def lineage_of(
    config: FlywheelConfig, warehouse: Warehouse, *, night: str, train: dict[str, Any],
    evaluation: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Gather where tonight's policy comes from.

    Returns:
        `night`, `candidate`, `build`, `start` (version it was trained from), `code`, `runs`,
        `datasets`, `sources` and the ids of both evaluations.
    """
    ledger = Ledger(config, night)
    built = (ledger.get("build") or {"result": {}})["result"]
    build = str(train.get("build") or built.get("digest") or "unknown")
    name = evaluation["challenger"]
    versions = {**built.get("inputs", {}), **built.get("tables", {})}
    return {
        "night": night, "candidate": name, "build": build,
        "start": evaluation["champion_version"], "code": str(train.get("code", "unknown")),
        "runs": [r for r in (train.get("run_id"), _candidate_run(train, name)) if r],
        "datasets": [
            {"name": table, "version": version, "digest": build if table in _BUILT else ""}
            for table, version in sorted(versions.items())
        ],
        "sources": sources_of_build(warehouse, build),
        "evaluations": {n: evaluation["models"][n]["evaluation"] for n in (name, CHAMPION)},
        "scenario_set": evaluation["scenario_set"],
    }  # fmt: skip


_BUILT = ("trajectories", "pairs")
"""Tables whose rows belong to a build."""


def datasets_of(lineage: dict[str, Any]) -> list[dict[str, Any]]:
    """List the datasets for the registry, those of the build first."""
    return sorted(lineage["datasets"], key=lambda d: (d["name"] not in _BUILT, d["name"]))


def _candidate_run(train: dict[str, Any], name: str) -> str | None:
    for candidate in train.get("candidates", []):
        if candidate["name"] == name:
            run: str | None = candidate.get("run_id")
            return run
    return None


def lineage_of_version(config: FlywheelConfig, reference: str) -> dict[str, Any]:
    """Walk from a registered version to its decision, runs, datasets and source files.

    Args:
        config: Where registry and tables are.
        reference: Version number or alias.

    Returns:
        Keys of `flywheel lineage --json`, with `trained_from` for the versions before it.

    Raises:
        MissingStateError: There is no such version.
    """
    found = registry.describe(config, reference)
    tags, warehouse = found["tags"], Warehouse(config.home)
    build = tags.get("lineage.build", "unknown")
    start = tags.get("lineage.start", "none")
    return {
        "version": found["version"], "aliases": found["aliases"],
        "decision": {
            "decision": tags.get("gate.decision"), "reason": tags.get("gate.reason"),
            "night": tags.get("lineage.night"), "candidate": tags.get("lineage.candidate"),
            "gates": {
                k.removeprefix("gate."): v
                for k, v in tags.items()
                if k.startswith("gate.") and v in ("passed", "failed")
            },
        },
        "runs": [found["run_id"]] if found["run_id"] else [],
        "datasets": registry.datasets_of_run(config, found["run_id"]),
        "sources": sources_of_build(warehouse, build), "build": build,
        "trained_from": None if start == "none" else start,
        "evaluation": tags.get("lineage.evaluation"),
    }  # fmt: skip


def models_that_learned_from(config: FlywheelConfig, what: str) -> dict[str, Any]:
    """Walk from an episode, session, user or file to every model that learned from it.

    Args:
        config: Where registry and tables are.
        what: Episode id, the log's own id, session, user, file path or sha256.

    Returns:
        `what`, `episodes` that match, `builds` and `models`, each with whether it learned from
        the data itself or through the version it was trained from.

    Raises:
        MissingStateError: Nothing in the home goes by that name.
    """
    warehouse = Warehouse(config.home)
    episodes = episodes_matching(warehouse, what)
    if episodes == 0:
        raise MissingStateError(
            f"No model version, episode, session, user or file goes by '{what}' in {config.home}.",
            "`flywheel sql 'SELECT episode_id, source_file FROM episodes LIMIT 5'` shows some.",
        )
    builds = builds_of(warehouse, what)
    known = {v["version"]: v["tags"] for v in registry.versions(config)}
    direct = {v for v, tags in known.items() if tags.get("lineage.build") in builds}
    starts = {
        v: None if tags.get("lineage.start") in (None, "none") else tags["lineage.start"]
        for v, tags in known.items()
    }
    return {
        "what": what, "episodes": episodes,
        "builds": [{"digest": b, "episodes": n} for b, n in builds.items()],
        "models": [
            {"version": v, "learned": "directly" if v in direct else "through its start"}
            for v in sorted(descendants(starts, direct), key=int)
        ],
    }  # fmt: skip
