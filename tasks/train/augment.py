"""Renumbering: an episode retold with other numbers, so that a small policy learns to copy.

A policy from a random start sees the same few tool results again and again, and learns to recall
them instead of reading them. Here every number that a tool returned is replaced by a random one of
like shape, in the result and wherever the agent repeats it. Nothing about the task is told: which
numbers are repeated, and where, stays as logged. For a model that can copy already it is switched
off (`train.sft.renumber_share: 0`). The gain is measured in docs/results.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import numpy as np

from schemas.episode import Message, ToolCall

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def renumber(messages: Sequence[Message], rng: np.random.Generator) -> list[Message]:
    """Replace each number that a tool returned, there and in what the agent says after it.

    Args:
        messages: An episode; not changed.
        rng: Source of the new numbers: one to five digits, a decimal where there was one.

    Returns:
        The episode retold. Results that are not one bare number stay as they are.
    """
    told: list[Message] = []
    swaps: dict[str, str] = {}
    for message in messages:
        content = message.content or ""
        if message.role == "tool" and _NUMBER.fullmatch(content):
            if content not in swaps:
                swaps[content] = _like(content, rng)
            told.append(msgspec.structs.replace(message, content=swaps[content]))
        elif message.role == "assistant" and swaps:
            calls = [_retold(call, swaps) for call in message.tool_calls]
            said = _swap(content, swaps) if message.content else message.content
            told.append(msgspec.structs.replace(message, content=said, tool_calls=calls))
        else:
            told.append(message)
    return told


def _like(number: str, rng: np.random.Generator) -> str:
    digits = int(rng.integers(1, 6))
    whole = int(rng.integers(10 ** (digits - 1), 10**digits))
    sign = "-" if number.startswith("-") else ""
    tail = f".{rng.integers(1, 10)}" if "." in number else ""
    return f"{sign}{whole}{tail}"


def _retold(call: ToolCall, swaps: dict[str, str]) -> ToolCall:
    return msgspec.structs.replace(call, arguments=_swap(call.arguments, swaps))


def _swap(text: str, swaps: dict[str, str]) -> str:
    """Replace whole numbers only: not a part of a date, a decimal or a longer number."""
    spots = re.compile(
        "|".join(
            rf"(?<![\w.-]){re.escape(old)}(?![\w-]|\.\d)"
            for old in sorted(swaps, key=len, reverse=True)
        )
    )
    return spots.sub(lambda found: swaps[found[0]], text)
