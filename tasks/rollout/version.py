"""Which code plays and judges: results of play are only reused for the same code."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PLAY = ("tasks/rollout", "models/generation.py", "models/chat.py", "models/cache.py")
_TRAIN = (*_PLAY, "tasks/train", "models")


def play_version() -> str:
    """Digest the code that plays episodes and judges them."""
    return _digest(_PLAY)


def train_version() -> str:
    """Digest the code that trains, plays and judges."""
    return _digest(_TRAIN)


@lru_cache
def _digest(parts: tuple[str, ...]) -> str:
    files: set[Path] = set()
    for part in parts:
        path = _ROOT / part
        files |= set(path.rglob("*.py")) if path.is_dir() else {path}
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(_ROOT).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
