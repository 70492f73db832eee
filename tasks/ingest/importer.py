"""The protocol of an importer: a module that knows one log format.

To add a format, write one module with `NAME`, `recognises` and `read`, and name it in
`tasks.ingest.detect.IMPORTERS`. Everything else (files, quarantine, ids, commits) is done for it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from schemas.episode import Message
from schemas.signal import Signal


class Place(NamedTuple):
    """Where a record was read."""

    source: str
    """sha256 of the file."""
    file: str
    line: int
    """1-based line (or record) number."""
    night: str


class Draft(msgspec.Struct, kw_only=True):
    """What a record says about one episode; ids, digests and place are added afterwards."""

    messages: list[Message]
    logged_id: str | None = None
    scenario_id: str | None = None
    trial: int | None = None
    session_id: str | None = None
    user_id: str | None = None
    agent: str | None = None
    policy_version: str | None = None
    model: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    tools: str | None = None
    logged_reward: float | None = None
    termination: str | None = None
    infrastructure_error: bool = False
    extra: str | None = None


class Importer(Protocol):
    """A module that knows one log format."""

    NAME: str
    """Name of the format, as in `--format`."""

    def recognises(self, record: dict[str, Any], /) -> bool:
        """Say from its content whether a record is of this format."""

    def read(self, record: dict[str, Any], place: Place, /) -> Draft | Signal:
        """Validate a record and say what it holds.

        Raises:
            ValueError: The record is bad; the message has the JSON path and becomes the reason.
            msgspec.ValidationError: The same, for a wrong type.
        """
