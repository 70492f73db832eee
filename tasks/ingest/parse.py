"""One stretch of a file from records to checked columns. Nothing is written here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_128_hexdigest

from schemas.errors import InputError
from schemas.signal import Signal
from schemas.source import Quarantined
from schemas.tables import SCHEMAS
from tasks.ingest.columns import Columns, Flat, episode_table, flatten, starts
from tasks.ingest.detect import detect, importer_named
from tasks.ingest.identity import ROLES, Names, lasts, names_of, questions
from tasks.ingest.importer import Importer, Joining
from tasks.ingest.memory import COLLECTION
from tasks.ingest.near.minhash import fingerprints
from tasks.ingest.privacy.gate import Privacy
from tasks.ingest.read import Drafted, Reader, Refused
from tasks.ingest.reading.records import Bytes, RawRecord
from tasks.ingest.reading.shape import shape_of
from tasks.ingest.reading.stretches import Known, Stretch
from tasks.ingest.wire import Wire

SKETCH = pa.field("sketch", pa.list_(pa.int64(), 5))
"""Column beside those of `episodes` until near-duplicates are told: the fingerprint."""
EMPTY = SCHEMAS["episodes"].append(SKETCH).empty_table()


@runtime_checkable
class Vectorised(Protocol):
    """An importer that can read the canonical ones among many records at once."""

    def read_block(self, raws: Sequence[Bytes], /) -> Wire:
        """Read the records that need no look of their own; their bytes stay only meanwhile."""


class Parsed(msgspec.Struct):
    """What one stretch holds."""

    file: str
    source: str
    start: int
    consumed: int
    unfinished: bool
    before: Known | None
    format: str
    joined: bool
    """Whether its episodes are several records, so that a later stretch may continue them."""
    rows: int
    shape: str
    """Keys and types that most records have, as text."""
    episodes: pa.Table
    signals: list[Signal]
    quarantined: list[Quarantined]
    forgotten: int = 0
    """Episodes and signals of users who are to be forgotten."""

    @property
    def transaction(self) -> str:
        """Name the reading of exactly these bytes, for exactly-once commits."""
        return f"ingest:{self.source}:{self.start}"

    @property
    def size(self) -> int:
        """Bytes that were read."""
        return self.consumed - self.start


def parse_stretch(
    stretch: Stretch,
    importer: Importer,
    privacy: Privacy,
    *,
    night: str,
    others: Sequence[Importer] = (),
) -> Parsed:
    """Read a stretch.

    Args:
        stretch: Whole records of a file.
        importer: Knows their format.
        privacy: What is replaced before anything is written.
        night: The night it is ingested under.
        others: Importers of records that stray into a file of another format.
    """
    reader, shape = Reader(importer, stretch.file.name, night, others), shape_of(stretch.first)
    found: list[Shaped] = []
    with COLLECTION.off():
        for block in stretch.blocks():
            found += read_block(block, reader)
            del block  # or its memory could not be used for the next one
        reader.join()
        found += drafted(reader)
        for other in reader.strays():
            found += drafted(other)
            reader.signals += other.signals
            reader.refused += other.refused
        privacy.redact([one.flat for one in found])
        tables = [finished(one, reader) for one in found]
    episodes = pa.concat_tables([EMPTY, *tables])
    kept = named(privacy.remembered(episodes), stretch.source)
    signals = privacy.signals(reader.signals, stretch.source)
    return Parsed(
        file=stretch.file.name,
        source=stretch.source,
        start=stretch.start,
        consumed=stretch.consumed,
        unfinished=stretch.unfinished,
        before=stretch.before,
        format=importer.NAME,
        joined=isinstance(importer, Joining),
        rows=stretch.rows,
        shape=privacy.text(shape),
        episodes=kept,
        signals=signals,
        quarantined=[
            quarantined(refused, stretch, reader.night, privacy) for refused in reader.refused
        ],
        forgotten=len(episodes) - len(kept) + len(reader.signals) - len(signals),
    )


def named(episodes: pa.Table, source: str) -> pa.Table:
    """Give episodes the name of the stretch they were read with."""
    place = episodes.schema.get_field_index("source")
    column = constant(source, len(episodes))
    return episodes.set_column(place, episodes.schema.field(place), column)


def constant(value: str, count: int) -> pa.Array:
    """Give a column of one text."""
    return pa.array([value], pa.string()).take(pa.array(np.zeros(count, np.int64)))


UNSHAPELY = (pa.ArrowException, AttributeError, TypeError, ValueError, OverflowError)


class Shaped(NamedTuple):
    """Episodes as columns, named before anything in them is replaced."""

    format: str
    flat: Flat
    names: Names
    lines: npt.NDArray[np.int64]
    digests: list[str]
    """Of their records."""


def read_block(block: list[RawRecord], reader: Reader) -> Iterator[Shaped]:
    """Read a block: canonical records at once, the others one by one."""
    left = block
    if isinstance(reader.importer, Vectorised):
        wire = reader.importer.read_block([record.view for record in block])
        if wire.flat is not None:
            taken = np.flatnonzero(wire.taken)
            lines = np.array([block[number].line for number in taken], np.int64)
            digests = [xxh3_128_hexdigest(block[number].view) for number in taken]
            yield named_columns(reader.importer.NAME, wire.flat, lines, digests)
        left = [block[number] for number in np.flatnonzero(~wire.taken)]
    reader.take(left)
    yield from drafted(reader)


def drafted(reader: Reader) -> Iterator[Shaped]:
    """Shape the episodes that were read one by one."""
    drafts, reader.drafts = reader.drafts, []
    if not drafts:
        return
    try:
        yield shaped(drafts, reader)
    except UNSHAPELY:
        # One value that no column holds spoils the block: it is told by going one by one.
        good = []
        for one in drafts:
            try:
                shaped([one], reader)
                good.append(one)
            except UNSHAPELY as error:
                reader.refuse(one.record, ValueError(f"{type(error).__name__}: {error}"))
        if good:
            yield shaped(good, reader)


def shaped(drafts: Sequence[Drafted], reader: Reader) -> Shaped:
    """Shape episodes.

    Raises:
        ValueError: A value does not fit its column; so do the other `UNSHAPELY`.
    """
    flat = flatten([one.draft for one in drafts])
    if odd := set(flat.messages["role"].unique().to_pylist()) - set(ROLES):
        raise ValueError(f"Unknown role {odd.pop()!r}")
    lines = np.array([one.record.line for one in drafts], np.int64)
    digests = [one.raw_digest for one in drafts]
    return named_columns(reader.importer.NAME, flat, lines, digests)


def named_columns(
    format_name: str, flat: Flat, lines: npt.NDArray[np.int64], digests: list[str]
) -> Shaped:
    """Name episodes."""
    return Shaped(format_name, flat, names_of(flat, format_name), lines, digests)


def finished(one: Shaped, reader: Reader) -> pa.Table:
    """Count redacted episodes: rows of the table, all but what other files decide."""
    format_name, flat, names, lines, digests = one
    alike = {"format": format_name, "source_file": reader.file, "night": reader.night}
    columns: Columns = {name: constant(value, flat.episodes) for name, value in alike.items()}
    columns |= {
        "episode_id": pa.array(names.episode_id, pa.string()),
        "body_digest": pa.array(names.body_digest, pa.string()),
        "day": days(flat, reader.night),
        "question": questions(flat),
        "source_line": pa.array(lines),
        "raw_digest": pa.array(digests, pa.string()),
        **counted(flat),
    }
    sketch = fingerprints(doings(flat, columns["question"])).view(np.int64)
    rows = episode_table(flat, columns)
    return rows.append_column(SKETCH, pa.FixedSizeListArray.from_arrays(sketch.reshape(-1), 5))


def doings(flat: Flat, asked: pa.Array) -> pa.Array:
    """Write what was asked, what the agent called and what it said last, one text an episode.

    Results of tools are left out: they are the world's.
    """
    calls = pc.binary_join_element_wise(flat.calls["name"], flat.calls["arguments"], " ")
    made = joined(calls, np.diff(flat.call_starts[flat.message_starts]))
    last = lasts(flat, "assistant")
    said = flat.messages["content"].take(pa.array(last, mask=last < 0))
    return pc.binary_join_element_wise(asked, made, pc.fill_null(said, ""), "\n")


def joined(texts: pa.Array, counts: npt.NDArray[np.int64]) -> pa.Array:
    """Join consecutive texts, so many for each episode."""
    lists = pa.ListArray.from_arrays(pa.array(starts(counts), pa.int32()), texts)
    return pc.binary_join(lists, "\n")


def days(flat: Flat, night: str) -> pa.Array:
    """Give the UTC day of each episode; the night of the ingest where it has no time."""
    began = flat.heads["started_at"].cast(pa.date32(), safe=False).dictionary_encode()
    # Few days have many episodes: each is written out once.
    names = pa.array([day.isoformat() for day in began.dictionary.to_pylist()], pa.string())
    return pc.fill_null(names.take(began.indices), night)


def counted(flat: Flat) -> Columns:
    """Count each episode's assistant steps, their calls, and the results that are errors."""
    owner = flat.message_owner
    steps = pc.equal(flat.messages["role"], "assistant").to_numpy(zero_copy_only=False)
    asked = pc.is_valid(flat.messages["requestor"]).to_numpy(zero_copy_only=False)
    errors = pc.fill_null(flat.messages["error"], False).to_numpy(zero_copy_only=False)

    def total(weights: npt.NDArray[np.generic]) -> pa.Array:
        summed = np.bincount(owner, weights=weights, minlength=flat.episodes)
        return pa.array(summed.astype(np.int64))

    return {
        "steps": total(steps),
        "tool_calls": total(np.where(steps, flat.call_counts, 0)),
        "tool_errors": total(errors & ~asked),
    }


def quarantined(refused: Refused, stretch: Stretch, night: str, privacy: Privacy) -> Quarantined:
    """Make the row of a refused record."""
    record = refused.record
    return Quarantined(
        source=stretch.source,
        source_file=stretch.file.name,
        source_line=record.line,
        byte_offset=record.offset,
        reason=privacy.reason(refused.reason, record.raw),
        json_path=None if refused.json_path is None else privacy.text(refused.json_path),
        raw=privacy.raw(record.raw),
        night=night,
    )


def choose(stretch: Stretch, importers: Sequence[Importer], format_name: str | None) -> Importer:
    """Give the importer of a stretch.

    Raises:
        InputError: The format is unknown, or none recognises the records.
    """
    known = stretch.before.format if stretch.before else None
    if (name := format_name or known) is not None:
        return importer_named(name, importers)
    importer = detect((record.raw for record in stretch.first), importers)
    if importer is None:
        raise InputError(
            f"{stretch.file.name} has no record of a known format",
            "Name one with `--format`, or see the docs.",
        )
    return importer
