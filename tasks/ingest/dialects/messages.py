"""OpenAI-style messages, in all the variants that logs have, as the one shape of an episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import msgspec

from schemas.episode import Message, ToolCall
from tasks.ingest.dialects.values import json_text

ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user",
    "assistant": "assistant", "ai": "assistant", "model": "assistant",
    "tool": "tool", "function": "tool",
}  # fmt: skip
"""Role in a log to role here."""


class RawFunction(msgspec.Struct):
    """The `function` of a tool call."""

    name: str
    arguments: Any = None


class RawCall(msgspec.Struct):
    """A tool call, nested as OpenAI has it or flat."""

    id: str | None = None
    function: RawFunction | None = None
    name: str | None = None
    arguments: Any = None
    args: Any = None


class RawMessage(msgspec.Struct):
    """A message as logged. Types that no variant has are refused with their JSON path."""

    role: str
    content: str | list[Any] | dict[str, Any] | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    tool_calls: list[RawCall] | None = None
    function_call: RawFunction | None = None
    tool_call_id: str | None = None
    call_id: str | None = None
    source_call_id: str | None = None
    id: str | int | None = None
    name: str | None = None
    error: Any = None
    is_error: bool | None = None
    status: Any = None


class AnyObject(msgspec.Struct):
    """A JSON object, whatever is in it: checked, and nothing of it made."""


OBJECT = msgspec.json.Decoder(AnyObject)
KNOWN = frozenset(RawMessage.__struct_fields__)
CALL_KEYS = frozenset({*RawCall.__struct_fields__, "type"})
FUNCTION_KEYS = frozenset(RawFunction.__struct_fields__)
NOTHING: tuple[Any, ...] = (None, [], {})


def normalize_messages(
    raw: list[RawMessage], logged: Sequence[Mapping[str, Any]] | None = None
) -> list[Message]:
    """Bring messages into the one shape and name each tool result after its call.

    Args:
        raw: The messages.
        logged: The same as they were logged, for the keys that `RawMessage` does not know: what
            says something there is kept as `extra`.

    Raises:
        ValueError: A role is unknown, or a call has no name.
    """
    messages: list[Message] = []
    turn: list[ToolCall] = []
    answered = 0
    for index, message in enumerate(raw):
        extra = extra_of(logged[index]) if logged is not None else None
        role = role_of(message, index)
        if role == "tool":
            messages.append(tool_message(message, turn, answered, extra))
            answered += 1
            continue
        calls = tool_calls(message, index)
        if role == "assistant" or calls:
            turn, answered = calls, 0
        reasoning = message.reasoning_content
        if not reasoning and isinstance(message.reasoning, str):
            reasoning = message.reasoning
        messages.append(
            Message(
                role=role,
                content=text_of(message.content),
                reasoning=reasoning if role == "assistant" else None,
                tool_calls=calls,
                name=message.name,
                parts=parts_of(message.content),
                extra=extra,
            )
        )
    return messages


def role_of(message: RawMessage, index: int) -> str:
    """Give a message's role here.

    Raises:
        ValueError: It is unknown.
    """
    role = ROLES.get(message.role)
    if role is None:
        raise ValueError(
            f"Unknown role {message.role[:40]!r} (allowed: {', '.join(ROLES)})"
            f" - at `$.messages[{index}].role`"
        )
    return role


def extra_of(logged: Mapping[str, Any]) -> str | None:
    """Write the unknown keys of a message that say something as JSON text."""
    found = {k: v for k, v in logged.items() if k not in KNOWN and v not in NOTHING}
    calls = [call_extra(call) for call in logged.get("tool_calls") or []]
    return json_text(found | ({"tool_calls": calls} if any(calls) else {}))


def call_extra(call: Any) -> dict[str, Any]:
    """Give the unknown keys of a call that say something, those of its function among them."""
    if not isinstance(call, dict):
        return {}
    found = {k: v for k, v in call.items() if k not in CALL_KEYS and v not in NOTHING}
    function = call.get("function")
    inside = function if isinstance(function, dict) else {}
    more = {k: v for k, v in inside.items() if k not in FUNCTION_KEYS and v not in NOTHING}
    return found | ({"function": more} if more else {})


def parts_of(content: Any) -> str | None:
    """Write a content that is not one text as JSON text."""
    if content is None or isinstance(content, str):
        return None
    return msgspec.json.encode(content).decode()


def tool_message(
    raw: RawMessage, turn: list[ToolCall], position: int, extra: str | None = None
) -> Message:
    """Bring one tool result into shape, matched to its call."""
    result_id = raw.tool_call_id or raw.call_id or raw.source_call_id or None
    if result_id is None and raw.id is not None:
        result_id = str(raw.id)
    # An empty id is what was logged.
    result_id = raw.tool_call_id if result_id is None else result_id
    content = text_of(raw.content)
    call = matching_call(turn, position, result_id)
    return Message(
        role="tool",
        content=content,
        tool_call_id=result_id,
        name=raw.name or (call.name if call else None),
        error=bool(raw.error) or bool(raw.is_error) or raw.status == "error" or says_error(content),
        parts=parts_of(raw.content),
        extra=extra,
    )


def matching_call(turn: list[ToolCall], position: int, result_id: str | None) -> ToolCall | None:
    """Find the call that a result answers: by position in the turn, by id where positions moved.

    Ids repeat in real logs, within one episode too, so an id decides only inside the turn, only
    if it is unique there, and only if the call at the position has another id.
    """
    by_position = turn[position] if position < len(turn) else None
    if by_position is not None and by_position.id == result_id:
        return by_position
    by_id = [call for call in turn if call.id is not None and call.id == result_id]
    return by_id[0] if len(by_id) == 1 else by_position


def tool_calls(message: RawMessage, index: int) -> list[ToolCall]:
    """Read the calls of an assistant message."""
    if not message.tool_calls and message.function_call is None:
        return []
    calls = []
    for number, raw in enumerate(message.tool_calls or []):
        function = raw.function
        name = function.name if function else raw.name
        if name is None:
            raise ValueError(
                "Object missing required field `name`"
                f" - at `$.messages[{index}].tool_calls[{number}].function`"
            )
        given = function.arguments if function else raw.arguments
        calls.append(tool_call(raw.id, name, raw.args if given is None else given))
    if message.function_call is not None:
        calls.append(tool_call(None, message.function_call.name, message.function_call.arguments))
    return calls


def tool_call(call_id: str | None, name: str, arguments: Any) -> ToolCall:
    """Build a call whose arguments are JSON text; what is no JSON object is kept and marked."""
    if isinstance(arguments, str):
        return ToolCall(
            id=call_id, name=name, arguments=arguments, malformed=not is_object(arguments)
        )
    if not isinstance(arguments, dict | NoneType):
        said = msgspec.json.encode(arguments).decode()
        return ToolCall(id=call_id, name=name, arguments=said, malformed=True)
    given = arguments or {}
    # Some loggers key the arguments by the tool's own name.
    if len(given) == 1 and isinstance(given.get(name), dict):
        given = given[name]
    return ToolCall(id=call_id, name=name, arguments=msgspec.json.encode(given).decode())


def is_object(text: str) -> bool:
    """Say whether a text is a JSON object; a number may be greater than any float."""
    try:
        OBJECT.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def text_of(content: str | list[Any] | dict[str, Any] | None) -> str | None:
    """Give the text of a content: a string, parts keyed `text` or `content`, or an object."""
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, dict):
        return msgspec.json.encode(content).decode()
    texts = []
    for part in content:
        text: Any = part
        if isinstance(part, dict):
            # An empty text is a text.
            texts_in = [part.get(key) for key in ("text", "content")]
            text = next((found for found in texts_in if isinstance(found, str)), None)
        texts.append(text if isinstance(text, str) else msgspec.json.encode(part).decode())
    return "\n".join(texts)


def says_error(content: str | None) -> bool:
    """Say whether a tool result reads as an error: `Error:` in front, or `{"error": ...}`."""
    if not content:
        return False
    start = content.lstrip()
    if start.startswith("Error:"):
        return True
    if start.startswith("{") and '"error"' in start:
        try:
            body = msgspec.json.decode(start)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return False
        return isinstance(body, dict) and bool(body.get("error"))
    return False
