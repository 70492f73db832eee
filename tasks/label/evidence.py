"""Evidence on episodes: pieces of it as arrays, the matrix they make, and the lists labels keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import SCHEMAS
from tasks.label.block import Bools, Floats, Ints
from tasks.label.signals import Kind

OUTCOME = "outcome"
"""The kind of a verified outcome, which is no column of the matrix: it decides alone."""
EVIDENCE = SCHEMAS["labels"].field("evidence").type
MOMENT = pa.timestamp("us", tz="UTC")


class Pieces(NamedTuple):
    """Pieces of evidence, one entry each, in any order."""

    row: Ints
    """Episode that each is about."""
    kind: pa.Array
    """Name of its kind, or `outcome`."""
    source: pa.Array
    value: Floats
    share: Floats
    """Part of its weight that counts, in [0, 1]."""
    at: pa.Array
    """Timestamps, UTC; null where nobody knows."""

    @property
    def size(self) -> int:
        """Give the number of pieces."""
        return len(self.row)

    def take(self, index: Ints) -> Pieces:
        """Keep some pieces, in the order of `index`."""
        places = pa.array(index)
        return Pieces(
            self.row[index], self.kind.take(places), self.source.take(places), self.value[index],
            self.share[index], self.at.take(places),
        )  # fmt: skip


def pieces(
    row: Ints,
    kind: pa.Array | str,
    source: pa.Array | str,
    value: Floats,
    *,
    share: Floats | None = None,
    at: pa.Array | None = None,
) -> Pieces:
    """Make pieces of columns; a text stands for the same text everywhere."""
    count = len(row)
    return Pieces(
        row.astype(np.int64),
        repeated(kind, count),
        repeated(source, count),
        value.astype(np.float64),
        np.ones(count) if share is None else share,
        pa.nulls(count, MOMENT) if at is None else at.cast(MOMENT),
    )


def repeated(text: pa.Array | str, count: int) -> pa.Array:
    """Repeat a text, or pass texts as they are."""
    return pa.repeat(pa.scalar(text), count) if isinstance(text, str) else text


def joined(parts: Sequence[Pieces]) -> Pieces:
    """Put pieces together, in the order of their episodes; those of one in the order given."""
    whole = Pieces(
        np.concatenate([part.row for part in parts]),
        pa.concat_arrays([part.kind for part in parts]),
        pa.concat_arrays([part.source for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.share for part in parts]),
        pa.concat_arrays([part.at for part in parts]),
    )
    return whole.take(np.argsort(whole.row, kind="stable"))


def nothing() -> Pieces:
    """Make no pieces."""
    texts = pa.array([], pa.string())
    return pieces(np.zeros(0, np.int64), texts, texts, np.zeros(0))


def shown_in_messages(shown: Mapping[str, Bools], kinds: Sequence[Kind]) -> list[Pieces]:
    """Make pieces of what the messages of each episode show, kind by kind."""
    found = []
    for kind in kinds:
        rows = np.flatnonzero(shown[kind.name]) if kind.name in shown else ()
        if len(rows):
            said = np.full(len(rows), toward(kind))
            found.append(pieces(np.asarray(rows), kind.name, "messages", said))
    return found


def toward(kind: Kind) -> float:
    """Give the value of a kind of evidence: +1 where it speaks for success by default, else -1."""
    return 1.0 if kind.log_odds >= 0 else -1.0


def matrix(found: Pieces, rows: int, kinds: Sequence[Kind]) -> Floats:
    """Give how far each episode shows each kind, `(episodes, kinds)`, in [0, 1].

    Several pieces of one kind are one: what they say is the same thing.
    """
    share = np.zeros((rows, len(kinds)))
    column = columns_of(found, kinds)
    known = column >= 0
    np.maximum.at(share, (found.row[known], column[known]), found.share[known])
    return share


def columns_of(found: Pieces, kinds: Sequence[Kind]) -> Ints:
    """Give each piece's column in the matrix; -1 for outcomes and kinds that are no more."""
    names = pa.array([kind.name for kind in kinds])
    places = pc.fill_null(pc.index_in(found.kind, names), -1)
    return np.asarray(places.to_numpy(zero_copy_only=False), dtype=np.int64)


def outcomes(found: Pieces, rows: int) -> Floats:
    """Give the verified outcome of each episode, the newest one said; NaN where nobody verified.

    Pieces without a time come first, and among equals the later one of `found` wins.
    """
    result = np.full(rows, np.nan)
    chosen = np.flatnonzero(pc.equal(found.kind, OUTCOME).to_numpy(zero_copy_only=False))
    moments = pc.fill_null(found.at.cast(pa.int64()), np.iinfo(np.int64).min).to_numpy()
    order = chosen[np.lexsort((chosen, moments[chosen]))]
    result[found.row[order]] = found.value[order]
    return result


def weighed(found: Pieces, contribution: Floats, kinds: Sequence[Kind], outcome: Floats) -> Floats:
    """Give what each piece weighs in its episode's verdict (log-odds).

    Args:
        found: The pieces.
        contribution: Log-odds that each kind contributed, `(episodes, kinds)`.
        kinds: The columns.
        outcome: Log-odds of the verified outcome of each episode, 0 where there is none.
    """
    column = columns_of(found, kinds)
    weight = np.zeros(found.size)
    verified = pc.equal(found.kind, OUTCOME).to_numpy(zero_copy_only=False)
    # The last outcome said and the strongest piece of a kind speak for the others.
    weight[verified] = outcome[found.row[verified]]
    known = np.flatnonzero(column >= 0)
    weight[known] = contribution[found.row[known], column[known]]
    # Outcomes and kinds that are no more each have a place of their own behind the columns.
    place = np.where(verified, len(kinds), np.where(column < 0, len(kinds) + 1, column))
    key = found.row * (len(kinds) + 2) + place
    rank = np.where(verified, found.at.cast(pa.int64()).fill_null(0).to_numpy(), 0) * 1.0
    order = np.lexsort((np.arange(found.size), np.where(verified, rank, found.share), key))
    last = np.ones(found.size, dtype=bool)
    last[:-1] = key[order][1:] != key[order][:-1]
    silent = order[~last]
    weight[silent] = 0.0
    weight[column < 0] *= verified[column < 0]
    return weight


def lists(found: Pieces, weight: Floats, rows: int) -> pa.Array:
    """Fold pieces, in the order of their episodes, into the column `evidence` of labels."""
    columns = {
        "kind": found.kind, "source": found.source, "value": pa.array(found.value),
        "share": pa.array(found.share), "weight": pa.array(weight), "at": found.at,
    }  # fmt: skip
    fields = list(EVIDENCE.value_type)
    structs = pa.StructArray.from_arrays([columns[field.name] for field in fields], fields=fields)
    ends = np.cumsum(np.bincount(found.row, minlength=rows))
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    return pa.ListArray.from_arrays(offsets, structs, type=EVIDENCE)


def unfolded(evidence: pa.Array, rows: Ints) -> Pieces:
    """Unfold the column `evidence` of labels into pieces about the episodes `rows`."""
    sizes = pc.fill_null(pc.list_value_length(evidence), 0).to_numpy()
    flat = evidence.flatten()
    return Pieces(
        np.repeat(rows, sizes),
        flat.field("kind"),
        pc.fill_null(flat.field("source"), ""),
        flat.field("value").to_numpy(),
        pc.fill_null(flat.field("share"), 1.0).to_numpy(),
        flat.field("at"),
    )
