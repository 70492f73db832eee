"""What names an episode: digests of what was run and said, and the question that was asked.

All of it is computed before anything is redacted, so that ids do not change with the rules.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.ingest.columns import Counts, Flat, starts

RAN = ("model", "policy_version", "scenario_id", "trial", "logged_id")
"""What tells two runs with one wording apart."""
ROLES = {"system": 1, "user": 2, "assistant": 3, "tool": 4}


class Names(NamedTuple):
    """What a block of episodes is called, one entry an episode."""

    episode_id: list[str]
    body_digest: list[str]


class Slices(NamedTuple):
    """A column's bytes, cut by episode."""

    buffer: memoryview
    cuts: Counts
    """Where each episode's bytes begin, and one past the last."""


def names_of(flat: Flat, format_name: str) -> Names:
    """Digest episodes.

    The body is roles, texts, and names and arguments of calls, without the ids of calls, which
    differ between equal runs. The id adds those, reasoning, the format, and what the log itself
    calls the run.

    Args:
        flat: Episodes, not redacted yet.
        format_name: The importer's name.
    """
    body = zip(*map(pieces, body_slices(flat)), strict=True)
    rest = zip(*map(pieces, rest_slices(flat)), strict=True)
    episode_ids, body_digests = [], []
    encode = msgspec.json.encode
    for ran, said, beside in zip(runs_of(flat), body, rest, strict=True):
        digest = sha256()
        for piece in said:
            digest.update(piece)
        body_digests.append(digest.hexdigest())
        digest.update(encode([format_name, *ran]))
        for piece in beside:
            digest.update(piece)
        episode_ids.append(digest.hexdigest())
    return Names(episode_ids, body_digests)


def pieces(slices: Slices) -> list[memoryview]:
    """Cut a column's bytes: one piece an episode."""
    buffer = slices.buffer
    return [buffer[start:end] for start, end in pairwise(slices.cuts.tolist())]


def runs_of(flat: Flat) -> list[tuple[Any, ...]]:
    """Give what tells each run from another with the same wording.

    Where the log gives a run no id, session, user and start do: two users who ask one thing and
    get one answer are two runs.
    """
    named = zip(*(flat.heads[name].to_pylist() for name in RAN), strict=True)
    logged = flat.heads["logged_id"]
    if not logged.null_count:
        return list(named)
    times = [time and time.isoformat() for time in flat.heads["started_at"].to_pylist()]
    others = zip(flat.heads["session_id"].to_pylist(), flat.heads["user_id"].to_pylist(), times,
                 strict=True)  # fmt: skip
    return [
        run if run[-1] is not None else run + other
        for run, other in zip(named, others, strict=True)
    ]


def body_slices(flat: Flat) -> list[Slices]:
    """Give the bytes that make two bodies equal: lengths first, so that no two can run together."""
    messages, calls = flat.messages, flat.calls
    shape = [role_codes(messages["role"]), lengths(messages["content"]), flat.call_counts]
    parts = [lengths(calls["name"]), lengths(calls["arguments"])]
    return [
        numbers(shape, flat.message_starts),
        numbers(parts, by_episode(flat)),
        text_slices(messages["content"], flat.message_starts),
        text_slices(calls["name"], by_episode(flat)),
        text_slices(calls["arguments"], by_episode(flat)),
    ]


def rest_slices(flat: Flat) -> list[Slices]:
    """Give the bytes that tell two runs of one body apart."""
    messages, calls = flat.messages, flat.calls
    shape = [lengths(messages["reasoning"]), lengths(messages["tool_call_id"])]
    columns = [
        *((messages[name], flat.message_starts) for name in ("reasoning", "tool_call_id")),
        (calls["id"], by_episode(flat)),
    ]
    # An empty column takes part too: an id must not depend on what else stands in the block.
    return [
        numbers(shape, flat.message_starts),
        numbers([lengths(calls["id"])], by_episode(flat)),
        *(text_slices(t, ends) for t, ends in columns if t.null_count < len(t)),
    ]


def by_episode(flat: Flat) -> Counts:
    """Give where each episode's calls begin, and one past the last."""
    return flat.call_starts[flat.message_starts]


def role_codes(roles: pa.Array) -> Counts:
    """Number the roles."""
    encoded = roles.dictionary_encode()
    codes = np.array([ROLES[role] for role in encoded.dictionary.to_pylist()], np.int64)
    numbered: Counts = codes[encoded.indices.to_numpy()]
    return numbered


def lengths(texts: pa.Array) -> Counts:
    """Give each text's bytes; -1 for none, which is not the empty text."""
    counts: Counts = pc.fill_null(pc.binary_length(texts), -1).to_numpy(zero_copy_only=False)
    return counts.astype(np.int64)


def numbers(columns: list[Counts], ends: Counts) -> Slices:
    """Lay numbers of one row side by side as bytes."""
    table = np.ascontiguousarray(np.stack(columns, axis=1, dtype="<i8"))
    buffer = memoryview(table.data).cast("B") if table.size else memoryview(b"")
    return Slices(buffer, ends * (8 * len(columns)))


def text_slices(texts: pa.Array, ends: Counts) -> Slices:
    """Give the bytes of a text column, cut at row numbers."""
    _, _, values = texts.buffers()
    counts = np.maximum(lengths(texts), 0)
    begin = first_offset(texts)
    return Slices(memoryview(values or b""), begin + starts(counts)[ends])


def first_offset(texts: pa.Array) -> int:
    """Give where an array's values begin in its buffer: not at 0 where it is a slice."""
    offsets = texts.buffers()[1]
    return int(np.frombuffer(offsets, "<i4")[texts.offset]) if offsets and len(texts) else 0


def firsts(flat: Flat, role: str) -> npt.NDArray[np.int64]:
    """Give the position of each episode's first message of a role; -1 where it has none."""
    positions, owners = said_by(flat, role)
    found = np.full(flat.episodes, -1, np.int64)
    # Assigned backwards, the first one stays.
    found[owners[::-1]] = positions[::-1]
    return found


def lasts(flat: Flat, role: str) -> npt.NDArray[np.int64]:
    """Give the position of each episode's last message of a role; -1 where it has none."""
    positions, owners = said_by(flat, role)
    found = np.full(flat.episodes, -1, np.int64)
    found[owners] = positions
    return found


def said_by(flat: Flat, role: str) -> tuple[Counts, Counts]:
    """Give the positions of a role's messages, in order, and their episodes."""
    positions = np.flatnonzero(pc.equal(flat.messages["role"], role).to_numpy(zero_copy_only=False))
    return positions, flat.message_owner[positions]


def questions(flat: Flat) -> pa.Array:
    """Give each first user message in lower case with white space squeezed; none is empty.

    Numbers and identifiers stay: two questions with other values are two questions.
    """
    asked = firsts(flat, "user")
    taken = flat.messages["content"].take(pa.array(asked, mask=asked < 0))
    return pa.array([squeezed(text) for text in taken.to_pylist()], pa.string())


def squeezed(text: Any) -> str:
    """Write a text in lower case with single spaces."""
    return " ".join(text.lower().split()) if text else ""
