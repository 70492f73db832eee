"""Numbers in texts: found in the bytes of a whole column at once, with their values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.label.block import Bools, Floats, Ints

Bytes = npt.NDArray[np.uint8]

STRETCH = 1 << 18
"""Bytes looked at in one go, so that they stay in the processor's cache."""
LONGEST = 40
"""Digits of one run that are read; longer ones that begin alike are not told apart."""
MOST_GROUPS = 80
"""Groups of thousands that are told apart; more would be infinite."""
INDENT = 8
"""Spaces before an item of a list, at most."""


class Numbers(NamedTuple):
    """Numbers of a column of texts, in order; every field is `(numbers,)`."""

    text: Ints
    """Text that each stands in."""
    value: Floats
    """Its value, without its sign: a dash may as well join two words."""
    decimals: Ints
    """Digits behind its point."""
    digits: Ints
    """All its digits."""
    percent: Bools
    """Whether a percent sign follows."""
    marker: Bools
    """Whether it numbers an item of a list: at the start of a line, with `. ` or `) ` behind."""


class Runs(NamedTuple):
    """Runs of digits, in order; every field is `(runs,)`."""

    text: Ints
    start: Ints
    end: Ints
    comma: Bools
    """Whether a comma joins it to the run before."""
    point: Bools
    """Whether a point does: it is a fraction."""


def numbers_of(texts: pa.Array, wanted: Bools | None = None, data: bool = False) -> Numbers:
    """Read the numbers of texts: `1,234.50` is 1234.5, `12.05.2024` is 12.05 and 2024.

    A comma joins digits where three of them follow, as English writes thousands. Dates, versions
    and other notations fall apart in some way, but in the same way wherever they stand.

    Args:
        texts: Strings, `(texts,)`.
        wanted: Texts to read, `(texts,)`; None for all.
        data: Whether these are data and no prose. Then the 1 and the 234 of `1,234` are added at
            the end, since two columns may meet there; signs of percent and lists are not looked
            for.
    """
    offsets, written = parts_of(texts)
    runs = joined(written, *runs_of(written, offsets, wanted))
    head = np.flatnonzero(~runs.comma & ~runs.point)
    group = np.cumsum(~runs.comma & ~runs.point) - 1
    length = runs.end - runs.start
    whole = values_of(written, runs.start, length)
    commas = np.bincount(group[runs.comma], minlength=len(head)).astype(np.int64)
    following = head[group] + commas[group] - np.arange(len(group))
    scale = 1000.0 ** np.clip(following, 0, MOST_GROUPS)
    part = np.where(runs.point, whole / 10.0 ** np.minimum(length, LONGEST), whole * scale)
    decimals = np.bincount(group[runs.point], length[runs.point], minlength=len(head))
    last = np.append(head[1:], len(group))[: len(head)] - 1
    text, start, end = runs.text[head], runs.start[head], runs.end[last]
    none = np.zeros(len(head), np.bool_)
    found = Numbers(
        text,
        np.bincount(group, part, minlength=len(head)).astype(np.float64),
        decimals.astype(np.int64),
        np.bincount(group, length, minlength=len(head)).astype(np.int64),
        none if data else byte_at(written, end, offsets[text + 1]) == ord("%"),
        none if data else markers(written, offsets[text], start, end, offsets[text + 1]),
    )
    if not data:
        return found
    loose = np.flatnonzero((commas[group] > 0) & ~runs.point)
    nought, none = np.zeros(len(loose), np.int64), np.zeros(len(loose), np.bool_)
    added = Numbers(runs.text[loose], whole[loose], nought, length[loose], none, none)
    return Numbers(*(np.concatenate(both) for both in zip(found, added, strict=True)))


def parts_of(texts: pa.Array) -> tuple[Ints, Bytes]:
    """Give where each text starts, `(texts + 1,)`, and the bytes of all of them."""
    _, places, content = texts.buffers()
    if not len(texts) or content is None:
        return np.zeros(len(texts) + 1, np.int64), np.zeros(0, np.uint8)
    offsets = np.frombuffer(places, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(content, np.uint8)[offsets[0] : offsets[-1]]
    return (offsets - offsets[0]).astype(np.int64), data


def runs_of(
    data: Bytes, offsets: Ints, wanted: Bools | None, stretch: int = STRETCH
) -> tuple[Ints, Ints, Ints]:
    """Give the text, the start and the end of each run of digits, `(runs,)` each.

    Args:
        data: Bytes of all texts.
        offsets: Where each text starts, `(texts + 1,)`.
        wanted: Texts whose runs are given, `(texts,)`; None for all.
        stretch: Bytes looked at in one go.
    """
    edges = [np.zeros(0, np.int64)]
    before = False
    for place in range(0, len(data), stretch):
        digit = (data[place : place + stretch] - np.uint8(ord("0"))) < 10  # what is less wraps
        if digit[0] != before:
            edges.append(np.array([place]))
        edges.append(np.flatnonzero(digit[1:] != digit[:-1]) + place + 1)
        before = bool(digit[-1])
    if before:
        edges.append(np.array([len(data)]))
    found = np.concatenate(edges)
    start, end = found[0::2], found[1::2]
    if len(start):  # the digits that end a text touch those that start the next
        run = np.maximum(np.searchsorted(start, offsets, side="right") - 1, 0)
        cuts = offsets[(start[run] < offsets) & (offsets < end[run])]
        cuts = cuts[np.diff(cuts, prepend=-1) > 0]  # where texts are empty, some are equal
        start, end = (np.sort(np.append(edge, cuts), kind="stable") for edge in (start, end))
    text = np.searchsorted(offsets, start, side="right") - 1
    kept = slice(None) if wanted is None else wanted[text]
    return text[kept], start[kept], end[kept]


def joined(data: Bytes, text: Ints, start: Ints, end: Ints) -> Runs:
    """Find which runs a comma or a point joins to the one before."""
    length = end - start
    near = np.zeros(len(start), np.bool_)
    near[1:] = (start[1:] == end[:-1] + 1) & (text[1:] == text[:-1])
    sign = data[np.maximum(start - 1, 0)]
    place = np.arange(len(start))
    # Of points in a row every second one joins: `1.2.3` is 1.2 and 3.
    point = near & (sign == ord("."))
    row = place - np.maximum.accumulate(np.where(point, 0, place))
    point &= row % 2 == 1
    comma = near & (sign == ord(",")) & (length == 3)
    comma[1:] &= (length[:-1] <= 3) & ~point[:-1]
    return Runs(text, start, end, comma, point)


def values_of(data: Bytes, start: Ints, length: Ints) -> Floats:
    """Read runs of digits, `(runs,)`: digit by digit, for all runs at once."""
    value = np.zeros(len(start))
    for place in range(min(int(length.max(initial=0)), LONGEST)):
        held = np.flatnonzero(length > place)
        value[held] = value[held] * 10.0 + (data[start[held] + place] - np.uint8(ord("0")))
    return value


def markers(data: Bytes, first: Ints, start: Ints, end: Ints, last: Ints) -> Bools:
    """Say which numbers number an item of a list.

    Args:
        data: Bytes of all texts.
        first: Where the text of each starts.
        start: Where each starts.
        end: Where each has ended.
        last: Where the text of each has ended.
    """
    left = start - 1
    for _ in range(INDENT):
        left = left - ((left >= first) & (data[np.maximum(left, 0)] == ord(" ")))
    begins = (left < first) | (data[np.maximum(left, 0)] == ord("\n"))
    closes = np.isin(byte_at(data, end, last), [ord("."), ord(")")])
    behind = np.isin(byte_at(data, end + 1, last), [0, ord(" "), ord("\n"), ord("\t")])
    return np.asarray(begins & closes & behind)


def byte_at(data: Bytes, place: Ints, last: Ints) -> Bytes:
    """Give the byte at each place, 0 where its text has ended."""
    if not len(data):
        return np.zeros(len(place), np.uint8)
    return np.where(place < last, data[np.minimum(place, len(data) - 1)], 0)
