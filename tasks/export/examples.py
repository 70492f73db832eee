"""Examples: rows of a build's tables in the one shape that all formats are written from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any, Literal

import msgspec

from tasks.export.conversation import Turn, UnfitError, tools_of, turns

Use = Literal["sft", "dpo", "kto", "rl"]

FACTS = (
    "episode_id", "pair_id", "scenario_id", "kind", "weight", "total", "margin", "confidence",
    "episodes", "pass_rate", "difficulty", "logged",
)  # fmt: skip
"""Columns that formats with room for more carry along."""


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """What is trained on once."""

    prompt: list[Turn]
    """Everything before the agent's first message; of a pair, what both sides begin with."""
    completion: list[Turn] = []
    """The rest; of a pair, the better side; of a scenario, nothing."""
    rejected: list[Turn] = []
    """Of a pair, the worse side."""
    tools: list[dict[str, Any]] = []
    desirable: bool | None = None
    """Of an episode to prefer: whether it went well."""
    facts: dict[str, Any] = {}

    @property
    def turns(self) -> list[Turn]:
        """The conversation as one."""
        return [*self.prompt, *self.completion]


def examples(
    use: Use, rows: Iterable[Mapping[str, Any]], left_out: Counter[str]
) -> Iterator[Example]:
    """Turn rows into examples.

    Args:
        use: What the rows are for: `sft` and `kto` read trajectories, `dpo` pairs, `rl` scenarios
            (or, in builds that have none, the prompts among the trajectories).
        rows: Rows as dicts; columns that older builds lack are null.
        left_out: Counts, by reason, the rows that cannot be said; they are passed over.
    """
    for row in rows:
        try:
            yield _example(use, row)
        except UnfitError as reason:
            left_out[str(reason)] += 1


def _example(use: Use, row: Mapping[str, Any]) -> Example:
    """Turn one row into an example.

    Raises:
        UnfitError: It cannot be said, or there is nothing in it to learn.
    """
    facts = {key: row[key] for key in FACTS if row.get(key) is not None}
    tools = tools_of(row["tools"])
    if use == "dpo":
        prompt = untaught(turns(row["prompt"] or []))
        completion = turns(row["chosen"] or [], before=prompt)
        rejected = turns(row["rejected"] or [], before=prompt)
        if not (has_agent(completion) and has_agent(rejected)):
            raise UnfitError("no message of the agent")
        return Example(
            prompt=prompt, completion=completion, rejected=rejected, tools=tools, facts=facts
        )
    if use == "rl":
        messages = row["prompt"] if "prompt" in row else row["messages"]
        prompt = untaught(turns(messages or []))
        if not prompt:
            raise UnfitError("no messages")
        return Example(prompt=prompt, tools=tools, facts=facts)
    whole = turns(row["messages"] or [], row.get("train_on"))
    if not has_agent(whole):
        raise UnfitError("no message of the agent")
    if use == "sft" and not any(turn.taught for turn in whole if turn.role == "assistant"):
        raise UnfitError("nothing to train on")
    return split(whole, tools=tools, desirable=row["desirable"], facts=facts)


def split(whole: list[Turn], **others: Any) -> Example:
    """Part a conversation before the agent's first message."""
    prompt = list(takewhile(lambda turn: turn.role != "assistant", whole))
    return Example(prompt=prompt, completion=whole[len(prompt) :], **others)


def untaught(some: Iterable[Turn]) -> list[Turn]:
    """Give turns as context alone, which no loss covers."""
    return [msgspec.structs.replace(turn, taught=False) for turn in some]


def has_agent(some: Iterable[Turn]) -> bool:
    """Say whether the agent speaks."""
    return any(turn.role == "assistant" for turn in some)
