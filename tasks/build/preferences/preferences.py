"""Preference pairs of all kinds, chosen by ids from narrow columns and put in one order."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from schemas.config import BuildConfig
from schemas.digest import digest
from tasks.build.preferences import corrections, decisions, episodes, retries
from warehouse.catalog import Catalog

COLUMNS = {
    "pair_id": pl.String,
    "kind": pl.String,
    "chosen_episode": pl.String,
    "rejected_episode": pl.String,
    "margin": pl.Float64,
    "confidence": pl.Float64,
    "state": pl.Int64,
    "support": pl.Int64,
    "group": pl.Int64,
    "prompt_end": pl.Int64,
    "chosen_start": pl.Int64,
    "chosen_end": pl.Int64,
    "rejected_start": pl.Int64,
    "rejected_end": pl.Int64,
    "said": pl.String,
    "rank": pl.Int64,
}
"""Columns of pairs by their ids, and their types."""
MADE = ("pair_id", "rank")
"""Columns that all kinds get alike."""


class Pairs(NamedTuple):
    """The pairs of a night by their ids, and what became of the others."""

    rows: pl.DataFrame
    """One row a pair, surest first; columns `COLUMNS`. Positions are 1-based, among what the agent
    saw (`agent_view`): the prompt is the chosen episode up to `prompt_end`. `said` is the chosen
    answer of a correction; there, `chosen_start` is the place that it takes."""
    candidates: int
    """Combinations of a success with a failure, over the problems with both, before any guard."""
    guards: dict[str, int]
    """Pairs dropped, by the first guard that drops each. Those without a prefix are of episode
    pairs: with the episode pairs kept, they add up to `candidates`."""


def choose_pairs(
    catalog: Catalog,
    verdicts: pl.DataFrame,
    config: BuildConfig,
    step_shrinkage: float,
    night: str,
) -> Pairs:
    """Choose the preference pairs of a night; only positions and digests of messages are read.

    Args:
        catalog: Sees `episodes`, `signals` and `step_values`, at the versions the build pins.
        verdicts: The night's episodes (`night_verdicts`), with `side` and `group`.
        config: Guards and caps.
        step_shrinkage: Visits that draw the confidence of a decision point to a half.
        night: The night of all of `verdicts`, `YYYY-MM-DD`: no other night's messages are read.
    """
    known = verdicts.with_columns(pl.col("total").fill_null(0.0)).sort("episode_id")
    tried = episodes.tried(known, config)
    points = decisions.decision_points(catalog, known, config, step_shrinkage)
    mended = corrections.corrected(catalog, known, night)
    repaired = retries.repaired(known)
    ids = [
        *(tried.pairs[f"{side}_episode"] for side in ("chosen", "rejected")),
        *(points.pairs[f"{side}_episode_id"] for side in ("chosen", "rejected")),
        mended.pairs["episode_id"],
        repaired["episode_id"],
    ]
    bodies = read_bodies(catalog, pl.concat(ids), night)
    kinds = (
        episodes.placed(tried, bodies, config),
        decisions.placed(points, bodies),
        corrections.placed(mended, bodies, config),
        retries.placed(repaired, bodies, config),
    )
    guards = {name: count for kind in kinds for name, count in kind.guards.items()}
    return Pairs(ranked([shaped(kind.pairs) for kind in kinds]), tried.candidates, guards)


def read_bodies(catalog: Catalog, ids: pl.Series, night: str) -> pl.DataFrame:
    """Find where the messages of episodes of a night can be cut, each read once for all kinds."""
    wanted = ids.unique().sort().to_frame("episode_id").to_arrow()
    return pl.DataFrame(catalog.query("pairs_bodies", {"night": night}, {"wanted": wanted}))


def shaped(pairs: pl.DataFrame) -> pl.DataFrame:
    """Bring pairs of one kind into the columns of all; what a kind does not have is null."""
    columns = [
        (pl.col(name) if name in pairs.columns else pl.lit(None)).cast(type_).alias(name)
        for name, type_ in COLUMNS.items()
        if name not in MADE
    ]
    return pairs.select(*columns, "named")


def ranked(kinds: list[pl.DataFrame]) -> pl.DataFrame:
    """Put all pairs together, surest first, and give each its id and place."""
    pairs = pl.concat(kinds)
    names = pairs.select(
        pl.concat_str("kind", "chosen_episode", "rejected_episode", "named", separator=":")
    ).to_series()
    ids = pl.Series("pair_id", [digest(name, 24) for name in names], pl.String)
    return (
        pairs.with_columns(ids)
        .sort("confidence", "margin", "pair_id", descending=[True, True, False])
        .with_columns(pl.int_range(pl.len()).alias("rank"))
        .select(pl.col(name).cast(type_) for name, type_ in COLUMNS.items())
    )
