"""Messages in the chat-completions form, which most formats are made of, both ways.

Source: `ChatCompletionAssistantMessageParam` and its neighbours in
    https://github.com/openai/openai-python/tree/v3.52.0/src/openai/types/chat
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tasks.export.conversation import Call, Turn


def messages(some: Iterable[Turn], *, as_text: bool) -> list[dict[str, Any]]:
    """Write turns as messages.

    Args:
        some: The turns.
        as_text: Whether arguments are JSON text; else they are objects, and results have the name
            of their tool, as some chat templates want it.
    """
    made = []
    names: dict[str | None, str] = {}
    for turn in some:
        written = message(turn, as_text=as_text)
        if not as_text and turn.answers in names:
            written["name"] = names[turn.answers]
        names |= {call.id: call.name for call in turn.calls}
        made.append(written)
    return made


def message(turn: Turn, *, as_text: bool) -> dict[str, Any]:
    """Write one turn; keys that say nothing are left out."""
    made: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.calls:
        made["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json_text(call.arguments) if as_text else call.arguments,
                },
            }
            for call in turn.calls
        ]
    if turn.answers is not None:
        made["tool_call_id"] = turn.answers
    return made


def read_turns(
    written: Iterable[Mapping[str, Any]], taught: Sequence[bool] | None = None
) -> list[Turn]:
    """Read messages back.

    Args:
        written: Messages of `messages`.
        taught: Which are taught; None is all of the agent.
    """
    return [
        read_turn(each, taught[place] if taught else each["role"] == "assistant")
        for place, each in enumerate(written)
    ]


def read_turn(written: Mapping[str, Any], taught: bool) -> Turn:
    """Read one message back."""
    return Turn(
        role=written["role"],
        content=written.get("content") or "",
        calls=[_call(call) for call in written.get("tool_calls") or []],
        answers=written.get("tool_call_id"),
        taught=taught,
    )


def _call(written: Mapping[str, Any]) -> Call:
    arguments = written["function"]["arguments"]
    value = json.loads(arguments) if isinstance(arguments, str) else dict(arguments)
    return Call(written["id"], written["function"]["name"], value)


def json_text(value: Any) -> str:
    """Write JSON as one line, with the letters of all languages as they are."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
