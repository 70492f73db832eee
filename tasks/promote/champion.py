"""The champion: whom a night starts from, and whether its decision still stands."""

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
    that running it again with the same inputs finds all its stages done. That holds too when it
    was killed after the alias had moved: a night never starts from its own challenger.

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
    elif version is not None and night is not None:
        tags = registry.describe(config, version)["tags"]
        if (tags.get("lineage.night"), tags.get("lineage.build")) == (night, build):
            before = tags.get(registry.PREVIOUS)
            version = None if before == "none" else before
    if version is None:
        return {"version": None, "policy": SCRIPTED, "digest": SCRIPTED}
    folder = registry.fetch(config, version)
    return {"version": version, "policy": str(folder), "digest": model_digest(str(folder))}


def as_it_stands(config: FlywheelConfig, decided: dict[str, Any]) -> dict[str, Any]:
    """Say in the reason of a promotion when another version serves by now.

    A night that is run again repeats its decision but moves no alias: it may have been rolled
    back since, or a later night may have won.

    Args:
        config: Where the registry is.
        decided: What the promote stage returned.
    """
    if decided["decision"] != "promoted":
        return decided
    now = registry.alias_version(config, "champion")
    if now == decided["version"]:
        return decided
    since = f"since then the champion has become {f'version {now}' if now else 'none'}"
    return {**decided, "reason": f"{decided['reason']}; {since}, and this run leaves it so"}
