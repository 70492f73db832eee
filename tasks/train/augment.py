"""Retelling: an episode with other values in its tool results, so that a small policy copies.

A policy from a random start sees the same few tool results again and again, and learns to recall
them instead of reading them. Here every number or single word that a tool returned is replaced by
another of its kind, in the result and wherever the agent repeats it. Nothing about the task is
told: which values are repeated, and where, stays as logged. For a model that can copy already it
is switched off (`train.sft.retold_share: 0`). The gain is measured in docs/results.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from schemas.episode import Message, ToolCall

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORD = re.compile(r"[^\W\d]+")


def words_returned(episodes: Iterable[Sequence[Message]]) -> list[str]:
    """Collect the single words that tools returned, for `retell` to draw from.

    Args:
        episodes: Messages of many episodes.

    Returns:
        Distinct words, sorted.
    """
    found = {
        m.content
        for messages in episodes
        for m in messages
        if m.role == "tool" and m.content and _WORD.fullmatch(m.content)
    }
    return sorted(found)


def retell(
    messages: Sequence[Message], rng: np.random.Generator, words: Sequence[str] = ()
) -> list[Message]:
    """Replace each value that a tool returned, there and in what the agent says after it.

    Args:
        messages: An episode; not changed.
        rng: Source of the new values: numbers of one to five digits, a decimal where there was
            one; words out of `words`.
        words: What single-word results are replaced by; none leaves them as they are.

    Returns:
        The episode retold. Results that are not one bare number or word stay as they are.
    """
    told: list[Message] = []
    swaps: dict[str, str] = {}
    for message in messages:
        content = message.content or ""
        if message.role == "tool" and (new := _like(content, rng, words)) is not None:
            new = swaps.setdefault(content, new)
            told.append(msgspec.structs.replace(message, content=new))
        elif message.role == "assistant" and swaps:
            calls = [_retold(call, swaps) for call in message.tool_calls]
            said = _swap(content, swaps) if message.content else message.content
            told.append(msgspec.structs.replace(message, content=said, tool_calls=calls))
        else:
            told.append(message)
    return told


def _like(value: str, rng: np.random.Generator, words: Sequence[str]) -> str | None:
    """Draw a value of the same kind; None for what is neither number nor known word."""
    if _NUMBER.fullmatch(value):
        digits = int(rng.integers(1, 6))
        whole = int(rng.integers(10 ** (digits - 1), 10**digits))
        sign = "-" if value.startswith("-") else ""
        tail = f".{rng.integers(1, 10)}" if "." in value else ""
        return f"{sign}{whole}{tail}"
    if words and _WORD.fullmatch(value):
        return words[int(rng.integers(len(words)))]
    return None


def _retold(call: ToolCall, swaps: dict[str, str]) -> ToolCall:
    return msgspec.structs.replace(call, arguments=_swap(call.arguments, swaps))


def _swap(text: str, swaps: dict[str, str]) -> str:
    """Replace whole values only: not a part of a date, a decimal, a word or a longer number."""
    longest_first = sorted(swaps, key=len, reverse=True)
    spots = re.compile(
        "|".join(rf"(?<![\w.-]){re.escape(old)}(?![\w-]|\.\d)" for old in longest_first)
    )
    return spots.sub(lambda found: swaps[found[0]], text)
