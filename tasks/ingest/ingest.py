"""The ingest stage: files in, tables out, and an account of what was taken and refused."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from schemas.config import FlywheelConfig
from schemas.errors import InputError
from schemas.progress import report
from tasks.ingest.commit import Sorted, commit_batch, sort_new
from tasks.ingest.normalize import count, outcome
from tasks.ingest.parse import Known, Parsed, parse_file
from tasks.ingest.reader import expand
from warehouse.tables import Warehouse

MEGABYTE = 1024 * 1024
"""Bytes."""
QUARANTINE_JUMP = 0.2
"""Rise of a format's share of refused records, against its history, that raises an alarm."""
JUMP_ROWS = 100
"""Fewest records, now and before, for that alarm."""


class Account:
    """What one call of ingest took, refused and skipped."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.formats: Counter[str] = Counter()
        self.skipped: list[str] = []
        self.unfinished: list[str] = []
        self.alarms: list[str] = []
        self.outcomes: defaultdict[str, set[str]] = defaultdict(set)

    def add_skipped(self, path: Path, known: Known) -> None:
        """Note a file that was read before: what it holds is all duplicates."""
        self.skipped.append(str(path))
        self.counts["duplicates"] += known.held

    def add(self, entry: Sorted) -> None:
        """Note a file that was read."""
        parsed = entry.parsed
        if parsed.consumed < parsed.size:
            self.unfinished.append(str(parsed.path))
        self.counts["duplicates"] += entry.duplicates + parsed.held_before
        self.counts["quarantined"] += len(parsed.quarantined)
        self.counts["signals"] += len(entry.signals)
        self.counts["episodes"] += len(entry.episodes)
        if entry.episodes:
            self.formats[parsed.format] += len(entry.episodes)
        for episode in entry.episodes:
            self.counts.update(count(episode)._asdict())
            self.counts[outcome(episode)] += 1
            if episode.scenario_id is not None:
                self.outcomes[episode.scenario_id].add(outcome(episode))

    def watch(self, parsed: Parsed, known: list[Known]) -> None:
        """Raise an alarm when a format's share of refused records jumps."""
        rows = sum(k.rows for k in known if k.format == parsed.format)
        refused = sum(k.quarantined for k in known if k.format == parsed.format)
        if rows < JUMP_ROWS or parsed.rows < JUMP_ROWS:
            return
        share, before = len(parsed.quarantined) / parsed.rows, refused / rows
        if share > before + QUARANTINE_JUMP:
            self.alarms.append(
                f"{parsed.path}: {share:.0%} of its {parsed.rows} records were refused,"
                f" {before:.0%} of {parsed.format} records before"
            )

    def result(self, files: int, tables: dict[str, int]) -> dict[str, Any]:
        """Give the account under the keys that `--json` promises."""
        named = (
            "episodes duplicates quarantined signals success failure unlabelled"
            " infrastructure_errors steps tool_calls tool_errors"
        )
        both = [s for s in self.outcomes.values() if {"success", "failure"} <= s]
        return {
            "files": files,
            **{name: self.counts[name] for name in named.split()},
            "tasks": len(self.outcomes),
            "tasks_with_both": len(both),
            "alarms": self.alarms,
            "formats": dict(self.formats),
            "skipped": self.skipped,
            "unfinished": self.unfinished,
            "tables": tables,
        }


def ingest(
    config: FlywheelConfig,
    paths: list[str],
    *,
    night: str,
    format: str | None = None,  # noqa: A002 - the word every caller and `--format` use
    clock: Callable[[], datetime],
) -> dict[str, Any]:
    """Read log files into the tables; reading the same bytes again changes nothing.

    Args:
        config: The configuration; tables are under its home.
        paths: Files and folders.
        night: The night the files belong to, `YYYY-MM-DD`.
        format: Format name for all files; None detects each file's from its content.
        clock: Gives the current UTC time.

    Returns:
        Counts of this call, `alarms`, `skipped` files, `unfinished` ones (the last line is cut:
        it is read when the file has grown), and the tables' versions.

    Raises:
        InputError: A path is not there, or a named file (or all of a folder) holds nothing good.
            Good files beside it have been taken.
    """
    warehouse = Warehouse(config.home)
    files = expand(paths)
    account, refusals, done = Account(), [], 0
    for batch in batches(list(files), config.ingest.chunk_mb * MEGABYTE):
        known = known_sources(warehouse)
        parsed: dict[str, Parsed] = {}
        for path in batch:
            done += 1
            try:
                entry = parse_file(path, path.read_bytes(), known, night=night, format_name=format)
            except InputError as refusal:
                refusals.append((path, refusal))
                continue
            if isinstance(entry, Known):
                account.add_skipped(path, entry)
            elif entry.source in parsed:
                account.skipped.append(str(path))
                account.counts["duplicates"] += entry.held_before + len(entry.episodes)
            else:
                account.watch(entry, known)
                parsed[entry.source] = entry
            report("ingest", done, len(files), path.name)
        # Nobody may write between the two: one episode in two files would be stored twice.
        with warehouse.turn():
            new = sort_new(warehouse, list(parsed.values()))
            commit_batch(warehouse, new, night=night, now=clock())
        for sorted_entry in new:
            account.add(sorted_entry)
    refuse(refusals, files, account)
    return account.result(len(files), warehouse.versions())


def refuse(
    refusals: list[tuple[Path, InputError]], files: dict[Path, bool], account: Account
) -> None:
    """Raise the refusal of a file that was named; a stray file in a folder is an alarm.

    Raises:
        InputError: A named file was refused, or every file was.
    """
    for path, refusal in refusals:
        if files[path] or len(refusals) == len(files):
            raise refusal
        account.alarms.append(f"no rows taken: {refusal.message}")


def batches(files: list[Path], limit: int) -> Iterator[list[Path]]:
    """Group files of at most `limit` bytes together; a bigger file stands alone."""
    group: list[Path] = []
    size = 0
    for file in files:
        if group and size + file.stat().st_size > limit:
            yield group
            group, size = [], 0
        group.append(file)
        size += file.stat().st_size
    yield group


def known_sources(warehouse: Warehouse) -> list[Known]:
    """List what was ingested before."""
    rows = warehouse.read("sources", Known._fields).to_pylist()
    return [Known(**row) for row in rows]
