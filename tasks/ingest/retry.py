"""Refused records read again after a fix of their importer: what is good now goes into the tables.

A stretch is read as it was: its file must still begin with the same bytes. Ids are digests of what
was said, so nothing that the tables hold is added again, however often this runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from schemas.config import FlywheelConfig
from schemas.digest import digest
from schemas.errors import InputError
from schemas.progress import report
from schemas.source import Quarantined
from schemas.tables import arrow_rows
from tasks.ingest.commit import Sorted, Sorter, commit_once, with_column
from tasks.ingest.detect import importer_named, importers_of
from tasks.ingest.importer import Importer, Joining
from tasks.ingest.parse import Parsed, parse_stretch
from tasks.ingest.privacy.gate import Privacy
from tasks.ingest.reading.files import LogFile, Stream, expand, opened
from tasks.ingest.reading.records import RawRecord, may_be_document
from tasks.ingest.reading.stretches import (
    BLOCK,
    READ,
    Known,
    Position,
    Stretch,
    read_document,
    read_head,
    read_lines,
)
from warehouse.replacement import replace_rows
from warehouse.tables import Warehouse


class Refusals(NamedTuple):
    """A stretch with refused records, as the query `refused_stretches` gives it."""

    source: str
    file: str
    night: str
    format: str | None
    start: int | None
    consumed: int | None
    digest: str | None
    offsets: list[int]
    refused: int
    told: str


def retry(config: FlywheelConfig, *, night: str | None) -> dict[str, Any]:
    """Read refused records again.

    What is taken belongs to the night in which it was refused.

    Args:
        config: The configuration; tables are under its home.
        night: Only what this night refused; None is every night.

    Returns:
        `retried` (refused records that were read again), `episodes` and `signals` that came of
        them, `quarantined` (refused again), and `missing`, files that are gone or have changed:
        their refused records stay as they are. A corrected file is ingested like any other.

    Raises:
        InputError: A format has no importer any more.
        ConfigurationError: A user's own importer cannot be loaded, or a privacy rule is none.
    """
    warehouse = Warehouse(config.home)
    importers, privacy = importers_of(config), Privacy(config)
    found = stretches(warehouse, night)
    named = {item.source: importer_named(item.format, importers) for item in found if item.format}
    counts = dict.fromkeys(("retried", "episodes", "signals", "quarantined"), 0)
    missing = []
    for number, item in enumerate(found):
        report("retry", number, len(found), item.file)
        parsed = reread(item, named.get(item.source), privacy)
        if parsed is None:
            missing.append(item.file)
            continue
        entry, still = take(warehouse, item, parsed)
        counts["retried"] += item.refused
        counts["episodes"] += len(entry.episodes)
        counts["signals"] += len(entry.signals)
        counts["quarantined"] += len(still)
    if found:
        report("retry", len(found), len(found), f"{counts['retried']:,} records")
    return {**counts, "missing": sorted(set(missing))}


def stretches(warehouse: Warehouse, night: str | None) -> list[Refusals]:
    """List the stretches of which something is refused."""
    if not warehouse.exists("quarantine"):
        return []
    return [Refusals(**row) for row in warehouse.sql("refused_stretches", night=night).to_pylist()]


def reread(item: Refusals, importer: Importer | None, privacy: Privacy) -> Parsed | None:
    """Read the refused records of a stretch, and all it holds where they may belong to another.

    Returns:
        None where its file is gone or does not begin with the same bytes.
    """
    if importer is None:
        return None
    offsets = None if isinstance(importer, Joining) else set(item.offsets)
    parsed = None
    try:
        for file in expand([item.file]):
            for stretch in reopened(file, item, offsets):
                parsed = parse_stretch(stretch, importer, privacy, night=item.night)
    except InputError:
        return None
    if parsed is None or parsed.source != item.digest:
        return None
    if item.source != item.digest:
        quarantined = [msgspec.structs.replace(q, source=item.source) for q in parsed.quarantined]
        parsed = msgspec.structs.replace(parsed, quarantined=quarantined)
    return parsed


def reopened(file: LogFile, item: Refusals, offsets: set[int] | None) -> Iterator[Stretch]:
    """Open a stretch as it was when it was read.

    Args:
        file: Its file, which may have grown.
        item: Where it began and ended.
        offsets: Of the records that are wanted; None is all.

    Raises:
        InputError: It cannot be read, or holds no record any more.
    """
    assert item.start is not None
    assert item.consumed is not None
    with opened(file) as whole:
        hasher, lines = hashlib.sha256(), 0
        stream = Bounded(whole, item.start)
        while data := stream.read(READ):
            hasher.update(data)
            lines += data.count(b"\n")
        stream = Bounded(whole, item.consumed - item.start)
        head = read_head(stream)
        document: Stretch | bytes = b""
        if item.start == 0 and may_be_document(head):
            document = read_document(file, stream, head)
        if isinstance(document, Stretch):
            found: Iterator[Stretch | Known] = iter([document])
        else:
            known = Known("", 0, item.start, 0, 0, "") if item.start else None
            size = item.consumed - item.start + BLOCK
            position = Position(known, hasher, lines, at_end=False)
            found = read_lines(file, stream, document or head, position, size)
        for stretch in found:
            if isinstance(stretch, Stretch):
                yield stretch if offsets is None else chosen(stretch, offsets)


def chosen(stretch: Stretch, offsets: set[int]) -> Stretch:
    """Leave out all records of a stretch but those at some places; it ends where it ended.

    Raises:
        InputError: No record stands there.
    """

    def blocks() -> Iterator[list[RawRecord]]:
        for block in stretch.blocks():
            if kept := [record for record in block if record.offset in offsets]:
                yield kept

    def finish(part: Stretch) -> None:
        part.source, part.consumed = stretch.source, stretch.consumed

    try:
        return Stretch(stretch.file, stretch.start, stretch.before, blocks(), finish)
    except StopIteration:
        raise InputError(f"{stretch.file.name} has changed", "Ingest it again.") from None


class Bounded(BufferedIOBase):
    """The next bytes of a stream, and no more.

    Args:
        stream: Read from where it is.
        size: Bytes.
    """

    def __init__(self, stream: Stream, size: int) -> None:
        super().__init__()
        self._stream, self._left = stream, size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read so many bytes, fewer only at the end."""
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        data = self._stream.read(wanted) if wanted else b""
        self._left -= len(data)
        return data


def take(
    warehouse: Warehouse, item: Refusals, parsed: Parsed
) -> tuple[Sorted, Sequence[Quarantined]]:
    """Write what is good now, then put what is not in the place of what was refused.

    A kill in between leaves all that was refused; the next retry finds its episodes there.
    """
    offsets = set(item.offsets)
    still = [row for row in parsed.quarantined if row.byte_offset in offsets]
    sorter = Sorter(warehouse)
    with warehouse.turn():
        [entry] = sorter.sort([parsed], again=name_of(item, parsed))
        episodes = replaced(warehouse, entry) if parsed.joined else entry.episodes
        tables = {
            "episodes": episodes,
            "sketches": entry.sketches,
            "signals": arrow_rows("signals", entry.signals),
        }
        for table, rows in tables.items():
            commit_once(warehouse, table, {entry.transaction: rows})
        refused = arrow_rows("quarantine", still)
        before = warehouse.read("quarantine", where={"source": item.source})
        if told(before) != told(refused):
            replace_rows(warehouse, "quarantine", "source", item.source, refused)
    return entry, still


def told(refused: pa.Table) -> list[list[Any]]:
    """Give the places and reasons of refused records, comparable."""
    columns = ("byte_offset", "source_line", "reason")
    rows = zip(*(refused[name].to_pylist() for name in columns), strict=True)
    return sorted([list(row) for row in rows])


def name_of(item: Refusals, parsed: Parsed) -> str:
    """Name a retry by what was refused and what comes of it: after a kill that is the same."""
    ids = parsed.episodes["episode_id"].to_pylist()
    signals = [signal.signal_id for signal in parsed.signals]
    content: list[Any] = [item.source, item.told, ids, signals]
    return f"retry:{digest(msgspec.json.encode(content), 32)}"


def replaced(warehouse: Warehouse, entry: Sorted) -> pa.Table:
    """Let episodes that now have all of their records supersede what they were without them."""
    rows = entry.episodes
    read = set(entry.parsed.episodes["episode_id"].to_pylist())
    held = warehouse.read(
        "episodes",
        ["episode_id", "logged_id", "source_line"],
        where={"source": entry.parsed.source},
    ).to_pylist()
    gone = [row for row in held if row["episode_id"] not in read]
    by_line = {row["source_line"]: row["episode_id"] for row in gone}
    by_id = {row["logged_id"]: row["episode_id"] for row in gone if row["logged_id"] is not None}
    columns = zip(
        *(rows[name].to_pylist() for name in ("supersedes", "logged_id", "source_line")),
        strict=True,
    )
    marks = [
        before or by_id.get(logged_id) or by_line.get(line) for before, logged_id, line in columns
    ]
    return with_column(rows, "supersedes", pa.array(marks, pa.string()))
