"""What a run of the label stage has before it: new episodes, older ones heard of, the evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.label_config import LabelConfig
from tasks.label.block import Ints
from tasks.label.evidence import (
    OUTCOME,
    Pieces,
    joined,
    nothing,
    pieces,
    shown_in_messages,
    unfolded,
)
from tasks.label.fresh import Fresh, Reader, read_fresh
from tasks.label.hearing import FINDABLE, Heard, Search, days_of, listen
from tasks.label.past import gone_with, labels_of, touched_by
from tasks.label.signals import Kind
from tasks.label.standing import Standing
from tasks.label.tally import column, numbers
from warehouse.tables import Warehouse


class Praise(NamedTuple):
    """Who gave positive feedback, one entry a piece: codes, -1 where nobody knows."""

    user: Ints
    session: Ints


class Found(NamedTuple):
    """What there is to label."""

    fresh: Fresh | None
    """New episodes: the first rows."""
    older: pa.Table
    """Labels of older episodes of which something new is heard: the rows after."""
    gone: pa.Table
    """Labels of older episodes whose place new ones have taken."""
    evidence: Pieces
    """On all of them, by row."""
    revision: pa.Array
    """Labels that each had before."""
    praise: Praise
    """Of the positive feedback that is new."""


def what_is_new(warehouse: Warehouse, standing: Standing, night: str) -> Search:
    """Say which files hold what is new since the last run."""
    files = {}
    for table in ("episodes", "signals"):
        there = warehouse.files(table) if warehouse.exists(table) else []
        new = warehouse.files_since(table, standing.versions[table])
        files[table] = (new, sorted(set(there) - set(new)))
    return Search(*files["episodes"], *files["signals"], night)


def find(
    warehouse: Warehouse,
    search: Search,
    config: LabelConfig,
    kinds: tuple[Kind, ...],
    reader: Reader,
    everything: bool,
    progress: Callable[[int], None],
) -> Found:
    """Find the episodes to label and all evidence on them."""
    labels = warehouse.files("labels") if warehouse.exists("labels") else []
    days = days_of(search.fresh)
    same_days = [file for file in labels if not days_of([file]) - days]
    fresh = read_fresh(
        warehouse,
        reader,
        {"episodes": search.fresh, "labels": [] if everything else same_days},
        progress,
    )
    about = fresh.about if fresh else warehouse.sql("unlabelled", files={"episodes": []})
    heard = listen(warehouse, search, about.select(FINDABLE), config.signals, kinds)
    touched = touched_by(warehouse, heard, about.num_rows)
    own = heard.found.take(np.flatnonzero(heard.found.row < about.num_rows))
    first = touched.found._replace(row=touched.found.row + about.num_rows)
    evidence = [*known_of(touched.labels, about.num_rows), own, first]
    if fresh:
        evidence = [*outcomes_of(fresh), *shown_in_messages(fresh.shown, kinds), *evidence]
    revision = np.zeros(about.num_rows, np.int64)
    if everything and labels:
        old = labels_of(warehouse, about, labels)
        revision[old["place"].to_numpy()] = old["revision"].to_numpy() + 1
    again = column(touched.labels, "revision").to_numpy() + 1
    return Found(
        fresh,
        touched.labels,
        gone_with(warehouse, about) if not everything else touched.labels.slice(0, 0),
        joined([nothing(), *evidence]),
        pa.array(np.concatenate([revision, again])),
        praise_of(heard, kinds),
    )


def praise_of(heard: Heard, kinds: tuple[Kind, ...]) -> Praise:
    """Say who gave the positive feedback that was heard."""
    names = [k.name for k in kinds if k.tier == "feedback" and k.log_odds > 0]
    among = pc.is_in(heard.found.kind, pa.array(names)).to_numpy(zero_copy_only=False)
    return Praise(heard.user[among], heard.session[among])


def known_of(labels: pa.Table, first: int) -> list[Pieces]:
    """Unfold what older labels rest on."""
    return [unfolded(column(labels, "evidence"), np.arange(labels.num_rows) + first)]


def outcomes_of(fresh: Fresh) -> list[Pieces]:
    """Make pieces of the outcomes that the log states, and the user's own verifiers."""
    logged = numbers(fresh.about, "logged_reward")
    return [
        pieces(rows, OUTCOME, source, values[rows])
        for source, values in (("log", logged), ("reward", fresh.reward))
        if len(rows := np.flatnonzero(~np.isnan(values)))
    ]
