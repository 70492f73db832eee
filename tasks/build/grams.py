"""Word 13-grams that texts of one training group and one held-out group share, and no third does.

A run of 13 words that two groups have in common and no other group has is seldom chance: one text
was written from the other. What many groups say (a greeting, a rule read aloud, the listing of a
table) tells nothing, so a gram that a third group holds does not count. A few rare grams can still
be a turn of phrase: an episode is a copy when they are half of all it says.

Source: Brown et al. 2020, 2005.14165, appendix C (13-grams of words; common ones left out);
Touvron et al. 2023, 2307.09288, section A.6 (the share of a sample that is contaminated).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.ingest.near.minhash import Places, Words, blocks, buffers, mix, tokenise

GRAM = 13
"""Words of a gram."""
LEAST_GRAMS = 8
"""Rare grams from which an episode can be a copy: 20 words in a row."""
LEAST_SHARE = 0.5
"""Share of an episode's grams that make it one. Between two tasks of tau-bench, in which the agent
reads the same flights aloud, it is 31%."""
FACTOR = 0x9E3779B97F4A7C15
"""Base of the rolling hash, modulo 2**64."""
SIEVE_BITS = 24
"""Low bits of a hash that the sieve looks at: 16 MB, and most grams need no search."""
FIRST = 5
"""Copies that are traced to the episode they share most with."""


class Texts(NamedTuple):
    """Texts of one side."""

    said: pa.Array
    """Strings; null counts as empty. An episode may have many."""
    episode: Places
    """Number of each text's episode, from 0."""
    group: Places
    """Group of each episode. No group is on both sides."""


class Copy(NamedTuple):
    """A training and a held-out episode, one of which is a copy."""

    training: int
    held_out: int
    grams: int
    """Rare grams that the two share."""


class Shared(NamedTuple):
    """What two sides have in common."""

    copies: int
    """Episodes of either side that are copies."""
    first: list[Copy]
    """The `FIRST` of them, by share."""
    rare: int
    """Rare grams, those of mere turns of phrase included."""


class Grams(NamedTuple):
    """Grams, each once an episode."""

    hashes: Words
    episode: Places
    total: Places
    """Grams of each episode, as often as they are said."""


def shared_grams(training: Texts, held_out: Texts) -> Shared:
    """Find the episodes that are copies of what the other side says."""
    secret = grams_of(held_out)
    told = grams_of(training, np.unique(secret.hashes))
    # From here on held-out episodes are numbered after those of training.
    shift = len(training.group)
    hashes = np.concatenate([told.hashes, secret.hashes])
    episode = np.concatenate([told.episode, secret.episode + shift])
    group = np.concatenate([training.group, held_out.group])
    total = np.concatenate([told.total, secret.total])
    rare = np.flatnonzero(rare_of(hashes, group[episode], episode < shift))
    hashes, episode = hashes[rare], episode[rare]
    counts = np.bincount(episode, minlength=len(group))
    share = counts / np.maximum(total, 1)
    copies = np.flatnonzero((counts >= LEAST_GRAMS) & (share >= LEAST_SHARE))
    worst = copies[np.lexsort((copies, -share[copies]))][:FIRST]
    first = [traced(int(copy), hashes, episode, shift) for copy in worst]
    return Shared(len(copies), first, len(np.unique(hashes)))


def rare_of(hashes: Words, group: Places, is_told: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Say of each gram whether one training and one held-out group, and no other, hold it."""
    rare = np.zeros(len(hashes), np.bool_)
    if not len(hashes):
        return rare
    order = np.lexsort((group, hashes))
    ordered, owner = hashes[order], group[order]
    start = np.append(True, ordered[1:] != ordered[:-1])
    another = start.copy()
    another[1:] |= owner[1:] != owner[:-1]
    first = np.flatnonzero(start)
    groups = np.add.reduceat(another.astype(np.int64), first)
    sides = np.logical_or.reduceat(is_told[order], first)
    sides &= np.logical_or.reduceat(~is_told[order], first)
    rare[order] = np.repeat((groups == 2) & sides, np.diff(np.append(first, len(hashes))))
    return rare


def traced(copy: int, hashes: Words, episode: Places, shift: int) -> Copy:
    """Find the episode of the other side that a copy shares most rare grams with."""
    other = (episode < shift) != (copy < shift)
    also = episode[other & np.isin(hashes, hashes[episode == copy])]
    found, grams = np.unique(also, return_counts=True)
    twin = int(found[grams.argmax()])
    return Copy(min(copy, twin), max(copy, twin) - shift, int(grams.max()))


def grams_of(texts: Texts, among: Words | None = None) -> Grams:
    """Hash every gram of texts.

    Args:
        texts: The texts of one side.
        among: Hashes in order, outside of which a gram is only counted. None: keep all.
    """
    offsets, data = buffers(texts.said)
    sieve = None if among is None else sieve_of(among)
    total = np.zeros(len(texts.group), np.int64)
    hashes, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for first, last in blocks(offsets):
        here = offsets[first : last + 1]
        found, text = block_grams(data[here[0] : here[-1]], here - here[0])
        episode = texts.episode[first:last][text]
        total += np.bincount(episode, minlength=len(total))
        if among is not None and sieve is not None:
            kept = np.flatnonzero(sieve[sieved(found)])
            place = np.minimum(np.searchsorted(among, found[kept]), len(among) - 1)
            kept = kept[among[place] == found[kept]]
            found, episode = found[kept], episode[kept]
        hashes.append(found)
        owners.append(episode)
    return Grams(*once(np.concatenate(hashes), np.concatenate(owners)), total)


def once(hashes: Words, episode: Places) -> tuple[Words, Places]:
    """Keep each gram once an episode."""
    order = np.lexsort((episode, hashes))
    hashes, episode = hashes[order], episode[order]
    new = np.ones(len(hashes), np.bool_)
    new[1:] = (hashes[1:] != hashes[:-1]) | (episode[1:] != episode[:-1])
    return hashes[new], episode[new]


def block_grams(block: memoryview, offsets: Places) -> tuple[Words, Places]:
    """Hash the grams of a block's texts, and say whose each is; none reaches over two texts."""
    if len(block):
        tokens = tokenise(block, offsets)
        count = len(tokens.words) - GRAM + 1
        if count > 0:
            owners = np.repeat(np.arange(len(tokens.counts)), tokens.counts)
            whole = np.flatnonzero(owners[GRAM - 1 :] == owners[:count])
            return mix(rolling(tokens.words)[whole]), owners[whole]
    return np.zeros(0, np.uint64), np.zeros(0, np.int64)


def rolling(words: Words) -> Words:
    """Hash every 13 neighbouring words, from hashes of 1, 2, 4, 8 and 12 of them."""
    one = mix(words)
    by1, by2, by4 = (np.uint64(pow(FACTOR, power, 1 << 64)) for power in (1, 2, 4))
    two = one[:-1] * by1 + one[1:]
    four = two[:-2] * by2 + two[2:]
    eight = four[:-4] * by4 + four[4:]
    twelve = eight[:-4] * by4 + four[8:]
    return twelve[:-1] * by1 + one[12:]


def sieve_of(hashes: Words) -> npt.NDArray[np.bool_]:
    """Mark the low bits that hashes have."""
    sieve = np.zeros(1 << SIEVE_BITS, np.bool_)
    sieve[sieved(hashes)] = True
    return sieve


def sieved(hashes: Words) -> Places:
    """Give the low bits of hashes."""
    return (hashes & np.uint64((1 << SIEVE_BITS) - 1)).astype(np.int64)
