"""Importer of OpenAI chat records: `{"messages": [...]}` or a request with its response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tasks.ingest.canonical import uncounted
from tasks.ingest.dialects.messages import RawMessage, normalize_messages
from tasks.ingest.dialects.times import parse_time
from tasks.ingest.dialects.values import json_text, text
from tasks.ingest.importer import Draft, Place
from tasks.ingest.reading.records import Bytes
from tasks.ingest.wire import Wire, read_wire

NAME = "openai_chat"
GENERAL = True


class Usage(msgspec.Struct):
    """Token counts of the record (never summed with those of its choices: that counts twice)."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Choice(msgspec.Struct):
    """One answer of the model."""

    message: RawMessage | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class Token(msgspec.Struct):
    """A sampled token."""

    logprob: float


class Response(msgspec.Struct):
    """The response beside a request."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] = []
    usage: Usage | None = None
    error: Any = None


class Record(msgspec.Struct):
    """The keys this importer knows; others are kept as `extra`."""

    messages: list[RawMessage]
    id: str | int | None = None
    tools: list[dict[str, Any]] | str | None = None
    model: str | None = None
    policy_version: str | int | None = None
    agent: str | None = None
    session_id: str | int | None = None
    user_id: str | int | None = None
    user: str | int | None = None
    scenario_id: str | int | None = None
    trial: int | None = None
    timestamp: Any = None
    created: Any = None
    ended_at: Any = None
    usage: Usage | None = None
    cost_usd: float | None = None
    reward: float | None = None
    finish_reason: str | None = None
    choices: list[Choice] = []
    response: Response | None = None
    error: Any = None
    error_details: Any = None
    parallel_tool_calls: bool | None = None


KNOWN = frozenset(Record.__struct_fields__)
ANSWERED = frozenset(Response.__struct_fields__) | {"object"}
CHOSEN = ("message", "finish_reason", "index")
"""Keys of an answer that are read elsewhere, or say nothing of the only one."""


def recognises(record: dict[str, Any]) -> bool:
    """Say from its content whether a record is an OpenAI chat record."""
    request = record.get("request")
    return "messages" in record or (isinstance(request, dict) and "messages" in request)


def read(record: dict[str, Any], _place: Place) -> Draft:
    """Validate a record and say what it holds.

    Raises:
        ValueError: A role is unknown, a time is none, or there are no messages and no error.
        msgspec.ValidationError: A key is missing or has a wrong type.
    """
    request = record.get("request")
    if "messages" not in record and isinstance(request, dict):
        record = {**request, **{key: value for key, value in record.items() if key != "request"}}
    chat = msgspec.convert(record, Record)
    response = chat.response or Response(choices=chat.choices)
    raw = chat.messages + [c.message for c in response.choices[:1] if c.message is not None]
    chosen = choices_of(record)[:1]
    logged = record["messages"] + [c["message"] for c in chosen if c.get("message")]
    logprobs = sampled(response.choices[0].logprobs) if chosen else None
    broken = bool(chat.error or chat.error_details or response.error)
    if not raw and not broken:
        raise ValueError("Expected at least one message - at `$.messages`")
    messages = normalize_messages(raw, logged)
    usage = chat.usage or response.usage or Usage()
    reasons = [choice.finish_reason for choice in response.choices[:1]]
    return Draft(
        messages=messages,
        logged_id=text(chat.id if chat.id is not None else response.id),
        scenario_id=text(chat.scenario_id),
        trial=chat.trial,
        session_id=text(chat.session_id),
        user_id=text(chat.user_id if chat.user_id is not None else chat.user),
        agent=chat.agent,
        policy_version=text(chat.policy_version),
        model=response.model or chat.model,
        started_at=parse_time(chat.created if chat.timestamp is None else chat.timestamp),
        ended_at=parse_time(chat.ended_at, "$.ended_at"),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cost_usd=chat.cost_usd,
        tools=json_text(chat.tools),
        logprobs=logprobs,
        logged_reward=chat.reward,
        termination=chat.finish_reason or (reasons[0] if reasons else None),
        # A request that nobody answered is none of the agent's doing.
        infrastructure_error=broken or all(message.role != "assistant" for message in messages),
        extra=extra_of(record, read=logprobs is not None),
    )


def read_block(raws: Sequence[Bytes]) -> Wire:
    """Read the canonical ones among many records at once."""
    return read_wire(raws)


def choices_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the answers as they were logged."""
    response = record.get("response")
    source = record if response is None else response
    choices: list[dict[str, Any]] = source.get("choices") or []
    return choices


def sampled(logprobs: Any) -> list[float] | None:
    """Give the log-probabilities of an answer's tokens, where each of them has one."""
    try:
        tokens = msgspec.convert(logprobs["content"], list[Token])
    except (TypeError, KeyError, msgspec.ValidationError):
        return None
    return [token.logprob for token in tokens] or None


def extra_of(record: dict[str, Any], *, read: bool) -> str | None:
    """Keep unknown keys, errors, and what answers and counts say that no column holds.

    Args:
        record: As logged.
        read: Whether the log-probabilities of the answer have become a column.
    """
    extra = {key: value for key, value in record.items() if key not in KNOWN}
    extra |= {key: record[key] for key in ("error", "error_details") if record.get(key)}
    response = record.get("response") or {}
    first, *others = choices_of(record) or [{}]
    said = {key: value for key, value in first.items() if key not in CHOSEN and value is not None}
    if read and not has_alternatives(said["logprobs"]):
        del said["logprobs"]
    counted = record.get("usage") or response.get("usage") or {}
    beside = {
        "choice": said,
        "choices": others or (response and record.get("choices")),
        "usage": uncounted(counted),
        "response": response_rest(record, response),
    }
    return json_text(extra | {name: value for name, value in beside.items() if value})


def response_rest(record: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    """Give what a response says that the record does not, or says otherwise."""
    rest = {key: value for key, value in response.items() if key not in ANSWERED}
    said = ("id", "usage") if record.get("id") is not None else ("usage",)
    rest |= {key: response[key] for key in said if record.get(key) and response.get(key)}
    if response.get("error"):
        rest["error"] = response["error"]
    if response.get("model") and record.get("model") not in (None, response["model"]):
        rest["requested_model"] = record["model"]
    return {key: value for key, value in rest.items() if value is not None}


def has_alternatives(logprobs: dict[str, Any]) -> bool:
    """Tell whether log-probabilities tell of more than the tokens that were sampled."""
    tokens = logprobs["content"]
    return bool(logprobs.get("refusal")) or any(token.get("top_logprobs") for token in tokens)
