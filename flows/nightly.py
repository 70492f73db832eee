"""The nightly flow: from a night's logs to a promoted champion, or the one there is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import flow

from flows.artifacts import publish_night
from flows.code import code_version
from flows.exports import fetched
from flows.ingest import ingest_night
from flows.logs import holds, what_to_read
from flows.quiet import quiet_night
from flows.settings import from_environment
from schemas.config import FlywheelConfig
from tasks.build.task import build_datasets
from tasks.evaluate.task import evaluate_candidates
from tasks.label.task import label_episodes
from tasks.ledger import Ledger
from tasks.promote.champion import as_it_stands, starting_champion
from tasks.promote.report import write_report
from tasks.promote.task import promote_challenger
from tasks.train.task import train_candidates
from warehouse.tables import Warehouse

DEFAULTS = FlywheelConfig()
"""The embedded CPU profile."""


@flow(name="nightly")
def nightly(
    config: FlywheelConfig = DEFAULTS, night: str | None = None,
    logs: list[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Ingest, label, build, train, evaluate and promote.

    Args:
        config: What to run with; what is not said is the embedded CPU profile.
        night: Name of the night, `YYYY-MM-DD`; None is today in UTC.
        logs: Files, folders, patterns, URLs and `mlflow:EXPERIMENT` to ingest; None is the folder
            `logs` in the home, or where there is none, what was already ingested for the night.

    Returns:
        What the promote stage returned, with `report`, the path of the night's page, and
        `alarms`, those of ingest. A night without new episodes keeps the champion.
    """
    config = from_environment(config)
    night = night or datetime.now(UTC).date().isoformat()
    settings, code = config.model_dump(mode="json"), code_version()
    ledger, files = Ledger(config, night), what_to_read(config, night, fetched(config, logs))

    ingested = ingest_night(config, night, files) if files else {}
    if not holds(config, night):
        if "episodes" in (known := heard(config)):  # late feedback may be about older ones
            label_episodes(settings, code, night, ingested, known)
        return quiet_night(config, ingested)
    ingested = ledger.require("ingest")
    labelled = ledger.run("label", label_episodes, settings, code, night, ingested, heard(config))
    built = ledger.run("build", build_datasets, settings, code, night, labelled)
    champion = starting_champion(config, night, built["digest"])
    trained = ledger.run("train", train_candidates, settings, code, night, built, champion)
    played = ledger.run("evaluate", evaluate_candidates, settings, code, night, trained, champion)
    decided = ledger.run("promote", promote_challenger, settings, code, night, trained, played)

    report = write_report(config, night)
    publish_night(ledger, report)
    stands = as_it_stands(config, decided)
    return {**stands, "report": str(report), "alarms": ingested["alarms"]}


def heard(config: FlywheelConfig) -> dict[str, int]:
    """Give the versions of what labels rest on as they are now, so that late feedback is seen."""
    versions = Warehouse(config.home).versions()
    return {table: versions[table] for table in ("episodes", "signals") if table in versions}
