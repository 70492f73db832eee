"""What has been heard of episodes: signals matched to them, and questions that were asked again.

New signals and new episodes look for each other, and for what was there before: only as far back as
`label.signals` says, so that a night costs what it holds and not what the years before it held.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.label_config import SignalConfig
from schemas.tables import SCHEMAS
from tasks.label.block import Bools, Ints
from tasks.label.detect.sessions import asked_again
from tasks.label.evidence import Pieces, joined, pieces, toward
from tasks.label.shares import shares
from tasks.label.signals import Kind
from warehouse.tables import Warehouse

FINDABLE = (
    "episode_id", "day", "night", "logged_id", "session_id", "question", "started_at", "ended_at",
    "source_line", "call_ids",
)  # fmt: skip
"""Columns by which an episode is found."""
SIGNAL = (
    "signal_id", "episode_id", "session_id", "user_id", "timestamp", "kind", "value",
)  # fmt: skip
"""Columns by which a signal is weighed."""
NO_SIGNALS = pa.schema([SCHEMAS["signals"].field(name) for name in SIGNAL]).empty_table()
MATCH = ("place", "signal_id", "timestamp", "user_id", "session_id", "kind", "value")
NO_MATCH = NO_SIGNALS.drop_columns(["episode_id"]).append_column("place", pa.array([], pa.int64()))
SIGNALLED = "signal"
"""First word of the source of evidence that a signal gave; its id follows."""
DAY = re.compile(r"/day=(\d{4}-\d\d-\d\d)/")
FIRST = date(1971, 1, 1)
"""Day from which times are believed: clocks that were never set say 1970, or the year 1."""
MOMENT = pa.scalar(datetime(FIRST.year, 1, 1, tzinfo=UTC), pa.timestamp("us", tz="UTC"))
NEAR_DAYS = 2
"""Days before its signals in which an episode mostly lies: looked through before all others."""


class Heard(NamedTuple):
    """What has been heard."""

    episodes: pa.Table
    """The new episodes, then older ones that something new was heard of; columns `FINDABLE`."""
    found: Pieces
    """The evidence, by row of `episodes`."""
    user: Ints
    """Who gave each piece: a code, -1 where nobody knows."""
    session: Ints
    """Session of each piece likewise."""
    lost: int
    """New signals whose episode is not there."""


class Search(NamedTuple):
    """Where to look."""

    fresh: Sequence[str]
    """Files of `episodes` that are new."""
    older: Sequence[str]
    """Files of `episodes` that hold older ones."""
    told: Sequence[str]
    """Files of `signals` that are new."""
    waiting: Sequence[str]
    """Older files of `signals` that hold some whose episode had not come."""
    night: str
    until: int
    """Version of `episodes` up to which the new files are read."""


def listen(
    warehouse: Warehouse,
    search: Search,
    fresh: pa.Table,
    config: SignalConfig,
    kinds: Sequence[Kind],
) -> Heard:
    """Find what is to be heard of new episodes, and what new is heard of older ones.

    Args:
        warehouse: The tables.
        search: Files that are new, and the others.
        fresh: The new episodes, with the columns `FINDABLE` at least.
        config: Thresholds, and how far back to look.
        kinds: The kinds of evidence.
    """
    told = NO_SIGNALS
    if search.told:
        told = warehouse.sql("signals_read", files={"signals": search.told})
    fresh = fresh.select(FINDABLE)
    older = older_episodes(warehouse, search, fresh, told, config)
    waiting = waiting_signals(warehouse, search, fresh, config)
    everybody = pa.concat_tables([fresh, older])
    new = matched(warehouse, told, everybody, config)
    late = matched(warehouse, waiting, fresh, config)
    late = late.filter(pc.invert(pc.is_in(late["signal_id"], new["signal_id"])))
    rows = pa.concat_tables([new.select(MATCH), late.select(MATCH)])
    lost = told.num_rows - pc.count_distinct(new["signal_id"]).as_py()
    again = np.flatnonzero(sessions_asked_again(everybody, config))
    said = rows.filter(rows["kind"].is_valid())
    return with_shares(everybody, said, again, config, kinds)._replace(lost=lost)


def with_shares(
    episodes: pa.Table, rows: pa.Table, again: Ints, config: SignalConfig, kinds: Sequence[Kind]
) -> Heard:
    """Turn matched signals and re-asks into pieces of evidence, capped by user and session."""
    names = [kind.name for kind in kinds]
    kind = rows["kind"].combine_chunks()
    column = pc.fill_null(pc.index_in(kind, pa.array(names)), -1).to_numpy(zero_copy_only=False)
    user, session = codes(rows["user_id"]), codes(rows["session_id"])
    said = np.array([*map(toward, kinds), 0.0])[column]
    verified = column < 0
    share = np.ones(len(kind))
    share[~verified] = shares(
        column[~verified], user[~verified], session[~verified], said[~verified] > 0, config
    )
    value = rows["value"].cast(pa.float64()).to_numpy()
    signals = pieces(
        rows["place"].to_numpy(),
        kind,
        pc.binary_join_element_wise(SIGNALLED, rows["signal_id"].combine_chunks(), " "),
        np.where(verified, value, said),
        share=share,
        at=rows["timestamp"].combine_chunks(),
    )
    unknown = np.full(len(again), -1)
    reasks = pieces(again, "reask", "session", np.full(len(again), -1.0))
    order = np.argsort(np.concatenate([signals.row, again]), kind="stable")
    return Heard(
        episodes,
        joined([signals, reasks]),
        np.concatenate([user, unknown])[order],
        np.concatenate([session, unknown])[order],
        0,
    )


def matched(
    warehouse: Warehouse, told: pa.Table, episodes: pa.Table, config: SignalConfig
) -> pa.Table:
    """Match signals to episodes; `place` is the episode's row."""
    if not told.num_rows or not episodes.num_rows:
        return NO_MATCH
    places = pa.array(np.arange(episodes.num_rows))
    return warehouse.sql(
        "signals_matched",
        relations={"told": told, "candidates": episodes.append_column("place", places)},
        rating_high=config.rating_high,
        rating_low=config.rating_low,
        score_above=config.score_above,
    )


def older_episodes(
    warehouse: Warehouse, search: Search, fresh: pa.Table, told: pa.Table, config: SignalConfig
) -> pa.Table:
    """Find older episodes that new signals name, or that share a session with new episodes.

    Days near to the news are looked through first; those before only for what is still not found.
    """
    none = fresh.slice(0, 0)
    if not search.older or not (told.num_rows or fresh.num_rows):
        return none
    known = texts(fresh["logged_id"], fresh["episode_id"])
    named = told.filter(told["episode_id"].is_valid())
    missing = named.filter(pc.invert(pc.is_in(named["episode_id"], known)))
    alone = told.filter(told["episode_id"].is_null())["session_id"]
    sessions = texts(fresh["session_id"], alone)
    since = first_day(fresh, told, search.night)
    near = days_before(since, NEAR_DAYS + int(config.reask_minutes // 1440))
    far = days_before(since, config.wait_days)
    found = lookup(warehouse, between(search.older, near, None), missing["episode_id"], sessions)
    found = found.filter(pc.invert(pc.is_in(found["episode_id"], fresh["episode_id"])))
    reached = texts(found["logged_id"], found["episode_id"], pc.list_flatten(found["call_ids"]))
    ids = missing["episode_id"].filter(pc.invert(pc.is_in(missing["episode_id"], reached)))
    met = texts(found["session_id"], fresh["session_id"])
    unmet = alone.filter(pc.invert(pc.is_in(alone, met))).drop_null()
    if not (len(ids) or len(unmet)):
        return found
    rest = between(search.older, far, near)
    return pa.concat_tables([found, lookup(warehouse, rest, ids, unmet)])


def lookup(
    warehouse: Warehouse, files: Sequence[str], ids: pa.ChunkedArray, sessions: pa.ChunkedArray
) -> pa.Table:
    """Find the episodes of some files by what signals name, or by session."""
    relations = {
        "ids": pa.table({"id": ids.unique()}),
        "sessions": pa.table({"session_id": sessions.unique()}),
    }
    return warehouse.sql("episodes_heard", relations=relations, files={"episodes": files})


def waiting_signals(
    warehouse: Warehouse, search: Search, fresh: pa.Table, config: SignalConfig
) -> pa.Table:
    """Find older signals that new episodes may be what they waited for."""
    if not search.waiting or not fresh.num_rows:
        return NO_SIGNALS
    ids = texts(fresh["logged_id"], fresh["episode_id"], pc.list_flatten(fresh["call_ids"]))
    relations = {
        "ids": pa.table({"id": ids}),
        "sessions": pa.table({"session_id": fresh["session_id"].drop_null().unique()}),
    }
    since = days_before(date.fromisoformat(search.night), config.wait_days)
    return warehouse.sql(
        "signals_waiting",
        relations=relations,
        files={"signals": search.waiting},
        since=since.isoformat(),
    )


def sessions_asked_again(episodes: pa.Table, config: SignalConfig) -> Bools:
    """Say which episodes' questions were asked again in their session."""
    moments = [
        pc.fill_null(episodes[name].cast(pa.int64()), -1).to_numpy()
        for name in ("started_at", "ended_at")
    ]
    ended = np.where(moments[1] < 0, moments[0], moments[1])
    return asked_again(
        codes(episodes["session_id"]),
        episodes["question"].combine_chunks(),
        moments[0],
        ended,
        episodes["source_line"].to_numpy(),
        config,
    )


def texts(*columns: pa.ChunkedArray) -> pa.ChunkedArray:
    """Put columns of texts one after the other, without nulls."""
    chunks = [chunk for column in columns for chunk in column.chunks]
    return pa.chunked_array(chunks, pa.string()).drop_null()


def codes(values: pa.ChunkedArray) -> Ints:
    """Number distinct texts; -1 for null."""
    encoded = values.combine_chunks().dictionary_encode()
    indices = pc.fill_null(encoded.indices, -1)
    return np.asarray(indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def first_day(fresh: pa.Table, told: pa.Table, night: str) -> date:
    """Give the first day that the news is about, as far as it has times that can be meant."""
    days = fresh["day"]
    began = pc.min(days.filter(pc.greater_equal(days, FIRST.isoformat()))).as_py() or night
    times = told["timestamp"]
    said = pc.min(times.filter(pc.greater_equal(times, MOMENT))).as_py()
    first = min(date.fromisoformat(night), date.fromisoformat(began))
    return first if said is None else min(first, date(said.year, said.month, said.day))


def days_before(day: date, days: int) -> date:
    """Go back some days, not beyond the first there is."""
    return date.fromordinal(max(day.toordinal() - days, 1))


def between(files: Sequence[str], first: date, end: date | None) -> list[str]:
    """Keep the files of days from `first` to before `end`; one without a day is always kept.

    So is one of a day before `FIRST`: its episodes have no time that can be meant.
    """
    kept = []
    for file in files:
        named = DAY.search(file)
        day = named[1] if named else ""
        known = day >= FIRST.isoformat()
        if not known or (day >= first.isoformat() and (end is None or day < end.isoformat())):
            kept.append(file)
    return kept


def days_of(files: Sequence[str]) -> set[str]:
    """Name the days that files are of."""
    return {named[1] for file in files if (named := DAY.search(file))}
