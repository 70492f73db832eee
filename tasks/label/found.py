"""What a run of the label stage has before it: new episodes, older ones heard of, the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.label_config import LabelConfig, SignalConfig
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
from tasks.label.past import NO_LABELS, gone_with, inherited, is_in, labels_of, touched_by
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
    lost: int = 0
    """New signals whose episode is not there."""


def what_is_new(
    warehouse: Warehouse, standing: Standing, night: str, config: SignalConfig, most: int | None
) -> Search:
    """Say which files hold what is new since the last run, and where signals still wait.

    Args:
        warehouse: The tables.
        standing: Where the last run left off.
        night: `YYYY-MM-DD`.
        config: How long signals wait.
        most: New episodes to take on at once, which bounds the memory; None for all there are.
    """
    until, fresh, older = new_episodes(warehouse, standing.versions["episodes"], most)
    told = warehouse.files_since("signals", standing.versions["signals"])
    there = warehouse.files("signals") if warehouse.exists("signals") else []
    heard = sorted(set(there) - set(told))
    since = date.fromisoformat(night) - timedelta(days=config.wait_days)
    known = {count["name"]: count["night"] for count in standing.waiting}
    by_name = {Path(file).name: file for file in heard}
    if known.keys() - by_name.keys():  # written anew since by `compact` or `forget`
        return Search(fresh, older, told, heard, night, until)
    waiting = [by_name[name] for name, when in known.items() if when >= since.isoformat()]
    return Search(fresh, older, told, waiting, night, until)


def new_episodes(
    warehouse: Warehouse, since: int, most: int | None
) -> tuple[int, list[str], list[str]]:
    """Give the version of `episodes` to read up to, the files that are new by then, and the others.

    Commits are taken on one after the other until they hold more than `most` episodes; where their
    files have been written anew since, all at once.
    """
    now = warehouse.version("episodes")
    there = set(warehouse.files("episodes"))
    new = warehouse.files_since("episodes", since)
    rows = warehouse.rows_in("episodes", new)
    if most is None or rows is None or rows <= most:
        return now, new, sorted(there - set(new))
    before = there - set(new)
    taken: list[str] = []
    for version in range(since + 1, now + 1):
        files = set(warehouse.files("episodes", version))
        step = sorted(files - before)
        if not files <= there:
            return now, new, sorted(there - set(new))
        if taken and (warehouse.rows_in("episodes", step) or most + 1) > most:
            return version - 1, taken, sorted(before)
        taken = step
    return now, new, sorted(there - set(new))


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
    beside = [] if everything else of_same_days(labels, search.fresh)
    fresh = read_fresh(warehouse, reader, {"episodes": search.fresh, "labels": beside}, progress)
    none: dict[str, list[str]] = {"episodes": [], "labels": []}
    about = fresh.about if fresh else warehouse.sql("unlabelled", files=none)
    among = search if everything else with_known(warehouse, search, about)
    heard = listen(warehouse, among, about.select(FINDABLE), config.signals, kinds)
    touched = touched_by(warehouse, heard, about.num_rows)
    own = heard.found.take(np.flatnonzero(heard.found.row < about.num_rows))
    first = touched.found._replace(row=touched.found.row + about.num_rows)
    gone = NO_LABELS if everything else gone_with(warehouse, about, search.fresh)
    handed = inherited(gone)
    own = own.take(np.flatnonzero(~is_in(own, handed)))
    evidence = [*known_of(touched.labels, about.num_rows), handed, own, first]
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
        gone,
        joined([nothing(), *evidence]),
        pa.array(np.concatenate([revision, again])),
        praise_of(heard, kinds, pa.concat_arrays([own.source, first.source])),
        heard.lost,
    )


def still_waiting(standing: Standing, search: Search | None, found: Found) -> list[dict[str, Any]]:
    """List the files that hold signals whose episode has not come, by name and night."""
    if search is None:
        return list(map(dict, standing.waiting))
    kept = {Path(file).name for file in search.waiting}
    old = [dict(count) for count in standing.waiting if count["name"] in kept]
    named = {count["name"] for count in old}
    unknown = [Path(file).name for file in search.waiting if Path(file).name not in named]
    new = [Path(file).name for file in search.told] if found.lost else []
    return [*old, *({"name": n, "night": search.night, "value": found.lost} for n in unknown + new)]


def of_same_days(labels: Sequence[str], episodes: Sequence[str]) -> list[str]:
    """List the files of `labels` that may hold labels of files of `episodes`."""
    days = [days_of([file]) for file in episodes]
    if not all(days):  # parted otherwise, by an older release
        return list(labels)
    return [file for file in labels if not days_of([file]) - set().union(*days)]


def with_known(warehouse: Warehouse, search: Search, fresh: pa.Table) -> Search:
    """Let older episodes be looked for in new files as well, where these hold any or hide any.

    They do where a file is new because it was written anew, or because the run that labelled what
    is in it was killed before it could say so.
    """
    held = warehouse.rows_in("episodes", search.fresh)
    if held == fresh.num_rows and fresh["supersedes"].null_count == held:
        return search
    return search._replace(older=sorted({*search.fresh, *search.older}))


def praise_of(heard: Heard, kinds: tuple[Kind, ...], new: pa.Array) -> Praise:
    """Say who gave the positive feedback that was heard.

    Args:
        heard: What has been heard.
        kinds: The kinds of evidence.
        new: Sources of what is new: a file of signals that was written anew is heard again.
    """
    names = [k.name for k in kinds if k.tier == "feedback" and k.log_odds > 0]
    among = pc.and_(
        pc.is_in(heard.found.kind, pa.array(names)), pc.is_in(heard.found.source, new)
    ).to_numpy(zero_copy_only=False)
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
