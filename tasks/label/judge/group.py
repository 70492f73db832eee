"""Groups: which episodes of a scenario are judged together.

A group holds at least one episode that is wanted (nothing has labelled it) and, where the scenario
has them, one or two whose outcome is verified: these anchors tell how far the judge can be trusted.
"""

from __future__ import annotations

import numpy as np

from tasks.label.block import Bools, Ints

ANCHORS = 2
"""Most verified episodes in a group: each takes the place of one that is wanted."""


def groups(
    scenario: Ints, wanted: Bools, anchors: Bools, size: int, rng: np.random.Generator
) -> list[Ints]:
    """Draw groups of 2 to `size` episodes of one scenario; no episode is in two of them.

    A wanted episode that would stand alone is left out. The groups of a scenario are of nearly
    equal size, and all groups come in random order, so that a budget cuts off no scenario.

    Args:
        scenario: Scenario of each episode, `(episodes,)`; negative where it has none.
        wanted: Episodes that need a verdict, `(episodes,)`.
        anchors: Episodes with a verified outcome, `(episodes,)`.
        size: Most episodes in a group, at least 2.
        rng: Draws who stands with whom.

    Returns:
        Positions of the episodes of each group, ascending.
    """
    asked = _shuffled(np.flatnonzero(wanted & (scenario >= 0)), scenario, rng)
    held = _shuffled(np.flatnonzero(anchors & ~wanted & (scenario >= 0)), scenario, rng)
    codes, counts = np.unique(scenario[asked], return_counts=True)
    known = held[np.isin(scenario[held], codes)]
    supply = np.bincount(np.searchsorted(codes, scenario[known]), minlength=len(codes))
    number = _number_of_groups(counts, supply, size)
    first = np.cumsum(number) - number
    code = np.repeat(np.arange(len(codes)), counts)
    group = first[code] + _rank(code) * number[code] // counts[code]
    taken = np.bincount(group, minlength=int(number.sum()))
    owner = np.repeat(np.arange(len(codes)), number)
    places, used = _seats(taken, owner, supply, size)
    start = np.cumsum(supply) - supply
    members = np.concatenate([asked, known[start[owner[places]] + used]])
    return _split(members, np.concatenate([group, places]), rng)


def _number_of_groups(wanted: Ints, supply: Ints, size: int) -> Ints:
    """Say how many groups each scenario needs, one place in each kept for an anchor if it can be.

    With fewer anchors than groups, each anchor takes one of the places of all groups.
    """
    with_anchor = -(-wanted // (size - 1))
    return np.where(supply >= with_anchor, with_anchor, -(-(wanted + supply) // size))


def _seats(taken: Ints, owner: Ints, supply: Ints, size: int) -> tuple[Ints, Ints]:
    """Seat anchors, the smallest groups first: one in each, then a second while there are more.

    Returns:
        The group of each seated anchor, and which of its scenario's anchors it is.
    """
    order = np.lexsort((taken, owner))
    groups: list[Ints] = []
    numbers: list[Ints] = []
    before = np.zeros(len(supply), np.int64)
    for turn in range(ANCHORS):
        free = order[taken[order] + turn < size]
        number = before[owner[free]] + _rank(owner[free])
        seated = number < supply[owner[free]]
        groups.append(free[seated])
        numbers.append(number[seated])
        before += np.bincount(owner[free], minlength=len(supply))
    return np.concatenate(groups), np.concatenate(numbers)


def _split(members: Ints, group: Ints, rng: np.random.Generator) -> list[Ints]:
    """Make a list of groups in random order; those of one episode are left out."""
    size = np.bincount(group)
    whole = size[group] >= 2
    members, group = members[whole], group[whole]
    turn = rng.permutation(len(size))[group]
    order = np.lexsort((members, turn))
    edges = np.flatnonzero(np.diff(turn[order])) + 1
    return np.split(members[order], edges) if len(order) else []


def _shuffled(rows: Ints, scenario: Ints, rng: np.random.Generator) -> Ints:
    """Sort rows by scenario, at random within each."""
    return rows[np.lexsort((rng.permutation(len(rows)), scenario[rows]))]


def _rank(code: Ints) -> Ints:
    """Number the entries of each run of equal codes from 0."""
    if not len(code):
        return np.zeros(0, np.int64)
    begins = np.flatnonzero(np.concatenate([[True], code[1:] != code[:-1]]))
    lengths = np.diff(np.concatenate([begins, [len(code)]]))
    return np.asarray(np.arange(len(code)) - np.repeat(begins, lengths))
