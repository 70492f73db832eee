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
    tables: dict[str, int] = {},  # noqa: ARG001, B006 (see below; never changed)
) -> dict[str, Any]:
    """Label; a stored result is known by `code`, what was ingested and the `tables`' versions.

    A reused ingest names the versions of its own day; `tables` tells of what came in since then.
    """
    settings = FlywheelConfig.model_validate(config)
    return label(settings, night=night, clock=lambda: datetime.now(UTC))
