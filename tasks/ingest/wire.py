"""The fast path: canonical OpenAI chat records, decoded and checked a line, shaped by the block.

A record that has exactly the canonical shape needs nothing that Python must do for it alone. One
that has not is left to its importer, which decides everything; what passes here comes to the same
as what the importer would have made of it, and a test holds that.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.ingest.canonical import (
    COUNTED,
    NO_USAGE,
    BareRecord,
    Kept,
    RecordDecoder,
    Schemas,
    WireMessage,
    read_record,
)
from tasks.ingest.columns import (
    HEAD,
    MESSAGE_COLUMNS,
    Columns,
    Flat,
    call_type,
    head_type,
    message_type,
    transposed,
)
from tasks.ingest.dialects.messages import OBJECT, is_object, says_error
from tasks.ingest.reading.records import Bytes

Integers: TypeAlias = npt.NDArray[np.int64]
PLAIN = ("policy_version", "agent", "session_id", "scenario_id", "trial", "model", "cost_usd")
"""Columns that a record has under the same name."""
RENAMED = {"id": "logged_id", "reward": "logged_reward", "finish_reason": "termination"}
"""Key of a record to column."""


class Wire(NamedTuple):
    """What the fast path made of a block."""

    flat: Flat | None
    """Episodes; None where there are none."""
    taken: npt.NDArray[np.bool_]
    """Which of the block's records these are, in order; the others are for the importer."""


def read_wire(raws: Sequence[Bytes]) -> Wire:
    """Read the records of a block that are canonical."""
    kept: list[Kept] = []
    taken = np.zeros(len(raws), np.bool_)
    tools, decoder = Schemas(), RecordDecoder()
    for number, raw in enumerate(raws):
        try:
            kept.append(read_record(raw, tools, decoder))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        taken[number] = True
    while kept:
        messages = list(chain.from_iterable([one.record.messages for one in kept]))
        flat = flattened(kept, messages, tools)
        results = results_of(flat)
        odd = needs_a_look(flat, results)
        if not odd.any():
            name_results(flat, results, messages)
            return Wire(flat, taken)
        taken[np.flatnonzero(taken)[odd]] = False
        kept = [one for one, out in zip(kept, odd, strict=True) if not out]
    return Wire(None, taken)


def flattened(kept: list[Kept], messages: list[WireMessage], tools: Schemas) -> Flat:
    """Shape records into columns.

    Args:
        kept: The records.
        messages: All of their messages.
        tools: The tool schemas that they name.
    """
    turns = [number for number, message in enumerate(messages) if message.tool_calls]
    calls_of = [messages[number].tool_calls or [] for number in turns]
    calls = list(chain.from_iterable(calls_of))
    call_counts = np.zeros(len(messages), np.int64)
    call_counts[turns] = [len(some) for some in calls_of]
    functions = [call.function for call in calls]
    bare = all(type(one.record) is BareRecord for one in kept)
    flat = Flat(
        heads=head_columns(kept, tools),
        messages=message_columns(messages, bare=bare),
        calls=transposed(calls, ("id",), call_type)
        | transposed(functions, ("name", "arguments"), call_type),
        message_counts=np.array([len(one.record.messages) for one in kept], np.int64),
        call_counts=call_counts,
    )
    malformed = ~are_objects([function.arguments for function in functions])
    flat.calls = {**flat.calls, "malformed": pa.array(malformed)}
    talks = pc.equal(flat.messages["role"], "assistant").to_numpy(zero_copy_only=False)
    answers = np.bincount(flat.message_owner, weights=talks, minlength=len(kept))
    flat.heads = {**flat.heads, "infrastructure_error": pa.array(answers == 0)}
    return flat


def are_objects(texts: list[str]) -> npt.NDArray[np.bool_]:
    """Say which texts are JSON objects, decoding all at once where all are.

    As lines they cannot run together: between two values is no comma, and no text of JSON holds a
    line break. With a brace in front each is at least one value, so as many values as texts are
    one each.
    """
    try:
        if all(text.startswith("{") for text in texts):
            found = OBJECT.decode_lines("\n".join(texts))
            if len(found) == len(texts):
                return np.ones(len(texts), np.bool_)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    return np.fromiter(map(is_object, texts), np.bool_, len(texts))


def head_columns(kept: list[Kept], tools: Schemas) -> Columns:
    """Make the columns of the episodes themselves; of broken runs their messages tell."""
    records = [one.record for one in kept]
    columns = transposed(
        records, (*PLAIN, *RENAMED), lambda name: head_type(RENAMED.get(name, name))
    )
    columns = {RENAMED.get(name, name): column for name, column in columns.items()}
    usage = [record.usage or NO_USAGE for record in records]
    columns |= transposed(usage, COUNTED, head_type)
    users = [r.user if r.user_id is None else r.user_id for r in records]
    started, ended = zip(*(one.times for one in kept), strict=True)
    made = {
        "user_id": users,
        "started_at": started,
        "ended_at": ended,
        "extra": [one.extra for one in kept],
    }
    columns |= {name: pa.array(values, head_type(name)) for name, values in made.items()}
    columns["tools"] = tools.column([one.tools for one in kept])
    return {
        name: columns[name] if name in columns else pa.nulls(len(kept), head_type(name))
        for name in HEAD
    }


def message_columns(messages: list[WireMessage], *, bare: bool) -> Columns:
    """Make the columns of the messages; tool results are named and judged later.

    Args:
        messages: All of a block.
        bare: Whether none has a name or reasoning.
    """
    names = ["role", "content", "tool_call_id"]
    if not bare:
        names += ["name", "reasoning_content"]
    columns = transposed(messages, names, lambda _: pa.string())
    if "reasoning_content" in columns:
        columns["reasoning"] = columns.pop("reasoning_content")
    return {
        name: columns[name] if name in columns else pa.nulls(len(messages), message_type(name))
        for name in MESSAGE_COLUMNS
    }


class Results(NamedTuple):
    """The tool results of a block."""

    places: Integers
    """Their messages."""
    calls: Integers
    """The call at each one's position in its turn; -1 where there is none."""


def results_of(flat: Flat) -> Results:
    """Match every tool result to the call at its position in the turn before it."""
    roles = flat.messages["role"]
    is_tool = pc.equal(roles, "tool").to_numpy(zero_copy_only=False)
    is_turn = pc.equal(roles, "assistant").to_numpy(zero_copy_only=False)
    numbers = np.arange(len(is_tool))
    turn = np.maximum.accumulate(np.where(is_turn, numbers, -1))
    first = np.repeat(flat.message_starts[:-1], flat.message_counts)
    results_so_far = np.cumsum(is_tool)
    places = np.flatnonzero(is_tool)
    before = turn[places]
    position = results_so_far[places] - 1 - results_so_far[before]
    known = (before >= first[places]) & (position < flat.call_counts[before])
    calls = np.where(known, flat.call_starts[:-1][before] + position, -1)
    return Results(places, calls)


def name_results(flat: Flat, results: Results, messages: list[WireMessage]) -> None:
    """Name each tool result after its call, and tell whether it reads as an error.

    Args:
        flat: The block.
        results: Its tool results.
        messages: All messages, whose texts are there already as Python's.
    """
    places, calls = results
    if not len(places):
        return
    is_tool = np.zeros(len(flat.call_counts), np.bool_)
    is_tool[places] = True
    named = flat.calls["name"].take(pa.array(calls, mask=calls < 0))
    own = flat.messages["name"]
    names = pc.coalesce(own.take(pa.array(places)), named)
    said = [says_error(messages[place].content) for place in places.tolist()]
    errors = pa.array(said, pa.bool_())
    mask = pa.array(is_tool)
    flat.messages["name"] = pc.replace_with_mask(own, mask, names)
    flat.messages["error"] = pc.replace_with_mask(flat.messages["error"], mask, errors)


def needs_a_look(flat: Flat, results: Results) -> npt.NDArray[np.bool_]:
    """Say which episodes have something that only their importer decides.

    Such are a result whose id is not that of the call at its position, calls by anyone but the
    assistant, and keys on messages of a role that does not have them.
    """
    places, calls = results
    ids = flat.messages["tool_call_id"]
    theirs = ids.take(pa.array(places))
    ours = flat.calls["id"].take(pa.array(calls, mask=calls < 0))
    unnamed = pc.and_(pc.is_null(theirs), pc.is_null(ours))
    same = pc.coalesce(pc.equal(theirs, ours), unnamed).to_numpy(zero_copy_only=False)
    odd = np.zeros(len(flat.call_counts), np.bool_)
    odd[places] = ~same | (calls < 0)
    roles = flat.messages["role"]
    talks = pc.equal(roles, "assistant").to_numpy(zero_copy_only=False)
    answers = pc.equal(roles, "tool").to_numpy(zero_copy_only=False)
    thinks = pc.is_valid(flat.messages["reasoning"]).to_numpy(zero_copy_only=False)
    named = pc.is_valid(ids).to_numpy(zero_copy_only=False)
    odd |= (~talks & ((flat.call_counts > 0) | thinks)) | (~answers & named)
    return np.bincount(flat.message_owner[odd], minlength=flat.episodes) > 0
