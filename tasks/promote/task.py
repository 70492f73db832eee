"""Prefect shell of the promote stage."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import INPUTS

from schemas.config import FlywheelConfig
from tasks.promote.promote import promote


@task(name="promote", persist_result=True, result_serializer="json", cache_policy=INPUTS)
def promote_challenger(
    config: dict[str, Any], code: str, night: str, trained: dict[str, Any],
    evaluated: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Decide on the challenger; `code` is the code version, part of what makes a result reusable."""
    settings = FlywheelConfig.model_validate(config)
    return promote(settings, night=night, train=trained, evaluation=evaluated)
