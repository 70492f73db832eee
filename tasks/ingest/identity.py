"""What names an episode: digests of what was run and said, and the question that was asked.

All of it is computed before anything is redacted, so that ids do not change with the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.ingest.columns import Counts, Flat
from tasks.ingest.reading.records import Bytes

RAN = ("model", "policy_version", "scenario_id", "trial", "logged_id")
"""What tells two runs with one wording apart."""
ROLES = {"system": 1, "user": 2, "assistant": 3, "tool": 4}


class Names(NamedTuple):
    """What a block of episodes is called, one entry an episode."""

    episode_id: list[str]
    body_digest: list[str]


class Texts(NamedTuple):
    """A column of texts as bytes."""

    buffer: memoryview
    ends: Counts
    """Where each text begins, and one past the last: `(n + 1,)`."""
    lengths: Counts
    """Bytes of each text; -1 for none, which is not the empty text."""

    def slices(self, begins: Counts, ends: Counts) -> list[memoryview]:
        """Cut the bytes between texts: from one number of a text up to another, for each pair."""
        return pieces(self.buffer, self.ends[begins], self.ends[ends])


def names_of(flat: Flat, format_name: str) -> Names:
    """Digest episodes.

    The body is roles, texts, and names and arguments of calls, without the ids of calls, which
    differ between equal runs. The id adds those, reasoning, the format, and what the log itself
    calls the run. A system message in front goes in by a digest of its own: mostly it is the one
    of the episode before, and long.

    Args:
        flat: Episodes, not redacted yet.
        format_name: The importer's name.
    """
    body = zip(*body_pieces(flat), strict=True)
    rest = zip(*rest_pieces(flat), strict=True)
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


def pieces(buffer: memoryview, begins: Counts, ends: Counts) -> list[memoryview]:
    """Cut bytes: one piece an episode."""
    return [buffer[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]


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


def body_pieces(flat: Flat) -> list[Sequence[Bytes]]:
    """Give the bytes that make two bodies equal: lengths first, so that no two can run together."""
    roles = role_codes(flat.messages["role"])
    said = texts_of(flat.messages["content"])
    calls = [texts_of(flat.calls[name]) for name in ("name", "arguments")]
    cuts = by_episode(flat)
    begins, ends = flat.message_starts[:-1], flat.message_starts[1:]
    opened = np.zeros(flat.episodes, np.int64)
    there = begins < ends
    opened[there] = roles[begins[there]] == ROLES["system"]
    return [
        numbers([roles, said.lengths, flat.call_counts], flat.message_starts),
        numbers([texts.lengths for texts in calls], cuts),
        digests(said.slices(begins, begins + opened)),
        said.slices(begins + opened, ends),
        *(texts.slices(cuts[:-1], cuts[1:]) for texts in calls),
    ]


def digests(texts: Iterable[memoryview]) -> list[bytes]:
    """Digest texts that mostly repeat the one before; of an empty one nothing."""
    found, last, digest = [], b"", b""
    for view in texts:
        # To compare with the last one takes a tenth of what it takes to digest it.
        if (text := bytes(view)) != last:
            last, digest = text, sha256(text).digest() if text else b""
        found.append(digest)
    return found


def rest_pieces(flat: Flat) -> list[Sequence[Bytes]]:
    """Give the bytes that tell two runs of one body apart."""
    beside = [texts_of(flat.messages[name]) for name in ("reasoning", "tool_call_id")]
    named, cuts = texts_of(flat.calls["id"]), by_episode(flat)
    # Lengths of an empty column take part too: an id must not depend on what else is in the block.
    return [
        numbers([texts.lengths for texts in beside], flat.message_starts),
        numbers([named.lengths], cuts),
        *(t.slices(flat.message_starts[:-1], flat.message_starts[1:]) for t in beside if t.buffer),
        *(t.slices(cuts[:-1], cuts[1:]) for t in [named] if t.buffer),
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


def texts_of(column: pa.Array) -> Texts:
    """Give a column's bytes, not copied."""
    if not len(column):
        return Texts(memoryview(b""), np.zeros(1, np.int64), np.zeros(0, np.int64))
    _, offsets, values = column.buffers()
    # Not from 0 where the array is a slice.
    ends = np.frombuffer(offsets, "<i4")[column.offset :][: len(column) + 1].astype(np.int64)
    counts = np.diff(ends)
    if column.null_count:
        counts[column.is_null().to_numpy(zero_copy_only=False)] = -1
    return Texts(memoryview(values or b""), ends, counts)


def numbers(columns: list[Counts], ends: Counts) -> list[memoryview]:
    """Lay numbers of one row side by side as bytes, and cut them at row numbers."""
    table = np.ascontiguousarray(np.stack(columns, axis=1, dtype="<i8"))
    buffer = memoryview(table.data).cast("B") if table.size else memoryview(b"")
    cuts = ends * (8 * len(columns))
    return pieces(buffer, cuts[:-1], cuts[1:])


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
