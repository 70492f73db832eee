"""Exactly-once commits of parsed files: data tables first, `sources` last.

There is no commit across tables. Every table's commit carries one transaction a file, so after a
kill a re-run skips the tables that have it; a file is only "seen" once `sources` has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import pyarrow as pa

from schemas.episode import Episode
from schemas.signal import Signal
from schemas.source import Source
from schemas.tables import arrow_rows
from tasks.ingest.parse import Parsed
from warehouse.tables import Warehouse


class Sorted(msgspec.Struct):
    """A file's records after comparison with what the warehouse and the batch already hold."""

    parsed: Parsed
    episodes: list[Episode]
    """New ones, repeats of a body marked."""
    duplicates: int
    signals: list[Signal]


def sort_new(warehouse: Warehouse, batch: Sequence[Parsed]) -> list[Sorted]:
    """Tell new episodes and signals from those already held.

    An episode that the table holds from the very same file counts as new: an earlier run was
    killed after it committed the table and before it committed `sources`.
    """
    episodes = [episode for parsed in batch for episode in parsed.episodes]
    signals = [signal for parsed in batch for signal in parsed.signals]
    holders = held(warehouse, "known_episodes", "episode_id", [e.episode_id for e in episodes])
    bodies = held(warehouse, "known_bodies", "body_digest", [e.body_digest for e in episodes])
    heard = held(warehouse, "known_signals", "signal_id", [s.signal_id for s in signals])
    result = []
    for parsed in batch:
        fresh: dict[str, Episode] = {}
        for episode in parsed.episodes:
            if holders.setdefault(episode.episode_id, episode.source) != episode.source:
                continue
            first = bodies.setdefault(episode.body_digest, episode.episode_id)
            if first != episode.episode_id:
                fresh.setdefault(
                    episode.episode_id, msgspec.structs.replace(episode, duplicate_of=first)
                )
            fresh.setdefault(episode.episode_id, episode)
        said = {
            signal.signal_id: signal
            for signal in parsed.signals
            if heard.setdefault(signal.signal_id, signal.source) == signal.source
        }
        duplicates = len(parsed.episodes) - len(fresh)
        result.append(Sorted(parsed, list(fresh.values()), duplicates, list(said.values())))
    return result


def held(warehouse: Warehouse, query: str, column: str, values: list[str]) -> dict[str, str]:
    """Ask which of the given values the warehouse holds, and what stands beside them."""
    candidates = pa.table({column: pa.array(values, pa.string())})
    return rows_by(warehouse.sql(query, relations={"candidates": candidates}))


def rows_by(table: pa.Table) -> dict[str, str]:
    """Turn a two-column table into a dict."""
    keys, values = (column.to_pylist() for column in table.columns)
    return dict(zip(keys, values, strict=True))


def source_row(entry: Sorted, night: str, now: datetime) -> Source:
    """Describe a file that was read."""
    parsed = entry.parsed
    return Source(
        source=parsed.source,
        file=str(parsed.path),
        night=night,
        format=parsed.format,
        start=parsed.start,
        consumed=parsed.consumed,
        size=parsed.size,
        prefix_digest=parsed.prefix_digest,
        rows=parsed.rows,
        episodes=len(entry.episodes),
        duplicates=entry.duplicates,
        held=parsed.held_before + len(parsed.episodes),
        signals=len(entry.signals),
        quarantined=len(parsed.quarantined),
        fingerprint=parsed.fingerprint,
        ingested_at=now,
    )


def commit_batch(
    warehouse: Warehouse, batch: Sequence[Sorted], *, night: str, now: datetime
) -> None:
    """Write a batch of files, each table once a file."""
    rows: dict[str, dict[str, Sequence[msgspec.Struct]]] = {
        "episodes": {e.parsed.transaction: e.episodes for e in batch},
        "signals": {e.parsed.transaction: e.signals for e in batch},
        "quarantine": {e.parsed.transaction: e.parsed.quarantined for e in batch},
        "sources": {e.parsed.transaction: [source_row(e, night, now)] for e in batch},
    }
    for table, by_transaction in rows.items():
        commit_once(warehouse, table, by_transaction)


def commit_once(
    warehouse: Warehouse, table: str, rows: Mapping[str, Sequence[msgspec.Struct]]
) -> None:
    """Append the rows of every transaction that the table does not carry yet, in one commit.

    A racing writer may commit some of them in between: `append` then writes nothing, and the next
    turn has fewer left.
    """
    named = [name for name, part in rows.items() if part]
    while pending := [n for n in named if n not in warehouse.committed(table, named)]:
        flat = [row for name in pending for row in rows[name]]
        warehouse.append(table, arrow_rows(table, flat), transaction=pending)
