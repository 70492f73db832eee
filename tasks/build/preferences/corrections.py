"""Pairs of answers: what a user wrote as the right one against what the agent had said.

A correction whose comment is only a complaint ("that's wrong") is no answer. It is told by the
phrases of `tasks.label.detect`: clauses at the beginning that hold one, and a "no" before them, are
said to the agent and are left out; what is left is the answer if it holds a word and no such phrase
itself. What cannot be told: an answer from a complaint or an instruction in other words ("use the
May table", "the tax is missing"), an answer from a remark on it, whether the user is right, and
which of several answers in one episode is meant (the last is taken).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from schemas.config import BuildConfig
from tasks.build.preferences.guards import Sifted, capped, sifted
from tasks.label.block import Bools
from tasks.label.detect.phrases import heard
from tasks.label.detect.words import COMPLAINT, CORRECTION, ESCALATION
from warehouse.catalog import Catalog

CLAUSE = r"([.!?;:,]\s+|[\x{ff0c}\x{3002}\x{ff01}\x{ff1f}\x{ff1b}\x{ff1a}]|\n+)"
"""Where a clause ends, in Chinese too."""
END = "\x1f"
"""Put where a clause ends; no text holds it."""
OPENING = r"(?i)^\s*(?:no|nope|sorry|wait|hm+|well|actually|but|不|不是)\W*$"
"""A clause that only leads up to another."""
WORD = r"[\p{L}\p{N}]"


def corrected(catalog: Catalog, verdicts: pl.DataFrame, night: str) -> Sifted:
    """Find the episodes whose answer a user has written anew.

    Guards are asked in this order: `correction_success` (the label says that it was right all the
    same), `correction_held_out`, `correction_empty` (no answer in it), `correction_repeated` (a
    later one of the same episode is taken); `placed` asks the others.

    Args:
        catalog: Sees `episodes` and `signals`.
        verdicts: The night's episodes, with `side` and `group`.
        night: The night they were ingested under.
    """
    told = pl.DataFrame(catalog.query("pairs_corrections", {"night": night}))
    told = told.with_columns(said=answers(told["comment"]))
    pairs = told.join(verdicts, on="episode_id", maintain_order="left")
    newest = pl.int_range(pl.len(), 0, -1).over("episode_id") == 1
    kept, guards = sifted(
        pairs,
        {
            "correction_success": pl.col("state") == "success",
            "correction_held_out": pl.col("side") != "train",
            "correction_empty": ~pl.col("said").str.contains(WORD),
        },
    )
    last, repeated = sifted(
        kept.with_columns(newest=newest), {"correction_repeated": ~pl.col("newest")}
    )
    return Sifted(
        last.select("episode_id", "problem", "group", "confidence", "said"), guards | repeated
    )


def answers(comments: pl.Series) -> pl.Series:
    """Give the answer in each comment; empty where there is none, or it cannot be told."""
    marked = comments.str.replace_all(CLAUSE, "${1}" + END).str.split(END)
    clauses = pl.DataFrame({"clause": marked}).with_row_index("row").explode("clause")
    clauses = clauses.with_columns(
        against=pl.Series(to_the_agent(clauses["clause"])),
        opens=pl.col("clause").str.contains(OPENING),
    )
    # The run of such clauses at the beginning; those that open lead up to one that complains.
    leading = (pl.col("against") | pl.col("opens")).cast(pl.Int8).cum_min().over("row") == 1
    after = (leading & pl.col("against")).reverse().cum_max().reverse().over("row")
    rest = (
        clauses.filter(~after)
        .group_by("row", maintain_order=True)
        .agg(pl.col("clause").str.join(""))
    )
    whole = pl.DataFrame({"row": pl.arange(len(comments), dtype=pl.UInt32, eager=True)})
    said = whole.join(rest, on="row", how="left", maintain_order="left")["clause"]
    said = said.fill_null("").str.strip_chars()
    return pl.DataFrame({"said": said, "against": to_the_agent(said)}).select(
        pl.when("against").then(pl.lit("")).otherwise("said").alias("said")
    )["said"]


def to_the_agent(texts: pl.Series) -> Bools:
    """Say which texts hold words that call an answer wrong, `(texts,)`."""
    said = texts.to_arrow(compat_level=pl.CompatLevel.oldest()).cast("string")
    found = np.zeros(len(said), dtype=bool)
    for words in (CORRECTION, COMPLAINT, ESCALATION):
        found |= heard(said, words)
    return found


def placed(found: Sifted, bodies: pl.DataFrame, config: BuildConfig) -> Sifted:
    """Put each corrected answer in the place of the episode's last one.

    Guards are asked in this order: `correction_answer` (the episode's last step is no answer),
    `correction_identical` (it said so itself), `correction_cap`. Their lengths are not compared: a
    user who corrects is brief.

    Args:
        found: Episodes with what was `said`.
        bodies: Answer of `pairs_bodies` on them.
        config: Cap.
    """
    pairs = found.pairs.join(bodies, on="episode_id", how="left").with_columns(
        kind=pl.lit("correction"),
        # What an answer that is surely right has over this one: 1 less its success, which is
        # (1 - confidence) / 2 for a failure; 1/2 is what is known of an unlabelled one.
        margin=(1 + pl.col("confidence")) / 2,
        chosen_episode=pl.col("episode_id"),
        rejected_episode=pl.col("episode_id"),
        rejected_start=pl.col("steps").list.last(),
    )
    silent = ~pl.col("answer").str.contains(WORD)
    same = squeezed(pl.col("said")) == squeezed(pl.col("answer"))
    kept, guards = sifted(pairs, {"correction_answer": silent, "correction_identical": same})
    best, over = capped(kept, config.pair_cap_per_scenario, "correction_cap")
    rows = best.with_columns(
        prompt_end=pl.col("rejected_start") - 1,
        chosen_start=pl.col("rejected_start"),
        chosen_end=pl.col("rejected_start"),
        rejected_end=pl.col("rejected_start"),
        named=pl.col("rejected_start").cast(pl.String) + ":" + pl.col("said"),
    )
    return Sifted(rows, found.guards | guards | over)


def squeezed(text: pl.Expr) -> pl.Expr:
    """Write a text in lower case with single spaces, for comparing."""
    return text.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
