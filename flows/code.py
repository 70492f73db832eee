"""The version of the code: a stage's stored result is reused only by the code that made it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

PACKAGES = ("schemas", "warehouse", "models", "tasks")
"""Packages whose code decides results; how flows and commands look does not."""


@cache
def code_version() -> str:
    """Digest the project's own sources, SQL included."""
    root = Path(__file__).parent.parent
    total = hashlib.sha256()
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*")):
            if file.suffix in (".py", ".sql", ".j2"):
                total.update(f"{file.relative_to(root)}\n".encode())
                total.update(file.read_bytes())
    return total.hexdigest()[:16]
