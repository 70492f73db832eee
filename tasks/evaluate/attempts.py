"""Attempts as the tables keep them, and the names that tell policies and evaluations apart."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import MissingStateError
from schemas.release import Attempt
from warehouse.tables import Warehouse

SCRIPTED = "scripted"
"""Stands for the logged production agent where a policy's folder is asked for."""
CHAMPION, LOGGED = "champion", "logged_agent"
"""Names beside the candidate's own in an evaluation."""
BESIDE_WEIGHTS = {"lineage.json", "report.html", "report.json", "MLmodel"}
"""Files in a policy's folder that are not part of the policy."""


def read_attempts(warehouse: Warehouse, evaluation: str) -> list[Attempt]:
    """Read the attempts of an evaluation; none when it was not played yet."""
    rows = warehouse.read("evaluations", where={"evaluation": evaluation}).to_pylist()
    found: dict[tuple[str, str, int], Attempt] = {}
    for row in rows:
        attempt = msgspec.convert(row, Attempt)
        found[attempt.scenario_id, attempt.mode, attempt.attempt] = attempt
    return list(found.values())


def model_digest(policy: str) -> str:
    """Name a policy by what it is: `scripted`, or the sha256 of its files.

    Raises:
        MissingStateError: There is no such folder.
    """
    if policy == SCRIPTED:
        return SCRIPTED
    folder = Path(policy)
    files = sorted(f for f in folder.rglob("*") if f.is_file() and f.name not in BESIDE_WEIGHTS)
    if not files:
        raise MissingStateError(
            f"There is no saved policy in {policy}.", "Run `flywheel train` for the night again."
        )
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{file.relative_to(folder)}:{content}\n".encode())
    return total.hexdigest()[:16]


def digest(value: Any) -> str:
    """Name any JSON value by a short sha256."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
