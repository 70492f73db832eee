"""Importer of feedback events: evidence that arrives apart from its episode, often later."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.digest import digest
from schemas.signal import Signal
from tasks.ingest.importer import Place
from tasks.ingest.openai_chat import json_text, text
from tasks.ingest.times import parse_time

NAME = "feedback"

KINDS = frozenset(
    {"thumbs", "rating", "correction", "reask", "export", "complaint", "escalation"}
    | {"outcome", "score"}
)
WORDS = {
    "up": 1.0, "positive": 1.0, "good": 1.0, "yes": 1.0, "success": 1.0, "resolved": 1.0,
    "down": 0.0, "negative": 0.0, "bad": 0.0, "no": 0.0, "failure": 0.0, "unresolved": 0.0,
}  # fmt: skip
"""What people write instead of a number."""


class Record(msgspec.Struct):
    """One event. It names its episode, trace or session."""

    kind: str
    episode_id: str | int | None = None
    trace_id: str | int | None = None
    session_id: str | int | None = None
    timestamp: Any = None
    value: float | bool | str | None = None
    comment: str | None = None
    user_id: str | int | None = None
    source: str | None = None


KNOWN = frozenset(Record.__struct_fields__)


def recognises(record: dict[str, Any]) -> bool:
    """Say from its content whether a record is a feedback event."""
    named = {"episode_id", "trace_id", "session_id"} & record.keys()
    return "kind" in record and bool(named) and "messages" not in record


def read(record: dict[str, Any], place: Place) -> Signal:
    """Validate an event and say what it holds.

    Raises:
        ValueError: The kind is unknown, nothing is named, or the value says nothing.
        msgspec.ValidationError: A key is missing or has a wrong type.
    """
    event = msgspec.convert(record, Record)
    if event.kind not in KINDS:
        allowed = ", ".join(sorted(KINDS))
        raise ValueError(f"Unknown kind {event.kind[:40]!r} (allowed: {allowed}) - at `$.kind`")
    episode_id = text(event.episode_id if event.episode_id is not None else event.trace_id)
    session_id = text(event.session_id)
    if episode_id is None and session_id is None:
        raise ValueError("Expected an episode, trace or session id - at `$.episode_id`")
    comment, value = event.comment, number(event.value)
    if value is None and isinstance(event.value, str):
        if event.kind not in ("correction", "complaint", "reask", "escalation", "export"):
            raise ValueError(f"Expected a number, got {event.value[:40]!r} - at `$.value`")
        # A correction's value is what the user would have wanted to read.
        comment = comment or event.value
    time = parse_time(event.timestamp)
    said = [episode_id, session_id, time, event.kind, value, comment]
    return Signal(
        signal_id=digest(msgspec.json.encode(said)),
        episode_id=episode_id,
        session_id=session_id,
        timestamp=time,
        kind=event.kind,
        value=value,
        comment=comment,
        user_id=text(event.user_id),
        origin=event.source,
        source=place.source,
        source_file=place.file,
        source_line=place.line,
        extra=json_text({key: value for key, value in record.items() if key not in KNOWN}),
        night=place.night,
    )


def number(value: float | bool | str | None) -> float | None:
    """Read a value as a number; None when it is a text that is no known word."""
    if value is None or isinstance(value, bool | int | float):
        return None if value is None else float(value)
    if value.strip().lower() in WORDS:
        return WORDS[value.strip().lower()]
    try:
        return float(value)
    except ValueError:
        return None
