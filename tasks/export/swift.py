"""ms-swift's datasets: one message a call and a result, and a `loss` flag a message, as JSON lines.

A turn that speaks and calls is an `assistant` message followed by its `tool_call` messages. Results
are matched to calls by their order, so they are put into that of the calls.

Source: https://swift.readthedocs.io/en/v4.6/Customization/Custom-dataset.html and, read in 4.6.0,
    https://github.com/modelscope/ms-swift/blob/v4.6.0/swift/dataset/preprocessor/core.py
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, takewhile
from typing import Any

import msgspec

from tasks.export.chatml import json_text
from tasks.export.conversation import Call, Turn
from tasks.export.examples import Example, Use, split, untaught

USES: tuple[Use, ...] = ("sft", "dpo", "kto", "rl")


def rows(use: Use, given: Iterable[Example], left_out: Counter[str]) -> Iterator[dict[str, Any]]:  # noqa: ARG001 - takes all
    """Write examples as ms-swift's rows.

    Args:
        use: One of `USES`.
        given: The examples.
        left_out: Counts, by reason, what cannot be said; here nothing.
    """
    for example in given:
        row: dict[str, Any] = {"messages": _messages(example.turns)}
        if example.tools:
            row["tools"] = json_text(example.tools)
        if use == "dpo":
            row["rejected_messages"] = _messages([*example.prompt, *example.rejected])
        elif use == "kto":
            row["label"] = example.desirable
        elif use == "rl":
            row |= example.facts
        yield row


def _messages(some: Sequence[Turn]) -> list[dict[str, Any]]:
    """Write turns as messages."""
    return [message for turn in in_order(some) for message in _parts(turn)]


def in_order(some: Sequence[Turn]) -> list[Turn]:
    """Put the results that follow one another into the order of their calls."""
    made: list[Turn] = []
    for is_result, run in groupby(some, lambda turn: turn.role == "tool"):
        together = list(run)
        made += sorted(together, key=lambda turn: turn.answers or "") if is_result else together
    return made


def _parts(turn: Turn) -> Iterator[dict[str, Any]]:
    """Write one turn: its words, then its calls."""
    if turn.role == "tool":
        yield {"role": "tool_response", "content": turn.content}
        return
    loss = {"loss": turn.taught} if turn.role == "assistant" else {}
    if turn.content or not turn.calls:
        yield {"role": turn.role, "content": turn.content, **loss}
    for call in turn.calls:
        said = json_text({"name": call.name, "arguments": call.arguments})
        yield {"role": "tool_call", "content": said, **loss}


def read(use: Use, written: Iterable[Mapping[str, Any]]) -> Iterator[Example]:
    """Read rows back; a turn that only calls, right after one that only speaks, joins it."""
    for row in written:
        tools = json.loads(row["tools"]) if row.get("tools") else []
        whole = read_messages(row["messages"])
        if use == "dpo":
            prompt = list(takewhile(lambda turn: not turn.taught, whole))
            yield Example(
                prompt=prompt,
                completion=whole[len(prompt) :],
                rejected=read_messages(row["rejected_messages"])[len(prompt) :],
                tools=tools,
            )
        elif use == "rl":
            yield Example(prompt=untaught(whole), tools=tools)
        else:
            yield split(whole, tools=tools, desirable=row.get("label"))


def read_messages(written: Iterable[Mapping[str, Any]]) -> list[Turn]:
    """Read messages back; calls get the ids that they were given when they were written."""
    made: list[Turn] = []
    number, before = 0, None
    open_calls: list[str] = []
    for each in written:
        role, content = each["role"], each["content"]
        if role == "tool_call":
            said = json.loads(content)
            call = Call(f"call{number:05}", said["name"], said["arguments"])
            number += 1
            if before not in ("assistant", "tool_call"):
                made.append(Turn(role="assistant", taught=each["loss"]))
                open_calls = []
            made[-1] = msgspec.structs.replace(made[-1], calls=[*made[-1].calls, call])
            open_calls.append(call.id)
        elif role == "tool_response":
            answers = open_calls.pop(0) if open_calls else None
            made.append(Turn(role="tool", content=content, answers=answers))
        else:
            made.append(Turn(role=role, content=content, taught=each.get("loss", False)))
            open_calls = []
        before = role
    return made
