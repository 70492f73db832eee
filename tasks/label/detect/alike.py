"""Questions that ask the same in nearly the same words, told apart from those that only look it.

Rewording keeps most words; another question of the same kind changes a value ("store 4" for
"store 5"), a word that decides ("last" for "this") or one word that counts for another ("Paris"
for "London"). None of these is the same question.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasks.label.block import Bools, Ints
from tasks.label.detect.questions import (
    DECIDES,
    FILLER,
    SHORTEST,
    TEXT_BITS,
    Questions,
    lists_of_words,
    lower,
)


def alike(questions: Questions, left: Ints, right: Ints, similarity: float) -> Bools:
    """Say which pairs of texts ask the same.

    Args:
        questions: Texts, read.
        left: One text of each pair, `(pairs,)`.
        right: The other.
        similarity: Share of words (Jaccard) that they have in common at least, in (0, 1].

    Source: Jaccard, "The distribution of the flora in the alpine zone" (1912), for the share.
    """
    same = (questions.values[left] == questions.values[right]) & (
        np.minimum(questions.spoken[left], questions.spoken[right]) >= SHORTEST
    )
    found = np.flatnonzero(same)
    # Each bit that one mask has alone is a word that its text has alone: most pairs end here.
    size = np.diff(questions.start)
    most = np.full(len(found), np.iinfo(np.int64).max)
    for one, other in ((left[found], right[found]), (right[found], left[found])):
        alone = np.bitwise_count(questions.mask[one] & ~questions.mask[other]).astype(np.int64)
        most = np.minimum(most, size[one] - alone)
    both = size[left[found]] + size[right[found]]
    found = found[most >= similarity * (both - most) - 1e-9]
    mine = compared(questions, left[found], right[found])
    theirs = compared(questions, right[found], left[found])
    both = size[left[found]] + size[right[found]]
    enough = mine.common >= similarity * (both - mine.common) - 1e-9
    swapped = mine.content & theirs.content
    marks = np.zeros(len(left), dtype=bool)
    marks[found[enough & ~swapped & ~mine.decides & ~theirs.decides]] = True
    return marks


class Compared(NamedTuple):
    """How one text of each pair stands to the other, `(pairs,)` each."""

    common: Ints
    """Words that the other has, too."""
    content: Bools
    """It has a word alone that is no filler."""
    decides: Bools
    """It has a word alone that makes another question."""


def compared(questions: Questions, one: Ints, other: Ints) -> Compared:
    """Look up the words of one text of each pair in the other."""
    size = (questions.start[1:] - questions.start[:-1])[one]
    pair = np.repeat(np.arange(len(one)), size)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(size) - size, size)
    low = lower(questions.word[questions.start[one][pair] + within])
    wanted = (other[pair].astype(np.uint64) << TEXT_BITS) | low
    place = np.minimum(np.searchsorted(questions.word, wanted), len(questions.word) - 1)
    shared = questions.word[place] == wanted if len(wanted) else np.zeros(0, dtype=bool)
    alone, left = low[~shared], pair[~shared]
    fillers, decisive = lists_of_words()
    decides = (alone & DECIDES > 0) | np.isin(alone, decisive)
    content = ~(alone & FILLER > 0) & ~np.isin(alone, fillers)
    return Compared(
        np.bincount(pair[shared], minlength=len(one)).astype(np.int64),
        np.bincount(left[content], minlength=len(one)) > 0,
        np.bincount(left[decides], minlength=len(one)) > 0,
    )
