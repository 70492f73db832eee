"""Make a build again from the versions it pins, and see whether its rows are the same bytes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from schemas.config import FlywheelConfig
from schemas.errors import MissingStateError
from tasks.build.build import narrowed, pinned
from tasks.build.chosen import choose
from tasks.build.manifest import load_manifest, manifest_path
from tasks.build.payload import Remade, remade
from warehouse.tables import Warehouse
from warehouse.upkeep import readable


def remake(config: FlywheelConfig, digest: str, code: str = "") -> dict[str, Any]:
    """Choose and fetch the rows of a build again, without writing any.

    Args:
        config: Home; what the build was made with is taken from its manifest.
        digest: The build, or the version of `trajectories` that its manifest names.
        code: Version of the code now.

    Returns:
        `digest`, `night`, `same` (all rows are the same bytes, and those that trainers read),
        `same_code` (it was made by the code of now; other code may make other bytes), and of each
        table `rows`, `sha256`, `same` and `stored` (they stand in the table); `alarms`, where
        anything differs; `forgotten`, where users were removed since, which breaks the pin.

    Raises:
        MissingStateError: There is no such build, or a version it pins is gone.
    """
    digest = named(config.home, digest)
    manifest = load_manifest(config.home, digest)
    if manifest is None or "rows" not in manifest:
        known = sorted(path.stem for path in (config.home / "builds").glob("*.json"))
        raise MissingStateError(
            f"{config.home} holds no build {digest!r} that can be made again.",
            f"There are: {', '.join(known) or 'none'}.",
        )
    settings = config.model_copy(
        update={
            name: type(getattr(config, name)).model_validate(manifest["config"][name])
            for name in ("build", "label")
        }
    )
    warehouse = Warehouse(config.home)
    for table, version in manifest["inputs"].items():
        if version not in readable(warehouse, table, [version]):
            notes = manifest.get("forgotten", [])
            why = "a user was forgotten since" if notes else "its files were removed"
            raise MissingStateError(
                f"Build {digest} cannot be made again: {table} {version} is gone; {why}.",
                f"Build the night anew: `flywheel build --night {manifest['night']}`.",
            )
    catalog = pinned(warehouse, manifest["inputs"], manifest["earlier"])
    chosen = choose(
        catalog,
        partial(narrowed, warehouse, manifest["inputs"]),
        settings,
        manifest["nights"],
        manifest["earlier"],
    )
    made = remade(warehouse, catalog, chosen, digest, manifest["nights"])
    tables = {table: compared(part, manifest["rows"][table]) for table, part in made.items()}
    alarms = [alarm for table, part in tables.items() for alarm in alarms_of(table, part)]
    return {
        "digest": digest,
        "night": manifest["night"],
        "same": not alarms,
        "alarms": alarms,
        "same_code": manifest["code"] == code,
        "tables": tables,
        "forgotten": manifest.get("forgotten", []),
    }


def compared(made: Remade, written: dict[str, Any]) -> dict[str, Any]:
    """Hold one table that was made again against what its manifest says of it."""
    again = made.written._asdict()
    return {**again, "same": again == written, "stored": made.stored}


def alarms_of(table: str, part: dict[str, Any]) -> list[str]:
    """Say in words what is not the same."""
    told = {"same": "came out otherwise", "stored": "in the table are others"}
    return [f"{table}: the rows {words}" for name, words in told.items() if not part[name]]


def named(home: Path, build: str) -> str:
    """Give the digest of a build that is named by its version of `trajectories`."""
    if not build.isdecimal() or manifest_path(home, build).is_file():
        return build
    made = [json.loads(path.read_text()) for path in (home / "builds").glob("*.json")]
    found = [one["digest"] for one in made if one.get("version") == int(build)]
    return str(found[0]) if len(found) == 1 else build
