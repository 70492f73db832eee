"""Make a build again from the versions it pins, and see whether its rows are the same bytes."""

from __future__ import annotations

from functools import partial
from typing import Any

from schemas.config import FlywheelConfig
from schemas.errors import MissingStateError
from tasks.build.build import narrowed, pinned
from tasks.build.chosen import choose
from tasks.build.manifest import load_manifest
from tasks.build.payload import remade
from warehouse.tables import Warehouse
from warehouse.upkeep import readable


def remake(config: FlywheelConfig, digest: str, code: str = "") -> dict[str, Any]:
    """Choose and fetch the rows of a build again, without writing any.

    Args:
        config: Home; what the build was made with is taken from its manifest.
        digest: The build.
        code: Version of the code now.

    Returns:
        `digest`, `night`, `same` (all rows are the same bytes), `same_code` (it was made by the
        code of now; other code may make other bytes), and of each table `rows`, `sha256` and
        `same`; `forgotten`, where users were removed since, which breaks the pin.

    Raises:
        MissingStateError: There is no such build, or a version it pins is gone.
    """
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
    made = remade(catalog, chosen, digest, manifest["nights"])
    tables = {
        table: {**part._asdict(), "same": part._asdict() == manifest["rows"][table]}
        for table, part in made.items()
    }
    return {
        "digest": digest,
        "night": manifest["night"],
        "same": all(part["same"] for part in tables.values()),
        "same_code": manifest["code"] == code,
        "tables": tables,
        "forgotten": manifest.get("forgotten", []),
    }
