"""Texts read as sets of words, for whole arrays of texts at once."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.label.block import Bools, Floats, Ints
from tasks.label.detect.turns import changed

Codes = npt.NDArray[np.uint64]
Points = npt.NDArray[np.uint32]

SHORTEST = 4
"""Words from which a text asks something of its own; "the first one" answers."""

FILLERS = (
    "a an the of in on at for to by per with and is are was were be do does did can could would"
    " will you i me my we us our please kindly show give tell list find get display print return"
    " what what's whats there it its have has need want like know see let help also again just ok"
    " okay hi hello hey thanks thank now so then"
)
"""Words that come and go when the same is asked again."""

DECISIVE = (
    "not no without except excluding never only this last next previous prior current today"
    " yesterday tomorrow before after first second third fourth fifth one two three four five six"
    " seven eight nine ten eleven twelve january february march april may june july august"
    " september october november december monday tuesday wednesday thursday friday saturday sunday"
    " most least highest lowest best worst top bottom max min maximum minimum largest smallest"
    " more less how which who when where why"
)
"""Words that make another question, even where they are the only ones added."""

FILLING = "的了吗呢问吧啊呀请帮我你您一下看查给想要知道是把和"
DECIDING = "不没无非除本上下今明昨去前后一二三四五六七八九十百千最谁哪每首末"

QUOTES = (("\u201c\u300c\u300e\u00ab", "\u201d\u300d\u300f\u00bb"), ('"', ""), ("`", ""))
"""Marks that open and that close; those that do both, alone."""

NEITHER, LETTER, DIGIT, IDEOGRAPH, JOINT, QUOTE = range(6)
PIECE = 1 << 12
"""Texts read at once: their characters stay in the processor's cache."""

TEXT_BITS, FLAG_BITS = np.uint64(40), np.uint64(3)
VALUE, FILLER, DECIDES = np.uint64(1), np.uint64(2), np.uint64(4)


class Questions(NamedTuple):
    """Texts as sets of words (pairs of characters where a script writes no spaces)."""

    word: Codes
    """Text in the upper 24 bits, digest and flags of a word below, ascending, `(words,)`."""
    start: Ints
    """Where each text's words begin, `(texts + 1,)`."""
    mask: Codes
    """One bit of 64 for each word of a text, `(texts,)`: what a mask lacks, its text lacks."""
    values: Codes
    """Digest of each text's values (with a digit, or quoted), `(texts,)`."""
    spoken: Floats
    """Words of each text, repeats counted; two characters are a word, `(texts,)`."""


def read_questions(texts: pa.Array) -> Questions:
    """Read texts as sets of words, without regard to case, spaces and marks.

    Args:
        texts: At most `2**24` strings without nulls.
    """
    pieces = [read_piece(texts.slice(at, PIECE)) for at in range(0, len(texts), PIECE)]
    # Each piece counts its texts from 0; its place is added where it stands in all.
    numbers = [word + (np.uint64(at * PIECE) << TEXT_BITS) for at, (word, _) in enumerate(pieces)]
    word = np.concatenate([np.zeros(0, np.uint64), *numbers])
    start = np.searchsorted(word, np.arange(len(texts) + 1).astype(np.uint64) << TEXT_BITS)
    spoken = np.concatenate([np.zeros(0), *(count for _, count in pieces)])
    low = lower(word)
    valued = np.where(low & VALUE, mixed(low), np.uint64(0))
    total = np.append(np.zeros(1, np.uint64), np.cumsum(valued, dtype=np.uint64))
    return Questions(word, start, masks(low, start), total[start[1:]] - total[start[:-1]], spoken)


def read_piece(texts: pa.Array) -> tuple[Codes, Floats]:
    """Read the words of a few texts, and how many they speak (`Questions`)."""
    size = len(texts)
    texts = pc.utf8_lower(texts)
    length = pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.int64) + 1
    first = np.cumsum(length) - length
    point = points_of(texts)
    kind = kinds()[point]
    begin, digest, digits = words_of(point, kind)
    place, pair = pairs_of(point, kind == IDEOGRAPH)
    quotes = np.flatnonzero(kind == QUOTE)
    digest |= (digits | quoted(point, quotes, first, begin)).astype(np.uint64) * VALUE
    pair |= quoted(point, quotes, first, place).astype(np.uint64) * VALUE
    owner = texts_of(first, begin), texts_of(first, place)
    text = np.concatenate(owner).astype(np.uint64)
    word = np.sort((text << TEXT_BITS) | np.concatenate([digest, pair]))
    # A run of n characters has n - 1 pairs and about n / 2 words.
    spoken = np.bincount(owner[0], minlength=size) + 0.5 * np.bincount(owner[1], minlength=size)
    return word[changed(word)], spoken


def points_of(texts: pa.Array) -> Points:
    """Give the characters of texts as code points, each text with a line break after it."""
    if not len(texts):
        return np.zeros(0, np.uint32)
    whole = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    joined = pc.binary_join(whole, "\n")[0].as_py() + "\n"
    return np.frombuffer(joined.encode("utf-32-le"), np.uint32)


def words_of(point: Points, kind: npt.NDArray[np.uint8]) -> tuple[Ints, Codes, Bools]:
    """Find words: where they begin, their digests, and whether they have a digit.

    A mark between a letter and a digit, or two digits, belongs to the word: `3.5`, `2024-05-01`.
    """
    digit = kind == DIGIT
    written = (kind == LETTER) | digit
    joint = np.flatnonzero(kind == JOINT)
    # The last character is a line break: there is always one after a mark.
    after, before = joint + 1, np.maximum(joint - 1, 0)
    beside = digit[before] | digit[after] | (point[joint] == ord("'"))
    sign = ~written[before] & digit[after] & (point[joint] == ord("-"))
    joins = (written[before] & written[after] & beside) | sign
    written[joint[joins]] = True
    begin = np.flatnonzero(written & ~shifted(written, 1))
    end = np.flatnonzero(written & ~shifted(written, -1)) + 1
    if not len(begin):
        return begin, np.zeros(0, np.uint64), np.zeros(0, dtype=bool)
    inside = np.flatnonzero(written)
    place = (inside - np.repeat(begin, end - begin)).astype(np.uint64)
    parts = mixed(point[inside].astype(np.uint64) | (place << np.uint64(21)))
    first = np.cumsum(end - begin) - (end - begin)
    valued = np.zeros(len(begin), dtype=bool)
    valued[np.searchsorted(begin, np.flatnonzero(digit), side="right") - 1] = True
    return begin, shortened(np.add.reduceat(parts, first)), valued


def pairs_of(point: Points, ideograph: Bools) -> tuple[Ints, Codes]:
    """Find pairs of neighbouring ideographs: where they begin, and their digests with flags."""
    place = np.flatnonzero(ideograph & shifted(ideograph, -1))
    one, two = point[place].astype(np.uint64), point[place + 1].astype(np.uint64)
    digest = shortened(mixed((one << np.uint64(21)) | two | (np.uint64(1) << np.uint64(60))))
    fills = np.isin(one, ords(FILLING)) | np.isin(two, ords(FILLING))
    decides = ~fills & (np.isin(one, ords(DECIDING)) | np.isin(two, ords(DECIDING)))
    return place, digest | fills.astype(np.uint64) * FILLER | decides.astype(np.uint64) * DECIDES


def quoted(point: Points, quotes: Ints, first: Ints, place: Ints) -> Bools:
    """Say which places stand inside quotation marks of their text.

    Args:
        point: Characters of all texts.
        quotes: Where quotation marks stand.
        first: Where each text begins.
        place: Where to look, ascending.
    """
    inside = np.zeros(len(place), dtype=bool)
    if not len(quotes) or not len(place):
        return inside
    text = first[texts_of(first, place)]
    for opening, closing in QUOTES:
        marks = quotes[np.isin(point[quotes], ords(opening + closing))]
        up = np.where(np.isin(point[marks], ords(opening)), 1, -1)
        depth = np.append(0, np.cumsum(up))
        within = depth[np.searchsorted(marks, place)] - depth[np.searchsorted(marks, text)]
        inside |= (within > 0) if closing else (within % 2 == 1)
    return inside


def texts_of(first: Ints, place: Ints) -> Ints:
    """Give the text of each of some ascending places, `(places,)`."""
    begin = np.append(np.searchsorted(place, first), len(place))
    return np.repeat(np.arange(len(first)), np.diff(begin))


@cache
def kinds() -> npt.NDArray[np.uint8]:
    """Give what each code point is: letter, digit, ideograph or neither."""
    table = np.full(0x110000, LETTER, np.uint8)
    for first, last in (
        (0, 0x2F), (0x3A, 0x40), (0x5B, 0x5E), (0x60, 0x60), (0x7B, 0xA9), (0xAB, 0xB4),
        (0xB6, 0xB9), (0xBB, 0xBF), (0x2000, 0x206F), (0x20A0, 0x20CF), (0x2100, 0x2BFF),
        (0x3000, 0x3040), (0xFE10, 0xFE6F), (0xFF00, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF65),
        (0x1F000, 0x1FAFF),
    ):  # fmt: skip
        table[first : last + 1] = NEITHER
    for first, last in ((0x3041, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)):
        table[first : last + 1] = IDEOGRAPH
    table[ords(".,:/-'")] = JOINT
    table[ords("".join(opening + closing for opening, closing in QUOTES))] = QUOTE
    table[0x30 : 0x39 + 1] = DIGIT
    table[0xFF10 : 0xFF19 + 1] = DIGIT
    return table


@cache
def lists_of_words() -> tuple[Codes, Codes]:
    """Give the digests of fillers and of decisive words."""
    fillers, decisive = (read_questions(pa.array(word.split())) for word in (FILLERS, DECISIVE))
    return lower(fillers.word), lower(decisive.word)


@cache
def ords(characters: str) -> Points:
    """Give the code points of characters."""
    return np.array([ord(character) for character in characters], np.uint32)


def masks(low: Codes, start: Ints) -> Codes:
    """Set one bit for each word of a text."""
    mask = np.zeros(len(start) - 1, np.uint64)
    some = np.flatnonzero(np.diff(start))
    bit = np.uint64(1) << ((low >> FLAG_BITS) & np.uint64(63))
    if len(some):
        mask[some] = np.bitwise_or.reduceat(bit, start[some])
    return mask


def lower(word: Codes) -> Codes:
    """Take the text off words of texts."""
    return word & ((np.uint64(1) << TEXT_BITS) - np.uint64(1))


def shortened(digest: Codes) -> Codes:
    """Shorten digests to leave room for the text above and for flags below."""
    return (digest >> (np.uint64(64) - TEXT_BITS + FLAG_BITS)) << FLAG_BITS


def shifted(marks: Bools, by: int) -> Bools:
    """Move marks right (or left, if negative) by one; nothing comes in."""
    moved = np.zeros_like(marks)
    if by > 0:
        moved[1:] = marks[:-1]
    else:
        moved[:-1] = marks[1:]
    return moved


def mixed(values: Codes) -> Codes:
    """Scatter numbers over 64 bits.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014), the
    finaliser.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))
