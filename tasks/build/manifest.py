"""The manifest of a build: what it was made of, under a digest that the same inputs repeat."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from schemas.config import FlywheelConfig
from schemas.digest import digest

METHOD = "5"
"""Version of the building code; raised when the same inputs would give other rows."""
BEGUN = ".begun"
"""Ending of the file that says what a build is made of until it has a manifest."""


def build_digest(night: str, inputs: dict[str, int], read: str, config: FlywheelConfig) -> str:
    """Digest night, input table versions, what they were made of, configuration and method.

    Args:
        night: `YYYY-MM-DD`.
        inputs: Versions: numbers that two homes may share.
        read: Names the logs that the tables came from, and how they were labelled.
        config: Of build and labels.
    """
    said = json.dumps([METHOD, night, sorted(inputs.items()), read, config_digest(config)])
    return digest(said, 16)


def config_digest(config: FlywheelConfig) -> str:
    """Digest the part of the configuration that decides what a build is made of."""
    read = [config.build.model_dump(mode="json"), config.label.step_shrinkage]
    return digest(json.dumps(read, sort_keys=True), 16)


def builds_before(home: Path, night: str) -> list[str]:
    """List the newest build of each earlier night, oldest night first."""
    newest: dict[str, tuple[str, str]] = {}
    for path in (home / "builds").glob("*.json"):
        manifest = load_manifest(home, path.stem)
        if manifest is not None and manifest["night"] < night:
            made = (manifest["built_at"], path.stem)
            newest[manifest["night"]] = max(made, newest.get(manifest["night"], made))
    return [name for _, (_, name) in sorted(newest.items())]


def replayed_builds(home: Path, night: str, most: int) -> list[str]:
    """Draw the builds whose successes a night may replay: others every night, oldest first.

    So a night's replay reads no more the longer the history is.
    """
    known = builds_before(home, night)
    drawn = set(sorted(known, key=lambda name: digest(f"{night}:{name}"))[:most])
    return [name for name in known if name in drawn]


def manifest_path(home: Path, digest: str) -> Path:
    """Name the manifest file of a build."""
    return home / "builds" / f"{digest}.json"


def load_manifest(home: Path, digest: str) -> dict[str, Any] | None:
    """Read the manifest of a finished build; None when there is none."""
    path = manifest_path(home, digest)
    if not path.is_file():
        return None
    manifest: dict[str, Any] = json.loads(path.read_text())
    return manifest


def save_manifest(home: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest in one piece: a killed build leaves none."""
    path = manifest_path(home, manifest["digest"])
    _write(path, manifest)
    path.with_suffix(BEGUN).unlink(missing_ok=True)


def save_begun(home: Path, digest: str, begun: dict[str, Any]) -> None:
    """Write down what a build is made of before its first row is written."""
    _write(manifest_path(home, digest).with_suffix(BEGUN), begun)


def load_begun(home: Path, digest: str) -> dict[str, Any] | None:
    """Read what a build that was killed is made of; None where none was."""
    path = manifest_path(home, digest).with_suffix(BEGUN)
    if not path.is_file():
        return None
    begun: dict[str, Any] = json.loads(path.read_text())
    return begun


def _write(path: Path, said: dict[str, Any]) -> None:
    """Write an object in one piece."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(said, indent=1, sort_keys=True))
    part.replace(path)
