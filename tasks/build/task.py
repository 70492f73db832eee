"""Prefect shell of the build stage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.cache_policies import INPUTS

from schemas.config import FlywheelConfig
from tasks.build.build import build


@task(name="build", persist_result=True, result_serializer="json", cache_policy=INPUTS)
def build_datasets(
    config: dict[str, Any],
    code: str,
    night: str,
    labelled: dict[str, Any],  # noqa: ARG001 (see below)
) -> dict[str, Any]:
    """Build; `code` and the labelled versions are part of what a stored result is known by."""
    settings = FlywheelConfig.model_validate(config)
    return build(settings, night=night, clock=lambda: datetime.now(UTC), code=code)
