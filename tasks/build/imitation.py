"""Rows to imitate: confident successes, good steps of failures, unpaired labels, and replay."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from schemas.config import BuildConfig
from schemas.digest import digest
from tasks.build.night import still_there
from tasks.label.credit import ANSWER
from warehouse.catalog import Catalog

ANSWERING = int(ANSWER.view(np.int64))
"""The action of a last step that calls nothing, as step values keep it."""
PRIME = 4294967291
"""The largest prime of 32 bits: draws are numbers below it."""
MARGINS = (2, 16)
"""How many times what is wanted is drawn, for the case that much of it no longer fits."""

Dropped = dict[str, int]


def best_first() -> list[pl.Expr]:
    """Order episodes by confidence, then composite return, then id: no two are equal."""
    return [-pl.col("confidence"), -pl.col("total"), pl.col("episode_id")]


def ranked(rows: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Keep id, group, the place in the order and some columns more."""
    place = pl.int_range(pl.len(), dtype=pl.Int64).alias("rank")
    return rows.select("episode_id", "group", place, *columns)


def capped(rows: pl.DataFrame, config: BuildConfig) -> pl.DataFrame:
    """Drop what repeats the body of a row before it, then what is too many of one problem."""
    once = rows.unique("body_digest", keep="first", maintain_order=True)
    place = pl.int_range(pl.len()).over("problem")
    return once.filter(place < config.sft_cap_per_scenario)


def sft_rows(verdicts: pl.DataFrame, config: BuildConfig) -> pl.DataFrame:
    """Choose confident successes, best first, no body twice, few of one problem.

    Args:
        verdicts: A night's episodes with their `side` and `group`, in any order.
        config: Least confidence, and the cap of a problem.

    Returns:
        `episode_id`, `group`, `rank`.
    """
    sure = verdicts.filter(
        pl.col("side") == "train",
        pl.col("state") == "success",
        pl.col("confidence") >= config.sft_confidence,
    )
    return ranked(capped(sure.sort(best_first()), config))


def failures(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Keep the failed episodes of the train side."""
    return verdicts.filter(pl.col("side") == "train", pl.col("state") == "failure")


def failed_states(verdicts: pl.DataFrame) -> pl.DataFrame:
    """List the states whose values decide on good steps: relation `wanted` of `step_values_of`.

    Returns:
        `state`, each once, sorted.
    """
    states = failures(verdicts)["step_states"].list.explode(empty_as_null=False, keep_nulls=False)
    return states.rename("state").unique().sort().to_frame().filter(pl.col("state") != 0)


def good_step_rows(
    verdicts: pl.DataFrame, values: pl.DataFrame, config: BuildConfig
) -> pl.DataFrame:
    """Choose failed episodes for the steps after which others, who acted alike, fared better.

    A step is good when its action, taken in its state by all episodes so far, led to returns above
    the state's mean by `good_step_advantage`, with `good_step_support` visits. The loss covers such
    steps alone; the rest of the episode is context, its failed steps among it, so that a good step
    after a bad one shows how to recover. What does not act (state 0) is never good, nor is a final
    answer: all answers in a state count as one action, so its value says that answering was right
    there, not that these words were.

    Where it is wrong: a state is the calls and results so far, and what the user said meanwhile is
    not in it; the best action of a state where all fare badly is good too, as the advantage is
    relative; and returns are those of the policies that were logged, a handful of visits of which
    may have been lucky.

    Args:
        verdicts: A night's episodes with their `side` and `group`, in any order.
        values: `state`, `action`, `visits`, `advantage`, each state and action once.
        config: What makes a step good, and the cap of a problem.

    Returns:
        `episode_id`, `group`, `rank`, `good_steps` (one truth value an assistant step): most good
        steps first, then the highest sum of advantages, then the id. No body twice, nor one that
        also succeeded tonight; at most `sft_cap_per_scenario` of a problem.
    """
    won = verdicts.filter(pl.col("side") == "train", pl.col("state") == "success")
    failed = failures(verdicts).join(won, on="body_digest", how="anti")
    # The last digits of a sum depend on its order, and so would what just reaches the limit.
    good = values.select("state", "action", "visits", pl.col("advantage").round(9)).filter(
        pl.col("advantage") >= config.good_step_advantage,
        pl.col("visits") >= config.good_step_support,
        pl.col("state") != 0,
        pl.col("action") != ANSWERING,
    )
    marked = (
        failed.select("episode_id", state="step_states", action="step_actions")
        .filter(pl.col("state").list.len() > 0)
        .explode("state", "action")
        .join(good, on=["state", "action"], how="left", maintain_order="left")
        .group_by("episode_id", maintain_order=True)
        .agg(
            pl.col("advantage").is_not_null().alias("good_steps"),
            pl.col("advantage").sum().round(9),
        )
        .with_columns(pl.col("good_steps").list.sum().cast(pl.Int64).alias("count"))
        .filter(pl.col("count") > 0)
    )
    order = [-pl.col("count"), -pl.col("advantage"), pl.col("episode_id")]
    found = failed.select("episode_id", "group", "body_digest", "problem").join(
        marked, on="episode_id"
    )
    return ranked(capped(found.sort(order), config), "good_steps")


def kto_rows(verdicts: pl.DataFrame, config: BuildConfig) -> tuple[pl.DataFrame, Dropped]:
    """Choose confident labels of both kinds, each body once; where equal bodies disagree, none.

    Equal bodies with unequal outcomes are a coin's two sides: to learn either is to learn noise,
    however sure one of the labels is.

    Args:
        verdicts: A night's episodes with their `side` and `group`, in any order.
        config: Least confidence.

    Returns:
        `episode_id`, `group`, `rank`, `desirable`, `weight` (the confidence, a fraction), surest
        first; and how many confident episodes were dropped: `twin` (a surer one has its body) and
        `contradicted`.
    """
    sure = (
        verdicts.filter(
            pl.col("side") == "train",
            pl.col("state").is_in(["success", "failure"]),
            pl.col("confidence") >= config.sft_confidence,
        )
        .with_columns((pl.col("state") == "success").alias("desirable"))
        .with_columns(
            (pl.col("desirable").any() == pl.col("desirable").all())
            .over("body_digest")
            .alias("agreed")
        )
    )
    agreed = sure.filter("agreed").sort(best_first())
    once = agreed.unique("body_digest", keep="first", maintain_order=True)
    dropped = {
        "twin": agreed.height - once.height,
        "contradicted": sure.height - agreed.height,
    }
    chosen = once.with_columns(pl.col("confidence").alias("weight"))
    return ranked(chosen, "desirable", "weight"), dropped


def replayed(
    catalog: Catalog,
    own: pl.DataFrame,
    config: BuildConfig,
    nights: Sequence[str],
    retired: Callable[[pl.Series], pl.Series],
    builds: Sequence[str],
    whole: Catalog | None = None,
) -> pl.DataFrame:
    """Draw older successes against forgetting, other ones every night.

    They come from what builds of earlier nights imitated of their own; of these, narrow columns are
    read, and labels and bodies of the drawn ones alone. What they replayed themselves may be of any
    night, and is left to builds of that night. More are drawn than wanted, as some no longer fit;
    how many more changes nothing about which are kept.

    Args:
        catalog: Sees `episodes`, `labels` and `trajectories` of the nights and builds at least.
        own: The night's own rows (`episode_id`), whose number sets theirs.
        config: `replay_share`, a multiple of that number.
        nights: `YYYY-MM-DD`: tonight, which sets the draw, and those of the builds.
        retired: Says of each group whether it has left the train side since, in the order asked.
        builds: Digests of the builds of earlier nights, oldest first; one a night.
        whole: Sees the episodes of all nights; None where `catalog` does.

    Returns:
        `episode_id`, `group`, `rank`: at most `int(replay_share * len(own))` rows in the order of
        the draw. None whose newest label is no success, whose group is not on the train side any
        more, or whose body stands in `own` or in a row before it.

    Source: Carter and Wegman 1979, "Universal classes of hash functions", class H1: a draw is
        (factor * id + shift) modulo a prime, so two episodes come up independently of each other.
    """
    wanted = int(config.replay_share * own.height)
    earlier = pa.table(
        {"build": pa.array(builds, pa.string()), "place": pa.array(range(len(builds)), pa.int64())}
    )
    relations = {
        "earlier": earlier,
        "nights": pa.table({"night": pa.array(nights, pa.string())}),
        "own": own.select("episode_id").to_arrow(),
    }
    there = 0
    if wanted and builds:
        there = catalog.query("replay_size", relations=relations)["rows"][0].as_py()
    kept = pl.DataFrame(schema={"episode_id": pl.String, "group": pl.Int64})
    seed = int(digest(f"replay:{nights[0]}", 32), 16)
    draw = {"factor": 1 + seed % (PRIME - 1), "shift": (seed >> 64) % PRIME}
    for below in limits(wanted, there):
        found = pl.DataFrame(
            catalog.query("replay_drawn", {**draw, "below": below}, relations=relations)
        )
        found = still_there(found, whole)
        train = found.filter(~retired(found["group"]))
        kept = train.unique("body_digest", keep="first", maintain_order=True)
        if kept.height >= wanted:
            break
    return ranked(kept.head(wanted))


def limits(wanted: int, there: int) -> list[int]:
    """List below which numbers to draw, ever wider, up to drawing all that is there."""
    tries = [PRIME * (margin * wanted + 64) // there for margin in MARGINS] if there else []
    return [limit for limit in tries if limit < PRIME] + [PRIME] * bool(there)
