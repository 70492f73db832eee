"""OpenAI's fine-tuning files: supervised (with a weight a message) and preference, as JSON lines.

A conversation ends with the agent's last message, as what follows teaches nothing. A preference
example takes one assistant message a side, so longer sides are left out. Whatever `problems` finds
is left out too: a file with one bad line is refused as a whole.

Source: `FineTuneChatRequestInput` and `FineTunePreferenceRequestInput` of the OpenAI API 2.3.0
    (https://github.com/openai/openai-openapi), and
    https://developers.openai.com/api/docs/guides/direct-preference-optimization (2026-11).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tasks.export.chatml import message, messages, read_turns
from tasks.export.conversation import ROLES, Turn
from tasks.export.examples import Example, Use, split

USES: tuple[Use, ...] = ("sft", "dpo")
SEVERAL = "a side of several messages"


def rows(use: Use, given: Iterable[Example], left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Write examples as lines of a fine-tuning file.

    Args:
        use: One of `USES`.
        given: The examples.
        left_out: Counts, by reason, what the service would refuse.
    """
    for example in given:
        if use == "dpo" and len(example.completion) + len(example.rejected) != 2:
            left_out[SEVERAL] += 1
            continue
        row = _supervised(example) if use == "sft" else _preference(example)
        found = problems(row)
        if found:
            left_out[found[0]] += 1
        else:
            yield row


def _supervised(example: Example) -> dict[str, Any]:
    """Write a conversation."""
    return {"messages": [_weighed(turn) for turn in to_the_end(example.turns)], **_tools(example)}


def to_the_end(some: Sequence[Turn]) -> list[Turn]:
    """Cut a conversation after the agent's last message."""
    last = max(place for place, turn in enumerate(some) if turn.role == "assistant")
    return list(some[: last + 1])


def _preference(example: Example) -> dict[str, Any]:
    """Write a pair."""
    return {
        "input": {"messages": messages(example.prompt, as_text=True), **_tools(example)},
        "preferred_output": messages(example.completion, as_text=True),
        "non_preferred_output": messages(example.rejected, as_text=True),
    }


def _weighed(turn: Turn) -> dict[str, Any]:
    """Write a turn with its weight, which only the assistant's messages have."""
    made = message(turn, as_text=True)
    return {**made, "weight": int(turn.taught)} if turn.role == "assistant" else made


def _tools(example: Example) -> dict[str, Any]:
    """Write tools; several calls at once are allowed, as they are by default in requests."""
    if not example.tools:
        return {}
    return {"tools": example.tools, "parallel_tool_calls": True}


def problems(row: Mapping[str, Any]) -> list[str]:
    """List what is wrong with a line of either file, in a few words each; nothing is a good line.

    Args:
        row: The line, decoded.
    """
    if "input" not in row:
        found = conversation_problems(row["messages"])
        if not row["messages"] or row["messages"][-1]["role"] != "assistant":
            found.append("an end that is not the agent's")
        said = [each for each in row["messages"] if each["role"] == "assistant"]
        if not said:
            found.append("no message of the agent")
        elif not any(each.get("weight", 1) for each in said):
            found.append("nothing to train on")
        return found
    found = []
    if not row["input"]["messages"]:
        found.append("no messages")
    for side in ("preferred_output", "non_preferred_output"):
        if [each["role"] for each in row[side]] != ["assistant"]:
            found.append(SEVERAL)
        else:
            found += conversation_problems([*row["input"]["messages"], *row[side]])
    return found


def conversation_problems(written: Sequence[Mapping[str, Any]]) -> list[str]:
    """List what is wrong with messages: roles, calls and their results."""
    found = []
    seen: set[str] = set()
    waiting: set[str] = set()
    for each in written:
        if each["role"] not in ROLES or not isinstance(each.get("content"), str | None):
            found.append("a role or content of an unknown form")
        if each["role"] == "tool":
            if each.get("tool_call_id") not in waiting:
                found.append("a result without a call")
            waiting.discard(each.get("tool_call_id") or "")
            continue
        if waiting:
            found.append("a call without a result")
        waiting = set()
        for call in each.get("tool_calls") or []:
            if call["id"] in seen:
                found.append("an id used twice")
            if not is_object(call["function"]["arguments"]):
                found.append("malformed arguments")
            seen.add(call["id"])
            waiting.add(call["id"])
    return found


def is_object(text: Any) -> bool:
    """Say whether a text is a JSON object."""
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except ValueError:
        return False


def read(use: Use, written: Iterable[Mapping[str, Any]]) -> Iterator[Example]:
    """Read lines back."""
    for row in written:
        if use == "sft":
            said = row["messages"]
            whole = read_turns(said, [bool(each.get("weight", 0)) for each in said])
            yield split(whole, tools=row.get("tools") or [])
            continue
        prompt = row["input"]["messages"]
        yield Example(
            prompt=read_turns(prompt, [False] * len(prompt)),
            completion=read_turns(row["preferred_output"]),
            rejected=read_turns(row["non_preferred_output"]),
            tools=row["input"].get("tools") or [],
        )
