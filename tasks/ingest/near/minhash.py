"""Fingerprints of short texts by MinHash, for finding near-duplicates among millions.

A text is read as tokens: runs of letters, digits and underscores (a number keeps its inner
`.,:/-`, so a date is one token), and runs of operators. ASCII case and white space do not count,
nor do full stops, quotes and brackets. Its shingles are the pairs of neighbouring tokens.

Two texts are near-duplicates when

- they name the same values: the set of tokens with a digit or an underscore is part of every
  key, so that a question about customer 2807 never stands for one about customer 2808;
- their sets of shingles have a Jaccard similarity of about 0.85 or more, estimated from 128 bits;
- below `SHORT` tokens, where a change of one word is a change of the question, the shingles are
  the same ones, each as often.

A fingerprint is five numbers of 64 bits: `BANDS` band keys of `ROWS` minima each, which find
candidates, and two words of one-bit minima, which verify them. The chance to share a key is
`1 - (1 - J**5)**3`, and that to agree in 118 bits is binomial with p = (1 + J) / 2:

    Jaccard        0.5    0.7    0.8    0.85   0.9    0.95   1
    shares a key   .09    .42    .70    .83    .93    .99    1
    bits agree     .00    .01    .26    .64    .94    1.00   1
    both           .000   .005   .18    .53    .88    .99    1

The bits put the Jaccard off by 0.04 at 0.9 and by 0.05 at 0.8 (one standard error).

Source: Broder 1997 (MinHash); Shrivastava 2017, 1703.04664 (one hash a shingle, empty bins filled
by random probing); Li and Koenig, WWW 2010 (one bit of each minimum).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Words: TypeAlias = npt.NDArray[np.uint64]
Places: TypeAlias = npt.NDArray[np.int64]

# All of these are part of what is stored: another value makes other fingerprints.
BANDS = 3
ROWS = 5
BINS = 128
"""Minima of a text, and bits of its sketch."""
VALUE_BITS = 25
"""Bits of half a shingle that are its value; the other 7 name its bin."""
SHORT = 32
"""Tokens below which texts are near only when their shingles are the same."""
FILLED = 36
"""Bins below which a text repeats itself (about 20 shingles, said over and over): too few values
to estimate from, so it is taken as a short one."""
PROBES = 32
"""Bins an empty bin asks for a value, before it takes the text's least."""
PIECE = 64
"""Bytes after which a long token is cut."""
START, PAIR, LENGTH, STEP, SHORT_SALT = (
    0x9AE16A3B2F90404F, 0xC949C7DEFA4B6FD7, 0xD6E8FEB86659FD93, 0x9E3779B97F4A7C15,
    0xA0761D6478BD642F,
)  # fmt: skip
MIX = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)
COLUMNS = BANDS + 2
"""Numbers of a fingerprint."""

EMPTY = 0xFFFFFFFF
"""A bin without a shingle."""

BLOCK_BYTES = 1 << 18
"""Text worked on at once: what it takes stays in the processor's cache."""
BLOCK_TEXTS = 1 << 16
SEPARATOR, POINT, OPERATOR, DASH, LETTER, IDEOGRAPH, VALUE = 0, 1, 16, 17, 32, 33, 34
"""Kinds of bytes: the sixteenth of it tells what may stand in one token, nothing of a separator's
does. A point is a separator and a dash an operator, but for those inside a number."""


def byte_kinds() -> npt.NDArray[np.uint8]:
    """Say of every byte what it is in a token; a character of three bytes or more starts one."""
    kinds = np.full(256, LETTER, np.uint8)
    kinds[:128] = OPERATOR
    kinds[[*range(33), 127, *b";!?'\"`()[]{}"]] = SEPARATOR
    kinds[[*b".,:"]] = POINT
    kinds[[*b"/-"]] = DASH
    kinds[[*range(65, 91), *range(97, 123)]] = LETTER
    kinds[[*b"0123456789_"]] = VALUE
    kinds[0xE3:] = IDEOGRAPH
    return kinds


KINDS = byte_kinds().tobytes()
MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
"""What keeps the first bytes of a little-endian word."""


def mix(words: Words) -> Words:
    """Scatter 64-bit words, one to one (the finaliser of MurmurHash3)."""
    mixed = words ^ (words >> np.uint64(33))
    for factor in MIX:
        mixed *= np.uint64(factor)
        mixed ^= mixed >> np.uint64(33)
    return mixed


DONORS = (
    mix(np.arange(1, PROBES * BINS + 1, dtype=np.uint64) * np.uint64(STEP)) % np.uint64(BINS)
).astype(np.int64).reshape(PROBES, BINS)  # fmt: skip
"""The bin that an empty bin asks on each try."""
SALTS = (mix(np.arange(1, BINS + 1, dtype=np.uint64)) >> np.uint64(32)).astype(np.uint32)
"""What makes a bin's bit its own, though it took another bin's value."""


class Tokens(NamedTuple):
    """The tokens of a block of texts, in order."""

    words: Words
    """A number made of each token's bytes."""
    is_value: npt.NDArray[np.bool_]
    """It has a digit or an underscore."""
    counts: Places
    """Tokens of each text."""


def fingerprints(texts: pa.Array) -> Words:
    """Fingerprint texts; equal texts give equal rows, everywhere and in any company.

    Args:
        texts: Strings; null counts as empty.

    Returns:
        Shape (texts, 5): three band keys and 128 bits. Zero for a text without a token, which is
        nobody's near-duplicate.
    """
    offsets, data = buffers(texts)
    result = np.zeros((len(texts), COLUMNS), np.uint64)
    for first, last in blocks(offsets):
        here = offsets[first : last + 1]
        block = data[here[0] : here[-1]]
        if len(block):
            result[first:last] = block_fingerprints(block, here - here[0])
    return result


def buffers(texts: pa.Array) -> tuple[Places, memoryview]:
    """Give where each text starts (and the last one ends), and the bytes of all."""
    strings = texts.cast(pa.large_string())
    if strings.null_count:
        strings = strings.fill_null("")
    if not len(strings):
        return np.zeros(1, np.int64), memoryview(b"")
    _, offsets, data = strings.buffers()
    places = np.frombuffer(offsets, np.int64)[strings.offset :][: len(strings) + 1]
    return places, memoryview(data or b"")


def blocks(offsets: Places) -> Iterator[tuple[int, int]]:
    """Group texts into ranges of about `BLOCK_BYTES`; a longer one stands alone."""
    first, last = 0, len(offsets) - 1
    while first < last:
        full = int(np.searchsorted(offsets, offsets[first] + BLOCK_BYTES, side="right")) - 1
        end = min(max(full, first + 1), first + BLOCK_TEXTS, last)
        yield first, end
        first = end


def block_fingerprints(block: memoryview, offsets: Places) -> Words:
    """Fingerprint the texts of one block."""
    tokens = tokenise(block, offsets)
    result = np.zeros((len(offsets) - 1, COLUMNS), np.uint64)
    some = np.flatnonzero(tokens.counts)
    counts = tokens.counts[some]
    if not len(some):
        return result
    starts = np.cumsum(counts) - counts
    before = np.empty_like(tokens.words)
    before[1:] = tokens.words[:-1]
    before[starts] = np.uint64(START)
    shingles = mix(before * np.uint64(PAIR) + tokens.words)
    values = value_sets(tokens, counts)
    rows = short_rows(shingles, starts)
    long = np.flatnonzero(counts >= SHORT)
    if len(long):
        least = least_values(shingles[np.repeat(counts >= SHORT, counts)], counts[long])
        rich = np.flatnonzero((least != EMPTY).sum(axis=1) >= FILLED)
        rows[long[rich]] = long_rows(least[rich])
    rows[:, :BANDS] = mix(rows[:, :BANDS] ^ values[:, None])
    result[some] = rows
    return result


def tokenise(block: memoryview, offsets: Places) -> Tokens:
    """Cut a block's texts into tokens."""
    text = bytes(block)
    kinds = join_numbers(np.frombuffer(text.translate(KINDS), np.uint8), offsets)
    edge = kinds == IDEOGRAPH
    edge[1:] |= (kinds[1:] ^ kinds[:-1]) >= OPERATOR
    edge[offsets[:-1][offsets[:-1] < len(kinds)]] = True
    spoken = kinds >= OPERATOR
    ends = np.flatnonzero(edge[1:] & spoken[:-1]) + 1
    if spoken[-1]:
        ends = np.append(ends, len(kinds))
    starts, ends = cut_long(np.flatnonzero(edge & spoken), ends)
    values = np.zeros(len(kinds) + 1, np.int32)
    np.cumsum(kinds == VALUE, dtype=np.int32, out=values[1:])
    return Tokens(
        token_words(folded(text), starts, ends - starts),
        values[ends] > values[starts],
        np.diff(np.searchsorted(starts, offsets)),
    )


def folded(text: bytes) -> npt.NDArray[np.uint8]:
    """Write ASCII letters small; eight bytes of zero stand behind the text."""
    small: npt.NDArray[np.uint8] = np.zeros(len(text) + 8, np.uint8)
    small[:-8] = np.frombuffer(text, np.uint8)
    capital: npt.NDArray[np.bool_] = small - np.uint8(65) < np.uint8(26)
    small |= capital.view(np.uint8) << np.uint8(5)
    return small


def join_numbers(kinds: npt.NDArray[np.uint8], offsets: Places) -> npt.NDArray[np.uint8]:
    """Make a point or a dash between two digits of one text a part of their number."""
    value = kinds == VALUE
    inner = (kinds == POINT) | (kinds == DASH)
    inner[1:] &= value[:-1]
    inner[:-1] &= value[1:]
    inner[offsets[offsets < len(kinds)]] = False
    inner[offsets - 1] = False  # the last byte of a text; for the first offset, of the block
    joined: npt.NDArray[np.uint8] = np.maximum(kinds, inner.view(np.uint8) * np.uint8(VALUE))
    return joined


def cut_long(starts: Places, ends: Places) -> tuple[Places, Places]:
    """Cut tokens after every `PIECE` bytes: an image in base64 is not one endless word."""
    pieces = (ends - starts + PIECE - 1) // PIECE
    if not len(pieces) or pieces.max() == 1:
        return starts, ends
    number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    cut = np.repeat(starts, pieces) + PIECE * number
    return cut, np.minimum(cut + PIECE, np.repeat(ends, pieces))


def token_words(small: npt.NDArray[np.uint8], starts: Places, lengths: Places) -> Words:
    """Make one number of each token: its bytes, eight at a time."""
    # Eight bytes from any place on: overlapping words, one a byte.
    view: Words = np.ndarray((len(small) - 7,), "<u8", small, 0, (1,))
    words = view[starts] & MASKS[np.minimum(lengths, 8)]
    words += lengths.astype(np.uint64) * np.uint64(LENGTH)
    done, more = 8, np.flatnonzero(lengths > 8)
    while len(more):
        rest = MASKS[np.minimum(lengths[more] - done, 8)]
        words[more] = mix(words[more]) ^ (view[starts[more] + done] & rest)
        done += 8
        more = more[lengths[more] > done]
    return words


def value_sets(tokens: Tokens, counts: Places) -> Words:
    """Digest the set of values of each text that has tokens: 0 for none."""
    found = np.flatnonzero(tokens.is_value)
    owners = np.repeat(np.arange(len(counts), dtype=np.uint64), counts)[found]
    named = np.sort((owners << np.uint64(44)) | (mix(tokens.words[found]) >> np.uint64(20)))
    named = named[np.append(True, named[1:] != named[:-1])] if len(named) else named
    result = np.zeros(len(counts), np.uint64)
    low = np.uint64((1 << 44) - 1)
    np.add.at(result, (named >> np.uint64(44)).astype(np.int64), mix(named & low))
    return result


def short_rows(shingles: Words, starts: Places) -> Words:
    """Fingerprint texts by all their shingles, in any order."""
    total = np.add.reduceat(shingles, starts)
    salts = np.arange(1, COLUMNS + 1, dtype=np.uint64) * np.uint64(STEP)
    return mix(total[:, None] + salts)


def least_values(shingles: Words, counts: Places) -> npt.NDArray[np.uint32]:
    """Find the least value of each text's bins; each half of a shingle falls into one."""
    halves = shingles.view(np.uint32)
    flat = np.repeat(np.arange(len(counts)) * BINS, 2 * counts)
    flat += halves >> np.uint32(VALUE_BITS)
    least = np.full(len(counts) * BINS, EMPTY, np.uint32)
    np.minimum.at(least, flat, halves & np.uint32((1 << VALUE_BITS) - 1))
    return least.reshape(-1, BINS)


def long_rows(least: npt.NDArray[np.uint32]) -> Words:
    """Fingerprint texts by the minima of their bins."""
    minima = fill_empty(least)
    rows = np.zeros((len(least), COLUMNS), np.uint64)
    for row in range(ROWS):
        rows[:, :BANDS] = mix(rows[:, :BANDS] ^ minima[:, row : BANDS * ROWS : ROWS])
    rows[:, BANDS:] = one_bits(minima)
    return rows


def fill_empty(least: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Give empty bins the value of others, asked in an order that is the same for all texts."""
    filled, empty, tries = least.copy(), least == EMPTY, 0
    # As long as many are empty, it is cheaper to ask for all bins than to pick these.
    while tries < PROBES and np.count_nonzero(empty) > empty.size // 8:
        np.copyto(filled, least[:, DONORS[tries]], where=empty)
        empty, tries = filled == EMPTY, tries + 1
    rows, columns = np.nonzero(empty)
    for donors in DONORS[tries:]:
        if not len(rows):
            return filled
        given = least[rows, donors[columns]]
        filled[rows, columns] = given
        rows, columns = rows[given == EMPTY], columns[given == EMPTY]
    filled[rows, columns] = least.min(axis=1)[rows]
    return filled


def one_bits(minima: npt.NDArray[np.uint32]) -> Words:
    """Keep one bit of each minimum: equal where minima are equal, else by chance."""
    bits = (minima ^ SALTS) * np.uint32(0x85EBCA6B)
    bits ^= bits >> np.uint32(13)
    bits *= np.uint32(0xC2B2AE35)
    packed = np.packbits(bits >> np.uint32(31), axis=1, bitorder="little")
    return packed.view("<u8").astype(np.uint64)
