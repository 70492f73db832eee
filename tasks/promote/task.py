"""Prefect shell of the promote stage."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import INPUTS

from schemas.config import FlywheelConfig
from tasks.promote.promote import promote


@task(name="promote", persist_result=True, result_serializer="json", cache_policy=INPUTS)
def promote_challenger(
    config: dict[str, Any],
    code: str,  # noqa: ARG001 (see below)
    night: str,
    trained: dict[str, Any],
    evaluated: dict[str, Any],
) -> dict[str, Any]:
    """Decide on the challenger; `code` is part of what a stored result is known by."""
    settings = FlywheelConfig.model_validate(config)
    return promote(settings, night=night, train=trained, evaluation=evaluated)
