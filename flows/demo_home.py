"""The home of a demo: whose it is, which nights it holds, and how its pages are opened."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError
from tasks.ledger import run_folder

FIRST = date(2026, 1, 5)
"""First night. Fixed, so that one seed gives the same logs on any day."""


def nights_of(count: int) -> list[str]:
    """Name a demo's nights."""
    return [(FIRST + timedelta(days=index)).isoformat() for index in range(count)]


def claim_home(config: FlywheelConfig, count: int) -> None:
    """Write the demo's parameters into the home, or compare them with those that are there.

    Raises:
        ConfigurationError: They differ, or the home holds something that no demo made.
    """
    known = config.home / "demo.json"
    wanted = {**config.model_dump(mode="json", exclude={"home"}), "nights": count}
    if not known.exists():
        if (config.home / "tables").exists():
            raise ConfigurationError(
                f"{config.home} holds tables that no demo made.",
                "Give the demo a home of its own: --home .flywheel-demo",
            )
        config.home.mkdir(parents=True, exist_ok=True)
        known.write_text(json.dumps(wanted, indent=1, sort_keys=True))
        return
    old, new = _flat(json.loads(known.read_text())), _flat(wanted)
    changed = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    if changed:
        key = changed[0]
        raise ConfigurationError(
            f"{config.home} holds a demo with {key} = {old.get(key)}, not {new.get(key)}.",
            "Use the same parameters to take it up, or another --home.",
        )


def played(config: FlywheelConfig, night: str) -> dict[str, Any] | None:
    """Read a night that an earlier call finished."""
    path = run_folder(config, night) / "demo.json"
    entry: dict[str, Any] | None = json.loads(path.read_text()) if path.is_file() else None
    return entry


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give nested parameters dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def commands(config: FlywheelConfig) -> dict[str, str]:
    """Say how to open the pages that the demo left."""
    home = config.home
    return {
        "Prefect": f"PREFECT_HOME={home / 'prefect'} prefect server start",
        "MLflow": f"mlflow ui --backend-store-uri sqlite:///{home / 'mlflow' / 'mlflow.db'}",
    }
