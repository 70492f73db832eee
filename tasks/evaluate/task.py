"""Prefect shell of the evaluate stage."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import INPUTS

from schemas.config import FlywheelConfig
from tasks.evaluate.contest import contest


@task(name="evaluate", persist_result=True, result_serializer="json", cache_policy=INPUTS)
def evaluate_candidates(
    config: dict[str, Any],
    code: str,  # noqa: ARG001 (see below)
    night: str,
    trained: dict[str, Any],
    champion: dict[str, Any],
) -> dict[str, Any]:
    """Play challenger and champion; `code` is part of what a stored result is known by."""
    settings = FlywheelConfig.model_validate(config)
    return contest(settings, night=night, train=trained, champion=champion)
