"""The home of a demo: whose it is, and which nights it holds."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError
from tasks.ledger import read_object, run_folder, write_whole

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
        write_whole(known, json.dumps(wanted, indent=1, sort_keys=True))
        return
    restart = f"Give the demo another --home, or remove {config.home} to start over."
    old, new = _flat(read_object(known, restart) or {}), _flat(wanted)
    changed = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    if changed:
        key = changed[0]
        raise ConfigurationError(
            f"{config.home} holds a demo with {key} = {old.get(key)}, not {new.get(key)}.",
            "Use the same parameters to take it up, or another --home.",
        )


def played(config: FlywheelConfig, night: str) -> dict[str, Any] | None:
    """Read a night that an earlier call finished."""
    return read_object(run_folder(config, night) / "demo.json")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give nested parameters dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
