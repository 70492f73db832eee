"""The leak check: nothing held out, nor its twin, stands in a training set.

It looks for the same episode, group, session, scenario, question, body or user (where the split is
by user) on both sides; for nearly the same question, as its bits confirm; and for texts of which
half stands on the other side and nowhere else (`tasks.build.grams`).

A night's training rows are held against all episodes that are held out: this night's one by one,
those of earlier nights by their numbers in `split_keys` and their ids in `held_out`. Texts take
longer: those of `NIGHTS` nights at most are compared, with this night's held-out ones and `EARLIER`
at most of earlier nights, drawn anew for every set of training rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from schemas.config import BuildConfig
from schemas.digest import digest
from schemas.errors import LeakError
from tasks.build.grams import Texts, shared_grams
from tasks.build.sides import KINDS, keys_of, known_sides, remembered
from tasks.ingest.near.index import numbered, verified
from tasks.ingest.near.minhash import BANDS, Words, fingerprints
from warehouse.catalog import Catalog

NIGHTS = 8
"""Nights whose training texts are read: those with the most training rows."""
EARLIER = 1000
"""Held-out episodes of earlier nights whose texts are read."""
EARLIER_BUILDS = 4
"""Builds that they are drawn from."""
NAMED = 3
"""Leaks that the error names."""
EARLIER_ONE = "an earlier one"
"""Stands for a held-out episode of another night, of which only numbers are known."""
FOUND = {"kind": pl.String, "training": pl.String, "held_out": pl.String, "value": pl.String}
"""Columns of leaks: by what, the training episode, the held-out one, and what both have."""
COMPARED = {
    "session": "session_id",
    "scenario": "scenario_id",
    "question": "question",
    "body": "body_digest",
}


def check_leaks(
    catalog: Catalog, training: pl.DataFrame, held_out: pl.DataFrame, config: BuildConfig
) -> dict[str, int]:
    """Compare the training rows of a night with the episodes that are held out.

    Args:
        catalog: Sees `episodes`, `split_keys` and `held_out`.
        training: `episode_id` and `group` of what is about to be trained on, once a use.
        held_out: `episode_id` and `group` of this night's held-out episodes.
        config: What the split joins by, and the seed of the draw.

    Returns:
        `leaks` (0), `training` and `held_out` (episodes compared), `earlier_held_out` (episodes of
        earlier nights whose texts were read), and `rare_grams` that too few share to be a leak.

    Raises:
        LeakError: There is a leak; names the first.
    """
    trained = placed(training)
    secret = placed(held_out)
    asked = pl.concat([trained, secret]).select("episode_id").unique(maintain_order=True)
    traces = pl.DataFrame(catalog.query("leak_traces", relations={"asked": asked.to_arrow()}))
    told = trained.join(traces, on="episode_id", maintain_order="left")
    kept = secret.join(traces, on="episode_id", maintain_order="left")
    found = [
        same_ids(catalog, trained, secret),
        same_groups(catalog, trained, secret),
        same_traces(told, kept, config.split_by_user),
        near_questions(told, kept),
        known_keys(catalog, told, config.split_by_user),
    ]
    refuse_kinds(pl.concat(found))
    account = {"leaks": 0, "training": len(trained), "held_out": len(secret)}
    return account | compare_texts(catalog, told, kept, config.split_salt)


def placed(rows: pl.DataFrame) -> pl.DataFrame:
    """Take each episode once, in order of its id."""
    narrow = rows.select("episode_id", pl.col("group").cast(pl.Int64))
    return narrow.unique("episode_id").sort("episode_id")


def leaks(kind: str, training: pl.Series, held_out: pl.Series, value: pl.Series) -> pl.DataFrame:
    """Make rows of leaks of one kind."""
    kinds = pl.Series([kind] * len(training), dtype=pl.String)
    columns = (kinds, training, held_out, value.cast(pl.String))
    return pl.DataFrame(dict(zip(FOUND, columns, strict=True)), schema=FOUND)


def same_ids(catalog: Catalog, trained: pl.DataFrame, secret: pl.DataFrame) -> pl.DataFrame:
    """Find training episodes that are held out, this night or in any earlier build."""
    asked = trained.select("episode_id").to_arrow()
    before = pl.DataFrame(catalog.query("leak_held", relations={"asked": asked}))["episode_id"]
    ids = pl.concat([before.cast(pl.String), secret["episode_id"]]).unique()
    found = trained.filter(pl.col("episode_id").is_in(ids.implode()))["episode_id"]
    return leaks("episode", found, found, found)


def same_groups(catalog: Catalog, trained: pl.DataFrame, secret: pl.DataFrame) -> pl.DataFrame:
    """Find training episodes of a group that is held out now, or retired by earlier nights."""
    now = known_sides(catalog, trained["group"]).filter(pl.col("side") != "train")["group"]
    groups = pl.concat([now, secret["group"]]).unique()
    found = trained.filter(pl.col("group").is_in(groups.implode()))
    first = secret.unique("group", keep="first", maintain_order=True)
    first = first.select("group", pl.col("episode_id").alias("other"))
    found = found.join(first, on="group", how="left", maintain_order="left")
    found = found.with_columns(pl.col("other").fill_null(EARLIER_ONE))
    return leaks("group", found["episode_id"], found["other"], found["group"])


def same_traces(told: pl.DataFrame, kept: pl.DataFrame, by_user: bool) -> pl.DataFrame:
    """Find training episodes with a session, scenario, question, body or user of a held-out one."""
    compared = COMPARED | ({"user": "user_id"} if by_user else {})
    return pl.concat(same_values(kind, column, told, kept) for kind, column in compared.items())


def same_values(kind: str, column: str, told: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Find training episodes with a value of one column that a held-out one has too."""
    first = kept.filter(pl.col(column) != "").unique(column, keep="first", maintain_order=True)
    first = first.select(column, pl.col("episode_id").alias("other"))
    found = told.select("episode_id", column).join(first, on=column, maintain_order="left")
    return leaks(kind, found["episode_id"], found["other"], found[column])


def near_questions(told: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Find training episodes that ask nearly the same as a held-out one, as the bits confirm."""
    rows, others = questions_of(told), questions_of(kept)
    spoken = np.flatnonzero(rows.any(axis=1))
    runs = [[band] for band in numbered(others, 0)]
    queries, numbers = verified(runs, others[:, BANDS:], rows[spoken])
    once = np.unique(queries, return_index=True)[1]
    training = told[spoken[queries[once]].tolist()]
    other = kept[numbers[once].tolist()]
    return leaks("near question", training["episode_id"], other["episode_id"], training["question"])


def questions_of(episodes: pl.DataFrame) -> Words:
    """Fingerprint the questions of episodes."""
    return fingerprints(episodes["question"].to_arrow())


def known_keys(catalog: Catalog, told: pl.DataFrame, by_user: bool) -> pl.DataFrame:
    """Find training episodes with a key whose group, on any night so far, was not trained on."""
    keyed = keys_of(catalog, told, by_user)
    asked = pa.table({"key": np.unique(keyed.key)})
    known = pl.DataFrame(remembered(catalog, asked))
    known = known.filter(pl.col("kind") != "group").select("key", "group")
    lost = known_sides(catalog, known["group"]).filter(pl.col("side") != "train")
    lost = known.join(lost, on="group", how="semi").unique("key")
    rows = pl.DataFrame({"place": keyed.place, "kind": keyed.kind, "key": keyed.key})
    rows = rows.join(lost, on="key", how="semi", maintain_order="left")
    training = told["episode_id"].gather(rows["place"])
    earlier = pl.Series([EARLIER_ONE] * len(rows), dtype=pl.String)
    kinds = pl.Series("kind", [f"{KINDS[kind]} key" for kind in rows["kind"]], pl.String)
    return leaks("key", training, earlier, rows["key"]).with_columns(kinds)


def compare_texts(
    catalog: Catalog, told: pl.DataFrame, kept: pl.DataFrame, salt: str
) -> dict[str, int]:
    """Look for training texts that are copies of held-out ones, or the other way round.

    Raises:
        LeakError: There are any.
    """
    counts = told["night"].value_counts().sort("count", "night", descending=True)
    nights = counts["night"].head(NIGHTS).to_list()
    seed = digest(":".join([salt, *told["episode_id"].head(1)]), 16)
    earlier = earlier_texts(catalog, kept, seed)
    names = earlier.select("episode_id", "group").unique("episode_id", maintain_order=True)
    hidden = pl.concat([kept.select("episode_id", "group"), names])
    # Episodes of earlier nights are numbered after those of this one.
    place = earlier["episode_id"].rank("dense").cast(pl.Int64) - 1 + len(kept)
    said = texts_of(catalog, kept, kept["night"].unique().sort().to_list())
    said = pl.concat([said, earlier.select(place.alias("place"), "text")])
    shared = shared_grams(sided(texts_of(catalog, told, nights), told), sided(said, hidden))
    training = told["episode_id"].gather([copy.training for copy in shared.first])
    other = hidden["episode_id"].gather([copy.held_out for copy in shared.first])
    alike = pl.Series([f"{copy.grams} runs of 13 words" for copy in shared.first], dtype=pl.String)
    refuse(
        leaks("text", training, other, alike).unique(maintain_order=True),
        f"{shared.copies} training and held-out episodes are copies of one another's texts",
    )
    return {"earlier_held_out": len(names), "rare_grams": shared.rare}


def texts_of(catalog: Catalog, episodes: pl.DataFrame, nights: Sequence[str]) -> pl.DataFrame:
    """Read what users and the agent said in episodes of some nights: `place`, `text`."""
    asked = episodes.select("episode_id").with_row_index("place")
    asked = asked.with_columns(pl.col("place").cast(pl.Int64))
    relations = {"asked": asked.to_arrow()}
    found = catalog.query("leak_texts", {"nights": list(nights)}, relations)
    return pl.DataFrame(found)


def earlier_texts(catalog: Catalog, kept: pl.DataFrame, seed: str) -> pl.DataFrame:
    """Read what was said in a draw of the episodes that earlier builds held out."""
    drawn = catalog.query("leak_builds", {"seed": seed, "most": EARLIER_BUILDS})
    parameters = {"builds": drawn["build"].to_pylist(), "seed": seed, "most": EARLIER}
    relations = {"asked": kept.select("episode_id").to_arrow()}
    return pl.DataFrame(catalog.query("leak_texts_before", parameters, relations))


def sided(said: pl.DataFrame, episodes: pl.DataFrame) -> Texts:
    """Make one side of the comparison."""
    return Texts(said["text"].to_arrow(), said["place"].to_numpy(), episodes["group"].to_numpy())


def refuse_kinds(found: pl.DataFrame) -> None:
    """Stop when there are leaks, and count them by kind.

    Raises:
        LeakError: There are any.
    """
    kinds = found["kind"].value_counts().sort("count", "kind", descending=[True, False])
    by = ", ".join(f"{count} by {kind}" for kind, count in kinds.iter_rows())
    rows = found["training"].n_unique()
    refuse(found, f"{rows} training rows share a trace with held-out episodes ({by})")


def refuse(found: pl.DataFrame, what: str) -> None:
    """Stop when there are leaks.

    Args:
        found: The leaks, surest first.
        what: What the training rows and held-out episodes do.

    Raises:
        LeakError: There are any.
    """
    if not len(found):
        return
    first = "; ".join(
        f"{training[:16]} and {other[:16]} by {kind} {value[:60]!r}"
        for kind, training, other, value in found.head(NAMED).iter_rows()
    )
    raise LeakError(
        f"{what}: {first}",
        "Nothing was written. Log both under one scenario_id, and the split retires them;"
        " if they are under one already, look for rows lost from `split_keys`.",
    )
