"""Pairs of steps: two episodes in the same state that acted differently, and it mattered.

The state is the problem with the chain of calls and results so far, so the prefixes of both sides
differ in prose at most; the chosen side's is the prompt. Each side is one message of the agent: no
text of the environment is in it.
"""

from __future__ import annotations

import polars as pl

from schemas.config import BuildConfig
from tasks.build.preferences.guards import Sifted, capped, sifted
from warehouse.catalog import Catalog

TINY = 1e-9
"""The last digits of a sum depend on its order: a gap may fall short by a billionth."""
DIGITS = 9
"""Decimals that are kept of a value, for the same reason."""
STEP_LISTS = ("step_states", "step_actions", "step_returns")


def decision_points(
    catalog: Catalog, verdicts: pl.DataFrame, config: BuildConfig, step_shrinkage: float
) -> Sifted:
    """Choose the best action of each state against the worst, one episode for each.

    The guards of a state that the night's episodes branched in are asked in this order:
    `decision_held_out` (too few of its actions were taken on the train side), `decision_support`,
    `decision_gap`, `decision_confidence`, `decision_split` (the sides belong to different groups),
    `decision_cap`; and by `placed`, `decision_results`. Lengths are not compared: a call against an
    answer is what such a choice is often about.

    Args:
        catalog: Sees `step_values`: an action is worth what became of it in all of history.
        verdicts: A night's episodes, with `side` and `group`.
        config: Least gap, support and confidence, and cap.
        step_shrinkage: Visits that are worth as much as nothing known.
    """
    steps = acting_steps(verdicts)
    own = pl.col("action").filter(pl.col("side") == "train")
    states = steps.group_by("step_state").agg(
        all=pl.col("action").n_unique(), own=own.n_unique()
    ).filter(pl.col("all") > 1)  # fmt: skip
    states, held_out = sifted(states, {"decision_held_out": pl.col("own") < 2})
    steps = steps.filter(pl.col("side") == "train").join(states, on="step_state", how="semi")
    points, weak = extremes(valued(catalog, steps, step_shrinkage), states, config, step_shrinkage)
    pairs = points
    for side in ("chosen", "rejected"):
        acted = representatives(steps, better=side == "chosen")
        pairs = pairs.join(
            acted.select(pl.all().name.prefix(f"{side}_")),
            left_on=["state", f"{side}_action"],
            right_on=[f"{side}_step_state", f"{side}_action"],
        )
    pairs = pairs.with_columns(problem=pl.col("chosen_problem"), group=pl.col("chosen_group"))
    kept, split = sifted(
        pairs, {"decision_split": pl.col("chosen_group") != pl.col("rejected_group")}
    )
    best, over = capped(kept, config.pair_cap_per_scenario, "decision_cap")
    return Sifted(best, held_out | weak | split | over)


def acting_steps(verdicts: pl.DataFrame) -> pl.DataFrame:
    """List the steps that act: `step` (0-based), `step_state`, `action`, `returned`, and whose."""
    lengths = [pl.col(name).list.len() for name in STEP_LISTS]
    whole = (lengths[0] == lengths[1]) & (lengths[0] == lengths[2]) & (lengths[0] > 0)
    named = dict(zip(STEP_LISTS, ("step_state", "action", "returned"), strict=True))
    return (
        verdicts.filter(whole)
        .select(
            "episode_id", "problem", "side", "group", "state", "confidence", *STEP_LISTS,
            step=pl.int_ranges(lengths[0]),
        )
        .explode(*STEP_LISTS, "step")
        .rename(named)
        .filter(pl.col("step_state") != 0)
    )  # fmt: skip


def valued(catalog: Catalog, steps: pl.DataFrame, step_shrinkage: float) -> pl.DataFrame:
    """Give what each action that was taken is worth: `step_state`, `action`, `visits`, `q`."""
    wanted = steps.select(pl.col("step_state").alias("state")).unique().sort("state")
    values = pl.DataFrame(
        catalog.query(
            "step_values_of", {"shrinkage": step_shrinkage}, {"wanted": wanted.to_arrow()}
        )
    )
    known = values.select(
        pl.col("state").alias("step_state"), "action", "visits", pl.col("q").round(DIGITS)
    )
    return steps.select("step_state", "action").unique().join(known, on=["step_state", "action"])


def extremes(
    values: pl.DataFrame, states: pl.DataFrame, config: BuildConfig, step_shrinkage: float
) -> Sifted:
    """Give the best and the worst action of each state, among those with support.

    Returns:
        `state`, `chosen_action`, `rejected_action`, `margin` (difference of their values),
        `support` (visits of the rarer one), `confidence` (support drawn to 0).
    """
    supported = values.filter(pl.col("visits") >= config.pair_support).filter(
        pl.len().over("step_state") > 1
    )
    ends = []
    for side, falling in (("chosen", True), ("rejected", False)):
        ordered = supported.sort("q", "visits", "action", descending=[falling, True, False])
        end = ordered.unique("step_state", keep="first", maintain_order=True)
        ends.append(end.select("step_state", pl.exclude("step_state").name.prefix(f"{side}_")))
    points = (
        states.select("step_state")
        .join(ends[0], on="step_state", how="left")
        .join(ends[1], on="step_state", how="left")
        .with_columns(
            margin=(pl.col("chosen_q") - pl.col("rejected_q")).round(DIGITS),
            support=pl.min_horizontal("chosen_visits", "rejected_visits"),
        )
        .with_columns(confidence=pl.col("support") / (pl.col("support") + step_shrinkage))
    )
    same = pl.col("chosen_action") == pl.col("rejected_action")
    kept, guards = sifted(
        points,
        {
            "decision_support": pl.col("chosen_action").is_null(),
            # Two actions of exactly one value are no choice, however small the least margin is.
            "decision_gap": same | (pl.col("margin") < config.pair_margin - TINY),
            "decision_confidence": pl.col("confidence") < config.pair_confidence,
        },
    )
    return Sifted(
        kept.select(
            pl.col("step_state").alias("state"), "chosen_action", "rejected_action", "margin",
            "support", "confidence",
        ),
        guards,
    )  # fmt: skip


def representatives(steps: pl.DataFrame, *, better: bool) -> pl.DataFrame:
    """Choose the episode that stands for each action of each state.

    For the better action the surest success, else the highest return from here; for the worse one
    the surest failure, else the lowest.
    """
    fitting = pl.col("state") == ("success" if better else "failure")
    return (
        steps.with_columns(
            fits=fitting, sure=pl.when(fitting).then(pl.col("confidence")).otherwise(0.0)
        )
        .sort("fits", "sure", "returned", "episode_id", descending=[True, True, better, False])
        .unique(["step_state", "action"], keep="first", maintain_order=True)
        .select("step_state", "action", "episode_id", "step", "problem", "group")
    )


def placed(found: Sifted, bodies: pl.DataFrame) -> Sifted:
    """Cut the acting steps out.

    Dropped as `decision_results` is where tools had said otherwise before: the digest of the state
    rules that out, but for a collision, and for what a tool said unasked.

    Args:
        found: Pairs of steps.
        bodies: Answer of `pairs_bodies` on the episodes of both sides.
    """
    pairs = found.pairs
    for side in ("chosen", "rejected"):
        own = bodies.select(
            pl.col("episode_id").alias(f"{side}_episode_id"),
            pl.col("steps").alias(f"{side}_steps"),
            pl.col("results").alias(f"{side}_results"),
        )
        step = pl.col(f"{side}_steps").list.get(pl.col(f"{side}_step"), null_on_oob=True)
        before = pl.col(f"{side}_results").list.head(pl.col(f"{side}_start") - 1)
        pairs = (
            pairs.join(own, on=f"{side}_episode_id", how="left")
            .with_columns(step.alias(f"{side}_start"))
            .with_columns(
                before.list.eval(pl.element().filter(pl.element() > 0)).alias(f"{side}_told")
            )
        )
    kept, guards = sifted(
        pairs, {"decision_results": pl.col("chosen_told") != pl.col("rejected_told")}
    )
    rows = kept.with_columns(
        kind=pl.lit("decision_point"),
        chosen_episode=pl.col("chosen_episode_id"),
        rejected_episode=pl.col("rejected_episode_id"),
        prompt_end=pl.col("chosen_start") - 1,
        chosen_end=pl.col("chosen_start"),
        rejected_end=pl.col("rejected_start"),
        named=pl.col("state").cast(pl.String),
    )
    return Sifted(rows, found.guards | guards)
