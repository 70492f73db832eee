"""Prefect shell of the ingest stage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.cache_policies import INPUTS

from schemas.config import FlywheelConfig
from tasks.ingest.ingest import ingest


@task(name="ingest", persist_result=True, result_serializer="json", cache_policy=INPUTS)
def ingest_logs(
    config: dict[str, Any],
    code: str,  # noqa: ARG001 (see below)
    night: str,
    files: dict[str, str],
) -> dict[str, Any]:
    """Ingest paths; their fingerprints and `code` are part of what a stored result is known by."""
    settings = FlywheelConfig.model_validate(config)
    return ingest(settings, list(files), night=night, clock=lambda: datetime.now(UTC))
