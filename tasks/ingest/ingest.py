"""The ingest stage: files in, tables out, and an account of what was taken and refused."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from schemas.config import FlywheelConfig
from schemas.errors import InputError
from schemas.progress import report
from tasks.ingest.account import Account, merged, outcomes_of
from tasks.ingest.commit import Sorter, commit_batch, source_row
from tasks.ingest.detect import importers_of
from tasks.ingest.importer import Importer
from tasks.ingest.memory import steady
from tasks.ingest.parse import Parsed, choose, parse_stretch
from tasks.ingest.privacy.gate import Privacy
from tasks.ingest.reading.files import LogFile, expand
from tasks.ingest.reading.meter import Meter
from tasks.ingest.reading.stretches import Known, Stretch, read_stretches
from tasks.ingest.watch import Watch, histories
from warehouse.tables import Warehouse

MEGABYTE = 1 << 20
"""Bytes."""
YOUNG = 1
"""Generation of what was made since the last collection: all else was there before, and stays."""


class Ingest:
    """One call of ingest.

    Args:
        config: The configuration.
        night: The night the files belong to, `YYYY-MM-DD`.
        format_name: Format of all files; None detects each file's from its content.
        clock: Gives the current UTC time.
        since: Version of `sources` that alarms compare with; None is the current one, -1 none.
    """

    def __init__(
        self,
        config: FlywheelConfig,
        *,
        night: str,
        format_name: str | None,
        clock: Callable[[], datetime],
        since: int | None = None,
    ) -> None:
        self.night, self.format_name, self.clock = night, format_name, clock
        self.limit = config.ingest.chunk_mb * MEGABYTE
        self.importers = importers_of(config)
        self.warehouse = Warehouse(config.home)
        self.sorter = Sorter(self.warehouse)
        self.privacy = Privacy(config)
        self.account = Account()
        self.refusals: list[tuple[LogFile, InputError]] = []
        self.known = known_stretches(self.warehouse)
        self.watch = Watch(histories(self.warehouse, since))
        self.meter = Meter()
        self.stretch: Stretch | None = None
        self.finished = 0

    def read(self, files: Sequence[LogFile], stage: str = "ingest") -> None:
        """Read files, and commit what they hold a batch at a time.

        Args:
            files: The files.
            stage: Under which name the progress is told.
        """
        total = max(sum(file.size for file in files), 1)

        def tell(done: int) -> None:
            report(stage, done, total, f"{self.rows:,} records", unit="bytes")

        # The last report is the end, which it is only when all is committed.
        self.meter = Meter(lambda done: tell(min(done, total - 1)))
        with steady():
            for batch in batches(self._parsed(files), self.limit):
                self._commit(batch)
                del batch
                gc.collect(YOUNG)
        self.account.alarms += self.watch.alarms()
        tell(total)

    @property
    def rows(self) -> int:
        """Records read so far."""
        return self.finished + (self.stretch.rows if self.stretch else 0)

    def _parsed(self, files: Sequence[LogFile]) -> Iterator[Parsed]:
        """Parse the new stretches of files, in order."""
        for file in files:
            importer: Importer | None = None
            held = 0
            try:
                for stretch in read_stretches(self.meter.follow(file), self.known, self.limit):
                    if isinstance(stretch, Known):
                        self.account.add_skipped(file.name, stretch)
                        continue
                    first = importer is None
                    importer = importer or choose(stretch, self.importers, self.format_name)
                    self.stretch = stretch
                    parsed = parse_stretch(
                        stretch, importer, self.privacy, night=self.night,
                        others=() if self.format_name else self.importers,
                    )  # fmt: skip
                    self.stretch, self.finished = None, self.finished + parsed.rows
                    if first and stretch.before is None and parsed.size < self.limit // 2:
                        refuse_empty(parsed)
                    held += len(parsed.episodes) + (stretch.before.held if stretch.before else 0)
                    self._know(parsed, held)
                    del stretch  # or its bytes would stay while the next one is read
                    yield parsed
            except (InputError, OSError) as error:
                self.stretch = None
                self.refusals.append((file, refusal_of(file, error)))

    def _know(self, parsed: Parsed, held: int) -> None:
        """Note a stretch, so that a copy of its file is skipped."""
        self.known.append(
            Known(parsed.source, parsed.start, parsed.consumed, held, parsed.rows, parsed.format)
        )

    def _commit(self, batch: Sequence[Parsed]) -> None:
        """Sort and write a batch.

        Nobody may write between the two: one episode in two files would be stored twice.
        """
        with self.warehouse.turn():
            taken = self.warehouse.committed("sources", [parsed.transaction for parsed in batch])
            for parsed in batch:
                if parsed.transaction in taken:  # by an ingest beside this one, of a copy
                    self.account.add_taken(parsed)
            entries = self.sorter.sort([p for p in batch if p.transaction not in taken])
            held = {known.source: known.held for known in self.known}
            now = self.clock()
            sources = [source_row(e, held[e.parsed.source], self.night, now) for e in entries]
            commit_batch(self.warehouse, entries, sources)
            self.sorter.committed(entries)
        for entry in entries:
            self.account.add(entry)
        self.watch.add(entries)


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
        paths: Files, folders, patterns and URLs.
        night: The night the files belong to, `YYYY-MM-DD`.
        format: Format name for all files; None detects each file's from its content.
        clock: Gives the current UTC time.

    Returns:
        Counts of this call, `alarms`, `redacted` counts by kind, `skipped` files, `unfinished` ones
        (the last line is cut: it is read when the file has grown), and the tables' versions.

    Raises:
        InputError: A path is not there, or a named file (or all of a folder) holds nothing good.
            Good files beside it have been taken.
        ConfigurationError: A user's own importer cannot be loaded, or a privacy rule is none.
    """
    account, refusal = taken_in(config, paths, night=night, format_name=format, clock=clock)
    if refusal is not None:
        raise refusal
    return account


def taken_in(
    config: FlywheelConfig,
    paths: list[str],
    *,
    night: str,
    format_name: str | None,
    clock: Callable[[], datetime],
) -> tuple[dict[str, Any], InputError | None]:
    """Read log files as `ingest` does, and give the account also where a named one was refused.

    Raises:
        InputError: A path is not there, or every file was refused.
        ConfigurationError: As for `ingest`.
    """
    part = ingest_files(config, expand(paths), night=night, format_name=format_name, clock=clock)
    return settled(config, [part])


def ingest_files(
    config: FlywheelConfig,
    files: Sequence[LogFile],
    *,
    night: str,
    format_name: str | None,
    clock: Callable[[], datetime],
    stage: str = "ingest",
    since: int | None = None,
) -> dict[str, Any]:
    """Read a part of the files; other parts may be read at the same time, also elsewhere.

    Args:
        config: The configuration; tables are under its home.
        files: The part.
        night: The night the files belong to, `YYYY-MM-DD`.
        format_name: Format name for all files; None detects each file's from its content.
        clock: Gives the current UTC time.
        stage: Under which name the progress is told.
        since: Version of `sources` that alarms compare with, or a part would be held against the
            ones beside it; None is the current one, -1 none.

    Returns:
        The account of this part, with `refused`, the files that were, and `stretches`, the names
        of what was read: `settled` makes one account of them.

    Raises:
        ConfigurationError: A user's own importer cannot be loaded, or a privacy rule is none.
    """
    work = Ingest(config, night=night, format_name=format_name, clock=clock, since=since)
    work.read(files, stage)
    account = work.account.result(len(files), work.privacy.counts, work.warehouse.versions())
    refused = [
        {"file": file.name, "named": file.named, "message": why.message, "next": why.next_step}
        for file, why in work.refusals
    ]
    return {**account, "refused": refused, "stretches": work.account.stretches}


def settled(
    config: FlywheelConfig, parts: Sequence[dict[str, Any]]
) -> tuple[dict[str, Any], InputError | None]:
    """Make one account of the parts of an ingest.

    A file that was refused is an alarm; one that was named is an error as well.

    Args:
        config: Where the tables are.
        parts: What `ingest_files` gave; at least one.

    Returns:
        The account, and the error to raise when it has been kept, if there is one.

    Raises:
        InputError: Every file was refused.
    """
    account = parts[0] if len(parts) == 1 else merged(parts)
    if len(parts) > 1 and account["stretches"]:
        # A scenario may be in several parts: sums would count it twice.
        columns = ["infrastructure_error", "logged_reward", "scenario_id"]
        read = {"source": account["stretches"]}
        account |= outcomes_of(Warehouse(config.home).read("episodes", columns, where=read))
    refused, alarms = account["refused"], list(account["alarms"])
    alarms += [f"no rows taken: {file['message']}" for file in refused]
    errors = [InputError(file["message"], file["next"]) for file in refused if file["named"]]
    if refused and len(refused) == account["files"]:
        raise InputError(refused[0]["message"], refused[0]["next"])
    inner = ("refused", "stretches")
    kept = {key: value for key, value in account.items() if key not in inner} | {"alarms": alarms}
    return kept, errors[0] if errors else None


def refusal_of(file: LogFile, error: InputError | OSError) -> InputError:
    """Say what is wrong with a file that could not be read, or not to its end."""
    if isinstance(error, InputError):
        return error
    what = error.strerror or str(error)
    return InputError(f"{file.name} cannot be read: {what}", "Check that the file is whole.")


def refuse_empty(parsed: Parsed) -> None:
    """Refuse a file that holds nothing good.

    Raises:
        InputError: It does not.
    """
    if len(parsed.episodes) or parsed.signals or parsed.forgotten:
        return
    if not parsed.quarantined:
        raise InputError(
            f"{parsed.file} holds no {parsed.format} episode", "Give a file with at least one."
        )
    first = parsed.quarantined[0]
    raise InputError(
        f"{parsed.file} holds no good {parsed.format} record; line {first.source_line}:"
        f" {first.reason}",
        "Nothing of it was kept. Correct the file, or name another `--format`.",
    )


def batches(stretches: Iterator[Parsed], limit: int) -> Iterator[list[Parsed]]:
    """Group stretches of at most `limit` bytes together; a bigger one stands alone."""
    group: list[Parsed] = []
    size = 0
    for parsed in stretches:
        if group and size + parsed.size > limit:
            yield group
            group, size = [], 0
        group.append(parsed)
        size += parsed.size
        # A stretch of a big file is a line short of the limit: do not read on while it waits.
        if size > limit - limit // 16:
            yield group
            group, size = [], 0
    if group:
        yield group


def known_stretches(warehouse: Warehouse) -> list[Known]:
    """List what was ingested before."""
    if not warehouse.exists("sources"):
        return []
    rows = warehouse.read("sources", Known._fields).to_pylist()
    return [Known(**row) for row in rows]
