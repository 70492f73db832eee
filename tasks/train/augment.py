"""Retelling: an episode with other values in it, so that a small policy learns to copy.

A policy from a random start sees the same few values again and again, and learns to recall them
instead of reading them. Here every number or single word that a tool returned is replaced by
another of its kind, in the result and wherever the agent repeats it. A value that the agent took
from the question into a call becomes one that no question of the logs has in that place ("in tea"
for "in north"): a retold question is nonsense on purpose, so that it is never one of those held
out. Which values are passed on, and where to, stays as logged; nothing else is told. For a model
that can copy already it is switched off (`train.sft.retold_share: 0`). The gain is measured in
docs/results.md.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from schemas.episode import Message, ToolCall

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORD = re.compile(r"[^\W\d]+")
_QUOTED = re.compile(r"'([^\W\d]+)'")


class Vocabulary(NamedTuple):
    """What values may be replaced by, collected from the episodes themselves."""

    returned: list[str]
    """Single words that tools returned."""
    foreign: Mapping[str, list[str]]
    """By the word that stands before a value in a question: values that never stand there."""


NOTHING = Vocabulary([], {})
"""No words: only numbers are replaced."""


def vocabulary(episodes: Iterable[Sequence[Message]]) -> Vocabulary:
    """Collect the words that `retell` draws from.

    Args:
        episodes: Messages of many episodes.
    """
    returned: set[str] = set()
    asked: dict[str, set[str]] = defaultdict(set)
    for messages in episodes:
        returned |= {
            m.content
            for m in messages
            if m.role == "tool" and m.content and _WORD.fullmatch(m.content)
        }
        for before, value in _taken(messages):
            asked[before].add(value)
    everywhere = set().union(*asked.values())
    foreign = {before: sorted(everywhere - own) for before, own in sorted(asked.items())}
    return Vocabulary(sorted(returned), foreign)


def _taken(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """Find values quoted in calls that stand in the first question, each with the word before."""
    question = next((m.content for m in messages if m.role == "user" and m.content), "")
    arguments = (call.arguments for m in messages for call in m.tool_calls)
    quoted = sorted({value for text in arguments for value in _QUOTED.findall(text)})
    spots = ((re.search(rf"(\w+) {re.escape(value)}\b", question), value) for value in quoted)
    return [(spot[1], value) for spot, value in spots if spot]


def retell(
    messages: Sequence[Message], rng: np.random.Generator, words: Vocabulary = NOTHING
) -> list[Message]:
    """Replace the values that are passed on: from results and from the question.

    Args:
        messages: An episode; not changed.
        rng: Source of the new values: numbers of one to five digits, a decimal where there was
            one; words out of `words`.
        words: What words are replaced by; without any they stay as they are.

    Returns:
        The episode retold. Results that are not one bare number or word stay as they are.
    """
    told: list[Message] = []
    swaps = _questions_values(messages, rng, words)
    for message in messages:
        content = message.content or ""
        if message.role == "tool" and (new := _like(content, rng, words.returned)) is not None:
            new = swaps.setdefault(content, new)
            told.append(msgspec.structs.replace(message, content=new))
        elif message.role in {"user", "assistant"} and swaps:
            calls = [_retold(call, swaps) for call in message.tool_calls]
            said = _swap(content, swaps) if message.content else message.content
            told.append(msgspec.structs.replace(message, content=said, tool_calls=calls))
        else:
            told.append(message)
    return told


def _questions_values(
    messages: Sequence[Message], rng: np.random.Generator, words: Vocabulary
) -> dict[str, str]:
    """Draw a foreign value for each that was taken from the question, no two alike."""
    swaps: dict[str, str] = {}
    for before, value in _taken(messages):
        free = [v for v in words.foreign.get(before, []) if v not in swaps.values()]
        if free:
            swaps[value] = free[int(rng.integers(len(free)))]
    return swaps


def _like(value: str, rng: np.random.Generator, words: Sequence[str]) -> str | None:
    """Draw a value of the same kind; None for what is neither number nor known word."""
    if _NUMBER.fullmatch(value):
        # Half of the numbers have two digits only, over and over: a digit that stands twice is what
        # a policy that looks for "the digit after this one" gets wrong.
        alphabet = rng.integers(0, 10, 2) if rng.random() < 0.5 else np.arange(10)
        digits = rng.choice(alphabet, int(rng.integers(1, 6)))
        whole = int("".join(map(str, digits)))
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
