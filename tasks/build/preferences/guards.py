"""Guards: what drops a pair, each pair counted once, under the first guard that drops it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

SUREST = ("confidence", "margin")
"""What pairs are put in order by, highest first."""
NAMES = ("chosen_episode", "rejected_episode", "state", "rejected_start")
"""What decides between pairs that are equally sure, lowest first."""


class Sifted(NamedTuple):
    """Pairs that passed, and how many each guard dropped."""

    pairs: pl.DataFrame
    guards: dict[str, int]


def sifted(pairs: pl.DataFrame, guards: Mapping[str, pl.Expr]) -> Sifted:
    """Drop the pairs for which any expression is true, or says nothing.

    Args:
        pairs: One row a pair.
        guards: What drops a pair, by the guard's name, in the order in which they are asked.
    """
    first = pl.lit(len(guards))
    for place, drops in reversed(list(enumerate(guards.values()))):
        first = pl.when(drops.fill_null(True)).then(place).otherwise(first)
    by = pairs.select(first.alias("by"))["by"]
    counts = dict(by.value_counts().iter_rows())
    return Sifted(
        pairs.filter(by == len(guards)),
        {name: counts.get(place, 0) for place, name in enumerate(guards)},
    )


def capped(pairs: pl.DataFrame, most: int, guard: str) -> Sifted:
    """Keep the surest pairs of each problem, at most `most`, and count the rest under `guard`."""
    names = [name for name in NAMES if name in pairs.columns]
    ordered = pairs.sort(*SUREST, *names, descending=[True] * len(SUREST) + [False] * len(names))
    kept = ordered.filter(pl.int_range(pl.len()).over("problem") < most)
    return Sifted(kept, {guard: len(pairs) - len(kept)})
