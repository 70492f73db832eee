"""Scenarios for reinforcement: logged problems that are neither solved already nor out of reach."""

from __future__ import annotations

import polars as pl

from schemas.config import BuildConfig

Dropped = dict[str, int]


def scenarios(verdicts: pl.DataFrame, config: BuildConfig) -> tuple[pl.DataFrame, Dropped]:
    """Choose the scenarios whose logged outcomes promise a gradient, the most promising first.

    Reinforcement in groups learns from what sets the attempts at one problem apart. A reward that
    is 1 with chance p and else 0 has variance p (1 - p): nothing where all pass or all fail, most
    at a half. So scenarios that all passed are dropped, those with both outcomes are kept, nearest
    to a half first, and after them comes a small share of those that nobody has solved yet: the
    policy that plays them may be better than the one that was logged.

    A pass rate of a few episodes is a rough one, and logged under other policies; a trainer that
    samples afresh still has to leave out groups that turn out to have one outcome.

    Args:
        verdicts: A night's episodes with their `side` and `group`, in any order.
        config: Least episodes of a scenario, and the share of hard ones.

    Returns:
        One row a scenario: `scenario_id`, `group`, `episodes` (labelled ones), `pass_rate`,
        `difficulty`, `logged` (ids of the labelled episodes, sorted), `prompt_episode` (the first
        of them), `rank`. And how many scenarios of the train side were dropped: `few` labelled
        episodes, `easy`, and `hard` beyond the share.

    Source: Yu et al. 2025, DAPO (arXiv 2503.14476), section 3.2, which samples until no group of
        a batch has an accuracy of 0 or 1; here the logs say beforehand which are likely to.
    """
    found = tried(verdicts)
    enough = found.filter(pl.col("episodes") >= config.scenario_episodes)
    mixed = enough.filter(pl.col("passed").is_between(1, pl.col("episodes") - 1))
    hard = enough.filter(pl.col("passed") == 0)
    kept = hard.head(most_hard(mixed.height, config.scenario_hard_share))
    # In whole numbers, as 1/2 - 1/3 and 2/3 - 1/2 differ in their last digit.
    off_half = (2 * pl.col("passed") - pl.col("episodes")).abs() / pl.col("episodes")
    ordered = pl.concat([mixed, kept]).sort(off_half, "scenario_id")
    dropped = {
        "few": found.height - enough.height,
        "easy": enough.height - mixed.height - hard.height,
        "hard": hard.height - kept.height,
    }
    return described(ordered), dropped


def tried(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Count, of each logged scenario of the train side, its labelled episodes, by its id."""
    labelled = pl.col("state") != "unlabelled"
    return (
        verdicts.lazy()
        .filter(pl.col("side") == "train", pl.col("scenario_id").is_not_null())
        .group_by("scenario_id")
        .agg(
            pl.col("group").min(),
            labelled.sum().cast(pl.Int64).alias("episodes"),
            (pl.col("state") == "success").sum().cast(pl.Int64).alias("passed"),
            pl.col("episode_id").filter(labelled).sort().alias("logged"),
        )
        .sort("scenario_id")
        .collect()
    )


def most_hard(mixed: int, share: float) -> int:
    """Say how many unsolved scenarios may stand beside those with both outcomes.

    Args:
        mixed: Scenarios with both outcomes.
        share: Most unsolved ones, as a fraction of these; any share above 0 allows one.
    """
    return max(1, int(share * mixed)) if share > 0 and mixed else 0


def described(ordered: pl.DataFrame) -> pl.DataFrame:
    """Give scenarios, best first, the columns that a build keeps."""
    mixed = pl.col("passed") > 0
    return ordered.select(
        "scenario_id",
        "group",
        "episodes",
        (pl.col("passed") / pl.col("episodes")).alias("pass_rate"),
        pl.when(mixed).then(pl.lit("mixed")).otherwise(pl.lit("hard")).alias("difficulty"),
        "logged",
        pl.col("logged").list.first().alias("prompt_episode"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("rank"),
    )
