"""Pins: the table versions that something refers to, and that must stay readable.

A build's manifest pins the versions it was made of and those it wrote; the lineage of a night's
policy pins the same. A version that can be read no more is no pin.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from schemas.errors import InputError

Pins = dict[str, dict[int, list[str]]]
"""Table to its pinned versions, each with who pins it."""


def pins(home: Path) -> Pins:
    """Collect the versions that builds and lineage refer to.

    Args:
        home: Folder of all run-time data.

    Raises:
        InputError: A manifest or lineage file is not whole, so nobody can tell what it pins.
    """
    found: defaultdict[str, defaultdict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    # What a build pins that was killed, it needs when it is taken up again.
    builds = home / "builds"
    for path in sorted([*builds.glob("*.json"), *builds.glob("*.begun")]):
        manifest = _object(path)
        for named in (manifest.get("inputs", {}), manifest.get("tables", {})):
            for table, version in named.items():
                found[table][version].append(f"build {path.stem}")
    for path in sorted((home / "runs").glob("*/lineage.json")):
        for dataset in _object(path).get("datasets", []):
            found[dataset["name"]][dataset["version"]].append(f"night {path.parent.name}")
    return {
        table: {v: who for v, who in versions.items() if v >= 0}
        for table, versions in found.items()
    }


def _object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: It holds something else.
    """
    try:
        value = json.loads(path.read_text())
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InputError(
            f"{path} does not hold a whole JSON object.",
            "Remove that file (what it pinned may go then) and run the same command again.",
        )
    return value
