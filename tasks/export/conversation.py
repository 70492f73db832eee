"""Conversations as every exporter writes them: arguments as objects, one id a call, who is taught.

Ids of calls in real logs are missing or used twice, so all are given anew, in order: `call00000`
(nine letters and digits, the one form that the templates of all model families take).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

ROLES = ("system", "user", "assistant", "tool")


class UnfitError(ValueError):
    """A row cannot be said in the format; its only argument is the reason, in a few words."""


class Call(msgspec.Struct, frozen=True):
    """One call of a tool."""

    id: str
    """Unique in the conversation."""
    name: str
    arguments: dict[str, Any]


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One message."""

    role: str
    content: str = ""
    calls: list[Call] = []
    answers: str | None = None
    """Of a tool's message: id of the call it answers; None where no call is open."""
    taught: bool = False
    """Whether a trainer's loss covers it."""


def turns(
    messages: Sequence[Mapping[str, Any]],
    train_on: Sequence[bool] | None = None,
    before: Sequence[Turn] = (),
) -> list[Turn]:
    """Turn stored messages into turns.

    A result answers the open call whose logged id it has, where that is one; else the first open
    call. Calls are open until the next message that is no result.

    Args:
        messages: Rows of `messages`, `prompt`, `chosen` or `rejected`.
        train_on: Which messages are taught; None or nothing (older builds) is all of the agent.
        before: Turns that these continue; ids are counted on from theirs.

    Raises:
        UnfitError: Arguments that are no object, calls of a simulated user, an unknown role, or a
            mask of another length.
    """
    if train_on and len(train_on) != len(messages):
        raise UnfitError("the mask has another length")
    made: list[Turn] = []
    given = sum(len(turn.calls) for turn in before)
    waiting = list(_logged(before))
    for place, message in enumerate(messages):
        role, logged = message["role"], message["tool_calls"] or []
        if role not in ROLES:
            raise UnfitError("a role no format has")
        if message["requestor"] == "user" or (logged and role != "assistant"):
            raise UnfitError("calls that the agent did not make")
        calls = [
            Call(f"call{given + k:05}", call["name"], arguments_of(call))
            for k, call in enumerate(logged)
        ]
        answers = _answered(message, waiting) if role == "tool" else None
        if role != "tool":
            waiting = [(call["id"], new.id) for call, new in zip(logged, calls, strict=True)]
        given += len(calls)
        taught = bool(train_on[place]) if train_on else role == "assistant"
        made.append(
            Turn(
                role=role, content=message["content"] or "", calls=calls, answers=answers,
                taught=taught,
            )
        )  # fmt: skip
    return made


def _logged(before: Sequence[Turn]) -> list[tuple[str | None, str]]:
    """List the calls that are still open after turns; their logged ids are not known any more."""
    answered = {turn.answers for turn in before}
    for turn in reversed(before):
        if turn.role != "tool":
            return [(None, call.id) for call in turn.calls if call.id not in answered]
    return []


def _answered(message: Mapping[str, Any], waiting: list[tuple[str | None, str]]) -> str | None:
    """Find the call that a result answers, which is then open no more."""
    if not waiting:
        return None
    said = message["tool_call_id"]
    hits = [entry for entry in waiting if said is not None and entry[0] == said]
    chosen = hits[0] if len(hits) == 1 else waiting[0]
    waiting.remove(chosen)
    return chosen[1]


def arguments_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """Read a call's arguments.

    Raises:
        UnfitError: They are no JSON object.
    """
    value = parsed(call["arguments"] or "{}", "malformed arguments")
    if not isinstance(value, dict):
        raise UnfitError("malformed arguments")
    return value


def tools_of(text: str | None) -> list[dict[str, Any]]:
    """Read logged tool schemas in the one form that all formats take.

    Args:
        text: JSON text as logged: a list of `{"type": "function", "function": {...}}`, or of bare
            functions with `parameters` or `input_schema`; None is no tools.

    Raises:
        UnfitError: It is something else.
    """
    if not text:
        return []
    logged = parsed(text, "malformed tools")
    if not isinstance(logged, list):
        raise UnfitError("tools of an unknown form")
    return [_function(tool) for tool in logged]


def _function(tool: Any) -> dict[str, Any]:
    """Give one tool its `function`."""
    if isinstance(tool, dict) and isinstance(tool.get("function"), dict):
        return {"type": "function", **tool}
    if isinstance(tool, dict) and isinstance(tool.get("name"), str):
        function = {key: value for key, value in tool.items() if key != "type"}
        if "input_schema" in function:
            function["parameters"] = function.pop("input_schema")
        return {"type": "function", "function": function}
    raise UnfitError("tools of an unknown form")


def parsed(text: str, otherwise: str) -> Any:
    """Read JSON that every reader of it takes.

    Raises:
        UnfitError: It is no JSON; or it holds NaN, a number beyond all floats, or half a surrogate
            pair, which Python reads and others do not.
    """
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise UnfitError(otherwise) from None
    return value


def _finite(text: str) -> float:
    """Read a number; refuse NaN and infinities."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
