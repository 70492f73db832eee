"""Pairs of episodes: a success against a failure of the same problem, after the same prompt.

Guards are asked in this order: `held_out` (a side is not trained on), `split` (the sides belong to
different groups), `identical` (equal bodies), `confidence`, `margin`, `prompt` (another one, or no
step after it), `length`, `cap`. What needs no messages comes first, so that messages are read only
of episodes whose pairs have passed so far.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from schemas.config import BuildConfig
from tasks.build.preferences.guards import Sifted, capped, sifted

PER_SIDE = 32
"""Most successes, and most failures, of one problem that are tried against each other."""
SIDES = ("success", "failure")
OF_SIDE = ("episode_id", "side", "group", "body_digest", "confidence", "total")
"""Columns of each side that guards look at."""


class Tried(NamedTuple):
    """Pairs that have passed all guards but those that need messages."""

    pairs: pl.DataFrame
    guards: dict[str, int]
    candidates: int
    """Combinations of a success with a failure, over the problems with both."""
    untried: int
    """Those of them beyond the best of each side."""


def tried(verdicts: pl.DataFrame, config: BuildConfig) -> Tried:
    """Try the surest successes of each problem against its surest failures.

    Args:
        verdicts: A night's episodes, with `side` and `group`; `total` is never null.
        config: Least confidence and margin.
    """
    labelled = verdicts.filter(pl.col("state").is_in(SIDES)).sort(
        "confidence", "total", "episode_id", descending=[True, True, False]
    )
    counts = labelled.group_by("problem").agg(
        *(pl.col("state").eq(state).sum().cast(pl.Int64).alias(state) for state in SIDES)
    )
    candidates = counts.select((pl.col("success") * pl.col("failure")).sum()).item()
    both = counts.filter((pl.col("success") > 0) & (pl.col("failure") > 0)).select("problem")
    # Only the best of each side are joined: one much asked question has millions of combinations.
    best = labelled.join(both, on="problem", how="semi", maintain_order="left").filter(
        pl.int_range(pl.len()).over("problem", "state") < PER_SIDE
    )
    sides = [
        best.filter(pl.col("state") == state).select(
            "problem", *(pl.col(name).alias(f"{side}_{name}") for name in OF_SIDE)
        )
        for state, side in zip(SIDES, ("chosen", "rejected"), strict=True)
    ]
    pairs = sides[0].join(sides[1], on="problem").with_columns(
        margin=pl.col("chosen_total") - pl.col("rejected_total"),
        confidence=pl.min_horizontal("chosen_confidence", "rejected_confidence"),
    )  # fmt: skip
    kept, guards = sifted(
        pairs,
        {
            "held_out": (pl.col("chosen_side") != "train") | (pl.col("rejected_side") != "train"),
            "split": pl.col("chosen_group") != pl.col("rejected_group"),
            "identical": pl.col("chosen_body_digest") == pl.col("rejected_body_digest"),
            "confidence": pl.col("confidence") < config.pair_confidence,
            "margin": pl.col("margin") < config.pair_margin,
        },
    )
    named = kept.select(
        "problem", "margin", "confidence", pl.col("chosen_group").alias("group"),
        pl.col("chosen_episode_id").alias("chosen_episode"),
        pl.col("rejected_episode_id").alias("rejected_episode"),
    )  # fmt: skip
    return Tried(named, guards, candidates, candidates - len(pairs))


def placed(found: Tried, bodies: pl.DataFrame, config: BuildConfig) -> Sifted:
    """Ask the guards that need messages, cut the pairs, and keep the surest of each problem.

    Args:
        found: Pairs that have passed the other guards.
        bodies: Answer of `pairs_bodies` on both sides of all of them.
        config: Length ratio and cap.
    """
    cut = bodies.select(
        "episode_id", "prompt_digest", "characters", "length", start=pl.col("steps").list.first()
    )
    pairs = found.pairs
    for side in ("chosen", "rejected"):
        own = cut.rename({name: f"{side}_{name}" for name in cut.columns})
        pairs = pairs.join(
            own, left_on=f"{side}_episode", right_on=f"{side}_episode_id", how="left"
        )
    lengths = pl.col("chosen_characters"), pl.col("rejected_characters")
    shorter = pl.min_horizontal(*lengths).clip(lower_bound=1)
    kept, guards = sifted(
        pairs,
        {
            "prompt": pl.col("chosen_prompt_digest") != pl.col("rejected_prompt_digest"),
            "length": pl.max_horizontal(*lengths) > config.pair_length_ratio * shorter,
        },
    )
    best, over = capped(kept, config.pair_cap_per_scenario, "cap")
    rows = best.with_columns(
        kind=pl.lit("episode"),
        prompt_end=pl.col("chosen_start") - 1,
        chosen_end=pl.col("chosen_length"),
        rejected_end=pl.col("rejected_length"),
        # As ids have always been made.
        named=pl.lit("None"),
    )
    over["cap"] += found.untried
    return Sifted(rows, found.guards | guards | over)
