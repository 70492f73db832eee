"""How a conversation becomes text: the tiny policy's chat template and the messages it renders.

Tool calls use the tags that Hermes and Qwen models use, `<tool_call>{"name": ..., "arguments":
{...}}</tool_call>`, so that one parser reads them all. What the agent thought stands before what it
said, in `<think>...</think>`, as those models write it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.episode import Message, ToolCall

END = "<|end|>"
PAD = "<|pad|>"
ROLES = ("system", "user", "assistant", "tool")
CALL_OPEN, CALL_CLOSE = "<tool_call>", "</tool_call>"
THOUGHT_OPEN, THOUGHT_CLOSE = "<think>", "</think>"

TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message.role == 'assistant' -%}"
    "{{- '<|assistant|>' -}}"
    "{%- generation -%}"
    "{%- if message.reasoning_content -%}"
    "{{- '<think>' + message.reasoning_content + '</think>' -}}"
    "{%- endif -%}"
    "{{- message.content or '' -}}"
    "{%- for call in message.tool_calls or [] -%}"
    "{%- set made = call.function if call.function is defined else call -%}"
    "{{- '<tool_call>{\"name\": ' + (made.name | tojson) + ', \"arguments\": ' -}}"
    "{{- (made.arguments | tojson) + '}</tool_call>' -}}"
    "{%- endfor -%}"
    "{{- '<|end|>' -}}"
    "{%- endgeneration -%}"
    "{%- else -%}"
    "{{- '<|' + message.role + '|>' + (message.content or '') + '<|end|>' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
"""Renders calls and results, preserves prefixes, and marks what the agent says as generation."""

RESPONSE_TEMPLATE: dict[str, Any] = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|assistant|>",
    "fields": {
        "reasoning_content": {
            "open": THOUGHT_OPEN,
            "close_pattern": THOUGHT_CLOSE,
            "content": "text",
        },
        "tool_calls": {
            "open": CALL_OPEN,
            "close_pattern": rf"{CALL_CLOSE}\s*",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"<\|end\|>\s*", "content": "text"},
    },
}
"""What TRL's own parser reads a turn with; see `trl.chat_template_utils.parse_response`."""

_TURN = re.compile(rf"(?s)(.*?)((?:{CALL_OPEN}.*?{CALL_CLOSE}\s*)*)")
_THOUGHT = re.compile(rf"(?s){THOUGHT_OPEN}(.*?){THOUGHT_CLOSE}")
_CALL = re.compile(rf"(?s){CALL_OPEN}(.*?){CALL_CLOSE}")


def to_chat(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Turn stored messages into what a chat template takes: arguments as objects, no nulls.

    What the agent thought is `reasoning_content`, the name that most templates read; transformers
    gives it to the others under theirs.

    Raises:
        ValueError: A call's arguments are not a JSON object; such an episode cannot be rendered
            to what the tool was really given.
    """
    chat: list[dict[str, Any]] = []
    for message in messages:
        turn: dict[str, Any] = {"role": message.role, "content": message.content or ""}
        if message.reasoning:
            turn["reasoning_content"] = message.reasoning
        if message.tool_calls:
            turn["tool_calls"] = [
                {"type": "function", "function": {"name": c.name, "arguments": _object(c)}}
                for c in message.tool_calls
            ]
        chat.append(turn)
    return chat


def renders(messages: Sequence[Message]) -> bool:
    """Tell whether `to_chat` can render messages: every call's arguments are an object."""
    return not any(call.malformed for message in messages for call in message.tool_calls)


def _object(call: ToolCall) -> dict[str, Any]:
    arguments = json.loads(call.arguments or "{}")
    if not isinstance(arguments, dict):
        raise ValueError(f"arguments of {call.name} are not an object: {call.arguments[:80]}")
    return arguments


class Turn(msgspec.Struct, frozen=True):
    """What one assistant turn came to."""

    content: str
    calls: list[ToolCall]
    malformed: bool
    """A call was opened that does not parse as a name and an object."""
    reasoning: str | None = None
    """What stood in `<think>...</think>` before the rest."""


def parse_turn(text: str) -> Turn:
    """Read one assistant turn from its raw text, tags included.

    A call that does not parse makes the turn malformed instead of becoming the answer:
    `<tool_call>42</tool_call>` must not read "42".
    """
    thought = _THOUGHT.match(text)
    reasoning, said = (thought[1], text[thought.end() :]) if thought else (None, text)
    content, calls, malformed = _said(said)
    return Turn(text if malformed and not calls else content, calls, malformed, reasoning)


def _said(text: str) -> tuple[str, list[ToolCall], bool]:
    """Tell content from calls, and whether a call is malformed."""
    if CALL_OPEN not in text and CALL_CLOSE not in text:
        return text, [], False
    found = _TURN.fullmatch(text)
    if found is None or not found[2]:
        return text, [], True
    calls = []
    for body in _CALL.findall(found[2]):
        try:
            made = json.loads(body)
        except json.JSONDecodeError:
            return text, [], True
        if not (isinstance(made, dict) and isinstance(made.get("name"), str)):
            return text, [], True
        if not isinstance(made.get("arguments"), dict):
            return text, [], True
        calls.append(ToolCall(name=made["name"], arguments=json.dumps(made["arguments"])))
    return found[1], calls, CALL_OPEN in found[1]
