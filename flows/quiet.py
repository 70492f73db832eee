"""A night with no new episodes: nothing to learn from, and no reason to change the champion."""

from __future__ import annotations

from typing import Any

from models import registry
from schemas.config import FlywheelConfig


def quiet_night(config: FlywheelConfig, ingested: dict[str, Any]) -> dict[str, Any]:
    """Give what such a night returns: the keys of the promote stage, and no report.

    Args:
        config: Where the registry is.
        ingested: The account of ingest; empty where there was no file.
    """
    return {
        "decision": "kept",
        "reason": "no new episodes",
        "gates": [],
        "version": None,
        "previous": None,
        "champion": registry.alias_version(config, "champion"),
        "report": None,
        "alarms": ingested.get("alarms", []),
    }
