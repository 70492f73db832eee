"""Labels that are there already, of episodes that something new is heard of or that are gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import SCHEMAS
from tasks.label.block import Floats, Ints
from tasks.label.credit import Acts
from tasks.label.evidence import Pieces, unfolded
from tasks.label.hearing import SIGNALLED, Heard, days_of
from tasks.label.tally import column, numbers
from warehouse.tables import Warehouse

NO_LABELS = pa.schema([pa.field("place", pa.int64()), *SCHEMAS["labels"]]).empty_table()


class Touched(NamedTuple):
    """Older episodes of which something new is heard."""

    labels: pa.Table
    """Their newest labels."""
    found: Pieces
    """What is new, by row of `labels`."""


def labels_of(warehouse: Warehouse, episodes: pa.Table, files: Sequence[str]) -> pa.Table:
    """Read the newest labels of episodes, with `place`, the row of `episodes` each is of.

    Args:
        warehouse: The tables.
        episodes: `episode_id`, and `day` where it is known.
        files: Files of `labels`.
    """
    if not files or not episodes.num_rows:
        return NO_LABELS
    places = pa.array(np.arange(episodes.num_rows))
    wanted = pa.table({"episode_id": episodes["episode_id"], "place": places})
    labels = warehouse.sql("labels_of", relations={"wanted": wanted}, files={"labels": files})
    return labels.select(NO_LABELS.schema.names)  # an older release wrote others as well


def touched_by(warehouse: Warehouse, heard: Heard, fresh: int) -> Touched:
    """Find the older episodes of which something is heard that their labels do not know yet.

    Args:
        warehouse: The tables.
        heard: What has been heard.
        fresh: How many of its episodes, the first ones, are new.
    """
    about_old = np.flatnonzero(heard.found.row >= fresh)
    named, row = np.unique(heard.found.row[about_old], return_inverse=True)
    episodes = heard.episodes.take(pa.array(named))
    files = of_days(warehouse, episodes) if len(named) else []
    labels = labels_of(warehouse, episodes, files)
    # Episodes without a label are none of this run's: what is new is labelled as new.
    place = np.full(len(named), -1, np.int64)
    place[labels["place"].to_numpy()] = np.arange(labels.num_rows)
    found = heard.found.take(about_old)._replace(row=place[row])
    found = found.take(np.flatnonzero(found.row >= 0))
    known = unfolded(column(labels, "evidence"), np.arange(labels.num_rows))
    found = found.take(np.flatnonzero(~is_in(found, known)))
    changed, row = np.unique(found.row, return_inverse=True)
    return Touched(labels.take(pa.array(changed)), found._replace(row=row.astype(np.int64)))


def is_in(found: Pieces, known: Pieces) -> np.ndarray:
    """Say which pieces are among known ones: same episode, kind and source."""
    if not found.size or not known.size:
        return np.zeros(found.size, dtype=bool)
    return np.asarray(pc.is_in(keys(found), keys(known)).to_numpy(zero_copy_only=False))


def keys(found: Pieces) -> pa.Array:
    """Name each piece by episode, kind and source."""
    rows = pa.array(found.row).cast(pa.string())
    return pc.binary_join_element_wise(rows, found.kind, found.source, "\n")


def gone_with(warehouse: Warehouse, fresh: pa.Table, files: Sequence[str]) -> pa.Table:
    """Read the labels of older episodes whose place new ones have taken.

    Args:
        warehouse: The tables.
        fresh: The new episodes.
        files: Files of `episodes` that hold them: one that has been gone on from twice since the
            last run is found by way of the one between, which nobody sees.

    Returns:
        Labels, with `place`, the row of the new episode.
    """
    rows = np.flatnonzero(fresh["supersedes"].is_valid())
    if not len(rows) or not warehouse.exists("labels"):
        return NO_LABELS
    whole = fresh.take(pa.array(rows))
    links = warehouse.sql("continuations", files={"episodes": files})
    before = {row["episode_id"]: row["supersedes"] for row in links.to_pylist()}
    spent = pa.table({"episode_id": links["supersedes"].drop_null().unique()})
    labels = labels_of(warehouse, spent, in_the_days_of(warehouse, whole))
    labelled = set(labels["episode_id"].to_pylist())
    if not labelled.union(before).issuperset(spent["episode_id"].to_pylist()):
        # Without times, a day is that of the ingest.
        labels = labels_of(warehouse, spent, warehouse.files("labels"))
        labelled = set(labels["episode_id"].to_pylist())
    names = whole["supersedes"].to_pylist()
    taken = {labelled_before(n, before, labelled): int(r) for n, r in zip(names, rows, strict=True)}
    place = pa.array(map(taken.get, labels["episode_id"].to_pylist()), pa.int64())
    labels = labels.set_column(labels.schema.get_field_index("place"), "place", place)
    return labels.filter(place.is_valid())


def labelled_before(
    episode: str | None, before: Mapping[str, str | None], labelled: Collection[str]
) -> str | None:
    """Go back from an episode to the first with a label; what that goes on from is gone already."""
    while episode is not None and episode not in labelled:
        episode = before.get(episode)
    return episode


def in_the_days_of(warehouse: Warehouse, whole: pa.Table) -> list[str]:
    """List the files of `labels` that may hold what episodes go on from: it began within them."""
    ended = whole["ended_at"].cast(pa.date32()).cast(pa.string())
    first = pc.min(whole["day"]).as_py() or ""
    last = max(pc.max(whole["day"]).as_py() or "", pc.max(ended).as_py() or "")
    return [
        file
        for file in warehouse.files("labels")
        if all(first <= day <= last for day in days_of([file]))
    ]


def inherited(gone: pa.Table) -> Pieces:
    """Give what signals said of episodes that are gone, by row of those that took their place."""
    found = unfolded(column(gone, "evidence"), gone["place"].to_numpy())
    heard = pc.starts_with(found.source, SIGNALLED).to_numpy(zero_copy_only=False)
    return found.take(np.flatnonzero(heard))


def of_days(warehouse: Warehouse, episodes: pa.Table) -> list[str]:
    """List the files of `labels` that hold the days of episodes."""
    if not warehouse.exists("labels"):
        return []
    days = set(episodes["day"].unique().to_pylist())
    return [file for file in warehouse.files("labels") if not days_of([file]) - days]


def acts_of(labels: pa.Table) -> tuple[Acts, Ints]:
    """Give the acts of labelled episodes' steps, and the steps of each."""
    states = column(labels, "step_states")
    lengths = pc.fill_null(pc.list_value_length(states), 0).to_numpy().astype(np.int64)
    state = states.flatten().to_numpy()
    action = column(labels, "step_actions").flatten().to_numpy()
    return Acts(state, action, depths(state, lengths)), lengths


def depths(state: Ints, lengths: Ints) -> Ints:
    """Count the acting steps before each step in its episode."""
    acting = np.cumsum(state != 0)
    first = np.cumsum(lengths) - lengths
    before = np.concatenate([[0], acting])[np.repeat(first, lengths)]
    return np.asarray(acting - (state != 0) - before, dtype=np.int64)


def returns_of(labels: pa.Table) -> Floats:
    """Give the returns of labelled episodes' steps; NaN in unlabelled ones."""
    lists = column(labels, "step_returns")
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    unlabelled = np.isnan(numbers(labels, "total"))
    returns = lists.flatten().to_numpy().copy()
    returns[np.repeat(unlabelled, lengths)] = np.nan
    return np.asarray(returns, dtype=np.float64)
