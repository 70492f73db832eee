"""A signal: a piece of evidence about an episode that arrives in or after it."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One feedback event. It may come before its episode, and waits for it."""

    signal_id: str
    """Digest of all that follows up to `comment`: the same event read twice is one signal."""
    episode_id: str | None = None
    """The log's own id of the episode (its `episode_id`, `trace_id` or record id), if given."""
    session_id: str | None = None
    timestamp: datetime | None = None
    """UTC."""
    kind: str
    """`thumbs`, `rating`, `correction`, `reask`, `export`, `complaint`, `escalation`, `outcome` or
    `score`."""
    value: float | None = None
    comment: str | None = None
    user_id: str | None = None
    origin: str | None = None
    """Who says so: `user`, `verifier`, `evaluator`, ... as the event's `source` key states."""
    source: str
    source_file: str
    source_line: int
    extra: str | None = None
    night: str = ""
    """The night under which it was ingested, `YYYY-MM-DD`."""
