"""Prefect shell of the train stage."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import INPUTS

from schemas.config import FlywheelConfig
from tasks.train.night import train_night


@task(name="train", persist_result=True, result_serializer="json", cache_policy=INPUTS)
def train_candidates(
    config: dict[str, Any],
    code: str,
    night: str,
    built: dict[str, Any],
    champion: dict[str, Any],
) -> dict[str, Any]:
    """Train the candidates; `code` is part of what a stored result is known by."""
    settings = FlywheelConfig.model_validate(config)
    return train_night(settings, night=night, built=built, champion=champion, code=code)
