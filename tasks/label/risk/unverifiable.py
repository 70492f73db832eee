"""Rule `unverifiable`: numbers in the answer that nothing the agent saw contains.

A number that was worked out (a sum, a difference, a mean) is rightly absent, and so this weighs
little by default: it tells episodes of one scenario apart, not a lie from a calculation. What is
only a rounding of a number that is there, or a share written as a percentage, counts as there.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tasks.label.block import ASSISTANT, USER, Block, Bools, Floats, Ints
from tasks.label.risk.membership import among
from tasks.label.risk.numbers import Numbers, numbers_of

LEAST_DIGITS = 2
"""Digits from which a number counts: single ones count items, and stand everywhere by chance."""
YEARS = (1900, 2100)
SLACK = 1e-9
"""Share of half a unit by which a rounding may miss, since decimals are not exact in binary."""
INEXACT = 1e-15
"""The same as a share of the value, which counts where that is large."""


def unverifiable(block: Block) -> Floats:
    """Give the share of the last answer's numbers that stand nowhere else, `(episodes,)`.

    The answer is the last message of the agent that makes no call; elsewhere are messages of the
    user and the system, and results. Numbers of one digit, of items of a list, and years that the
    user named do not count. NaN where no number is left.
    """
    answer = last_answers(block)
    told = numbers_of(block.content.take(pa.array(answer)))
    told = chosen(told, (told.digits >= LEAST_DIGITS) & ~told.marker)
    owner = block.owner[answer][told.text]
    answered = np.zeros(len(block), np.bool_)
    answered[owner] = True
    seen = numbers_of(block.content, (block.role != ASSISTANT) & answered[block.owner], data=True)
    where = block.owner[seen.text]
    counts = ~named_years(told, owner, seen, where, block.role[seen.text] == USER)
    told, owner = chosen(told, counts), owner[counts]
    half = 0.5 * (1.0 + SLACK) / 10.0 ** np.minimum(told.decimals, 300) + INEXACT * told.value
    shares = np.flatnonzero(told.percent)
    found = any_within(
        np.append(owner, owner[shares]),
        np.append(told.value, told.value[shares] / 100),
        np.append(half, half[shares] / 100),
        where,
        seen.value,
    )
    found[shares] |= found[len(owner) :]
    found = found[: len(owner)]
    missing = np.bincount(owner[~found], minlength=len(block))
    total = np.bincount(owner, minlength=len(block))
    return np.where(total > 0, missing / np.maximum(total, 1), np.nan)


def last_answers(block: Block) -> Ints:
    """Give each episode's last message of the agent that makes no call, ascending."""
    calls = np.bincount(block.call_message, minlength=len(block.role))
    found = np.flatnonzero((block.role == ASSISTANT) & (calls == 0))
    owner = block.owner[found]
    last = np.ones(len(found), np.bool_)
    last[:-1] = owner[1:] != owner[:-1]
    return np.asarray(found[last])


def chosen(numbers: Numbers, kept: Bools) -> Numbers:
    """Leave out the other numbers."""
    return Numbers(
        numbers.text[kept],
        numbers.value[kept],
        numbers.decimals[kept],
        numbers.digits[kept],
        numbers.percent[kept],
        numbers.marker[kept],
    )


def named_years(told: Numbers, owner: Ints, seen: Numbers, where: Ints, by_user: Bools) -> Bools:
    """Say which numbers of the answers are years that the user named."""
    first, end = YEARS
    may_be = (told.value >= first) & (told.value < end) & (told.decimals == 0)
    named = by_user & (seen.value >= first) & (seen.value < end)
    keys = where[named] * end + seen.value[named].astype(np.int64)
    asked = np.where(may_be, owner * end + np.where(may_be, told.value, 0).astype(np.int64), -1)
    return among(asked, keys)


def any_within(owner: Ints, value: Floats, half: Floats, where: Ints, there: Floats) -> Bools:
    """Say beside which values one of the same episode stands, no further off than `half`.

    Args:
        owner: Episode of each value, `(values,)`.
        value: What is looked for, `(values,)`.
        half: How far off it may be, `(values,)`.
        where: Episode of each number that is there, `(numbers,)`.
        there: The numbers, `(numbers,)`.
    """
    near = near_any(value - half, value + half, there)
    ranked, rank = np.unique(there[near], return_inverse=True)
    width = len(ranked) + 1
    keys = np.sort(where[near] * width + rank)  # by episode, then by value
    low = np.searchsorted(ranked, value - half, side="left")
    high = np.searchsorted(ranked, value + half, side="right")
    first = np.searchsorted(keys, owner * width + low)
    return first < np.searchsorted(keys, owner * width + high)


def near_any(low: Floats, high: Floats, there: Floats) -> Bools:
    """Say which numbers may lie in one of some intervals: results hold many, answers few.

    Args:
        low: Where each interval starts, `(intervals,)`.
        high: Where each ends, itself included, `(intervals,)`.
        there: The numbers, `(numbers,)`; all that lie in one are found, and few others.
    """
    order = np.argsort(low)
    reach = np.concatenate([[-np.inf], np.maximum.accumulate(high[order])])
    return np.asarray(there <= reach[np.searchsorted(low[order], there, side="right")])
