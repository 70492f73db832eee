"""Prefect shell of the label stage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.cache_policies import INPUTS

from schemas.config import FlywheelConfig
from tasks.label.label import label


@task(name="label", persist_result=True, result_serializer="json", cache_policy=INPUTS)
def label_episodes(
    config: dict[str, Any],
    code: str,  # noqa: ARG001 (see below)
    night: str,
    ingested: dict[str, Any],  # noqa: ARG001 (see below)
) -> dict[str, Any]:
    """Label; `code` and the ingested versions are part of what a stored result is known by."""
    settings = FlywheelConfig.model_validate(config)
    return label(settings, night=night, clock=lambda: datetime.now(UTC))
