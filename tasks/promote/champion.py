"""The champion a night starts from: the registered one, or at first the scripted agent."""

from __future__ import annotations

from typing import Any

from models import registry
from schemas.config import FlywheelConfig
from tasks.evaluate.attempts import SCRIPTED, model_digest
from tasks.ledger import Ledger


def starting_champion(
    config: FlywheelConfig, night: str | None = None, build: str | None = None
) -> dict[str, Any]:
    """Find the champion, as it was when this night began.

    A night that was already decided on the same build starts from the champion it had then, so
    that running it again with the same inputs finds all its stages done.

    Args:
        config: Where registry and home are.
        night: Night that is about to train; None asks for the current champion.
        build: Digest of the night's build.

    Returns:
        `version` (None on the first night), `policy` (its folder, or `scripted`) and `digest`.
    """
    version = registry.alias_version(config, "champion")
    done = Ledger(config, night).get("promote") if night else None
    if done and done["result"].get("build") == build:
        version = done["result"]["previous"]
    if version is None:
        return {"version": None, "policy": SCRIPTED, "digest": SCRIPTED}
    folder = registry.fetch(config, version)
    return {"version": version, "policy": str(folder), "digest": model_digest(str(folder))}
