"""Conversations longer than a policy's context: cut between steps, or left out.

A step is one message of the agent with the results of its calls, and is kept whole or not at all.
To imitate, a conversation keeps its beginning and as many steps as fit. Of a pair both ends must
stay whole, so that it loses the oldest steps of what both share; the system's message and the
first question stay. Each long conversation is tokenised once to measure it and once as it is kept;
between, beginnings are only rendered, as few as a binary search asks for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import msgspec
import numpy as np
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from models.masks import Chat, Conversation, Masked, agents, render_prefix, rendered, tokenise_all

Trained = tuple[Conversation, Masked]
"""What is trained on, and its tokens."""


class Cut(msgspec.Struct, frozen=True):
    """What is kept of a conversation that is too long."""

    messages: Chat | None
    """The messages kept; None if it must be left out."""
    dropped_steps: int = 0
    """The agent's messages that were dropped, with their results."""
    reason: str = ""
    """Why it is left out."""
    train_on: Sequence[bool] = ()
    """Which of the messages kept the loss covers; empty for all."""


class Fitted(msgspec.Struct):
    """Conversations that fit a context."""

    kept: list[Trained] = []
    cut: int = 0
    """How many of them lost steps."""
    left_out: int = 0
    """How many others were dropped whole."""

    @property
    def tokens(self) -> int:
        """Tokens of all that is kept."""
        return sum(len(row.input_ids) for _, row in self.kept)


class FittedPairs(msgspec.Struct):
    """Pairs of which both sides fit a context."""

    kept: list[tuple[Trained, Trained]] = []
    """Chosen and rejected."""
    cut: int = 0
    left_out: int = 0


def cut(
    messages: Chat,
    tools: str | None,
    tokenizer: PreTrainedTokenizerBase,
    limit: int,
    train_on: Sequence[bool] = (),
) -> Cut:
    """Keep the beginning of a conversation: as many whole steps as fit.

    Args:
        messages: As `models.chat.to_chat` gives them.
        tools: Tool schemas as JSON text, as logged.
        tokenizer: With its chat template.
        limit: Most tokens.
        train_on: Which messages the loss covers; empty for all of the agent's.
    """
    whole = Conversation(messages, tools, train_on)
    at = _Places(whole, tokenizer)
    if at.tokens <= limit:
        return Cut(messages, train_on=train_on)
    own = agents(messages)
    ends = [_step_end(messages, place) for place in own]
    fitting = bisect_right(range(len(ends)), limit, key=lambda step: at(ends[step]))
    kept = own[:fitting]
    if not any(not train_on or train_on[place] for place in kept):
        return Cut(None, len(own), "no step that is trained on fits")
    end = ends[fitting - 1]
    return Cut(messages[:end], len(own) - fitting, train_on=train_on[:end])


def cut_shared(
    shared: Chat, tail: int, tools: str | None, tokenizer: PreTrainedTokenizerBase, limit: int
) -> Cut:
    """Drop the oldest steps of what both sides of a pair begin with.

    A later question goes when the last step that answers it goes.

    Args:
        shared: The messages before the sides part.
        tail: Tokens of the longer side after it.
        tools: Tool schemas as JSON text, as logged.
        tokenizer: With its chat template.
        limit: Most tokens of a side with what comes before it.
    """
    at = _Places(Conversation(shared, tools), tokenizer)
    excess = at.tokens + tail - limit
    if excess <= 0:
        return Cut(shared)
    first = next((n for n, m in enumerate(shared) if m["role"] == "user"), -1)
    steps = [place for place in agents(shared) if place > first]

    def dropped(count: int) -> int:
        gone = _gone(shared, steps, count)
        edges = [n for n in gone if n - 1 not in gone], [n + 1 for n in gone if n + 1 not in gone]
        return sum(at(stop) - at(start) for start, stop in zip(*edges, strict=True))

    enough = bisect_right(range(len(steps) + 1), excess - 1, key=dropped)
    if enough > len(steps):
        return Cut(None, len(steps), "question and sides are too long")
    gone = set(_gone(shared, steps, enough))
    return Cut([m for n, m in enumerate(shared) if n not in gone], enough)


def fit(
    conversations: Sequence[Conversation], tokenizer: PreTrainedTokenizerBase, limit: int
) -> Fitted:
    """Tokenise conversations to imitate; cut or leave out those that are too long."""
    rows = tokenise_all(conversations, tokenizer)
    found = Fitted()
    shorter: dict[int, Conversation] = {}
    for number, (one, row) in enumerate(zip(conversations, rows, strict=True)):
        if len(row.input_ids) > limit:
            made = cut(one.chat, one.tools, tokenizer, limit, one.train_on)
            if made.messages is not None:
                shorter[number] = Conversation(made.messages, one.tools, made.train_on)
    remade = dict(zip(shorter, tokenise_all(list(shorter.values()), tokenizer), strict=True))
    for number, (one, row) in enumerate(zip(conversations, rows, strict=True)):
        short = remade.get(number, row)
        # Measured once more: a template may write a beginning otherwise than the whole.
        if len(short.input_ids) > limit or not any(short.agent_mask):
            found.left_out += 1
            continue
        found.cut += number in shorter
        found.kept.append((shorter.get(number, one), short))
    return found


def fit_pairs(
    pairs: Sequence[tuple[Conversation, Conversation]],
    tokenizer: PreTrainedTokenizerBase,
    limit: int,
) -> FittedPairs:
    """Tokenise pairs, chosen and rejected; cut or leave out those of which a side is too long."""
    found = FittedPairs()
    flat = tokenise_all([side for pair in pairs for side in pair], tokenizer)
    for number, pair in enumerate(pairs):
        rows = flat[2 * number : 2 * number + 2]
        if _longest(rows) <= limit:
            found.kept.append(((pair[0], rows[0]), (pair[1], rows[1])))
            continue
        shorter = _cut_pair(pair, _longest(rows), tokenizer, limit)
        rows = tokenise_all(shorter, tokenizer)
        if not rows or _longest(rows) > limit:
            found.left_out += 1
            continue
        found.cut += 1
        found.kept.append(((shorter[0], rows[0]), (shorter[1], rows[1])))
    return found


def _cut_pair(
    pair: tuple[Conversation, Conversation],
    longest: int,
    tokenizer: PreTrainedTokenizerBase,
    limit: int,
) -> list[Conversation]:
    """Cut what both sides of a pair share; nothing if it must be left out."""
    chats = [side.chat for side in pair]
    parting = _parting(*chats)
    if parting == 0:
        return []
    shared, tools = chats[0][:parting], pair[0].tools
    tail = longest - _Places(Conversation(shared, tools), tokenizer).tokens
    made = cut_shared(shared, tail, tools, tokenizer, limit)
    if made.messages is None:
        return []
    return [Conversation([*made.messages, *chat[parting:]], tools) for chat in chats]


class _Places:
    """Tokens before a place in a conversation, which is tokenised once."""

    def __init__(self, conversation: Conversation, tokenizer: PreTrainedTokenizerBase) -> None:
        self._conversation, self._tokenizer = conversation, tokenizer
        ((text, _),) = rendered([conversation], tokenizer)
        encoding = tokenizer([text], add_special_tokens=False).encodings[0]
        self._starts = np.array([start for start, _ in encoding.offsets])
        self.tokens = len(self._starts)
        self._known: dict[int, int] = {}

    def __call__(self, count: int) -> int:
        """Count the tokens of the first messages."""
        if count not in self._known:
            text = render_prefix(self._conversation, count, self._tokenizer) or ""
            self._known[count] = int(np.searchsorted(self._starts, len(text)))
        return self._known[count]


def _step_end(chat: Chat, place: int) -> int:
    """Give the place after the results of the agent's message at `place`."""
    end = place + 1
    while end < len(chat) and chat[end]["role"] == "tool":
        end += 1
    return end


def _gone(chat: Chat, steps: list[int], count: int) -> list[int]:
    """List the messages that go with the first steps, and with them the questions they answer."""
    if not count:
        return []
    stop = steps[count] if count < len(steps) else len(chat)
    latest = max((n for n in range(steps[0], stop) if chat[n]["role"] == "user"), default=-1)
    asked = latest
    while asked > steps[0] and chat[asked - 1]["role"] == "user":
        asked -= 1
    return [
        n for n in range(steps[0], stop) if not asked <= n <= latest and chat[n]["role"] != "system"
    ]


def _parting(one: Chat, other: Chat) -> int:
    """Give the place of the agent's message with which two conversations part."""
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    while same > 0 and (same >= len(one) or one[same]["role"] != "assistant"):
        same -= 1
    return same


def _longest(rows: Sequence[Masked]) -> int:
    return max(len(row.input_ids) for row in rows)
