"""Pairs of calls: one that failed against the next one, which worked, at the same prefix."""

from __future__ import annotations

import polars as pl

from schemas.config import BuildConfig
from schemas.process import TOOL_ERROR
from tasks.build.preferences.guards import Sifted, capped, sifted


def repaired(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Choose whose calls are looked at: a repair in a failed episode proves little."""
    won = (pl.col("side") == "train") & (pl.col("state") == "success")
    return verdicts.filter(won).select("episode_id", "problem", "group", "confidence")


def placed(successes: pl.DataFrame, bodies: pl.DataFrame, config: BuildConfig) -> Sifted:
    """Cut each failed call and its repair out, and keep the surest of each problem.

    Guards are asked in this order: `retry_confidence`, `retry_cap`. Both sides are one message
    long, so that their lengths are not compared.

    Args:
        successes: Training successes (`repaired`).
        bodies: Answer of `pairs_bodies` on them.
        config: Least confidence and cap.
    """
    failed = bodies.select("episode_id", "failed").explode("failed").drop_nulls("failed")
    # Both sides share the outcome; they differ by the process reward of the failed call.
    pairs = successes.join(failed, on="episode_id").with_columns(
        kind=pl.lit("retry"),
        margin=pl.lit(-TOOL_ERROR),
        chosen_episode=pl.col("episode_id"),
        rejected_episode=pl.col("episode_id"),
        prompt_end=pl.col("failed") - 1,
        # Between the two stands what the tool said of the first.
        chosen_start=pl.col("failed") + 2,
        chosen_end=pl.col("failed") + 2,
        rejected_start=pl.col("failed"),
        rejected_end=pl.col("failed"),
        named=pl.col("failed").cast(pl.String),
    )
    kept, guards = sifted(
        pairs, {"retry_confidence": pl.col("confidence") < config.pair_confidence}
    )
    best, over = capped(kept, config.pair_cap_per_scenario, "retry_cap")
    return Sifted(best, guards | over)
