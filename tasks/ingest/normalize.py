"""From a draft to an episode: content ids, day, question, and what is counted of it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from schemas.digest import digest
from schemas.episode import Episode, Message
from tasks.ingest.importer import Draft, Place

SUCCESS = 1.0
"""Logged reward from which an episode counts as a success; less is a failure."""


class Counts(NamedTuple):
    """What one episode adds to the totals of an ingest."""

    steps: int
    tool_calls: int
    tool_errors: int


def episode_of(draft: Draft, name: str, place: Place, raw: bytes) -> Episode:
    """Give a draft its ids and its place.

    The id is a digest of what was run and said, so the same episode read again, from whatever
    file, has the same id; where the log states an id of its own, that tells two runs with one
    wording apart.

    Args:
        draft: What the importer read.
        name: The importer's format name.
        place: Where it was read.
        raw: The record's bytes.
    """
    ran = [name, draft.model, draft.policy_version, draft.scenario_id, draft.trial, draft.logged_id]
    fields = {field: getattr(draft, field) for field in Draft.__struct_fields__}
    day = draft.started_at.strftime("%Y-%m-%d") if draft.started_at else place.night
    return Episode(
        **fields,
        episode_id=digest(msgspec.json.encode([ran, draft.messages])),
        format=name,
        day=day,
        source=place.source,
        source_file=place.file,
        source_line=place.line,
        raw_digest=digest(raw),
        body_digest=body_digest(draft.messages),
        question=question_of(draft.messages),
        night=place.night,
    )


def body_digest(messages: list[Message]) -> str:
    """Digest what was said and done, without the ids of calls: they differ between equal runs."""
    body = [
        (m.role, m.content, [(call.name, call.arguments) for call in m.tool_calls])
        for m in messages
    ]
    return digest(msgspec.json.encode(body))


def question_of(messages: list[Message]) -> str:
    """Give the first user message in lower case with white space squeezed.

    Numbers and identifiers stay: two questions with other values are two questions.
    """
    for message in messages:
        if message.role == "user":
            return " ".join((message.content or "").lower().split())
    return ""


def count(episode: Episode) -> Counts:
    """Count assistant steps, their tool calls, and the tool results that are errors."""
    steps = [message for message in episode.messages if message.role == "assistant"]
    return Counts(
        steps=len(steps),
        tool_calls=sum(len(step.tool_calls) for step in steps),
        tool_errors=sum(bool(message.error) for message in episode.messages),
    )


def outcome(episode: Episode) -> str:
    """Name the outcome the log itself states: `success`, `failure`, `unlabelled` or an error."""
    if episode.infrastructure_error:
        return "infrastructure_errors"
    if episode.logged_reward is None:
        return "unlabelled"
    return "success" if episode.logged_reward >= SUCCESS else "failure"
