"""Records of a stretch through their importer: drafts, signals, and what was refused and why.

Nothing here is vectorised and nothing is written: this is the part of ingest that looks at one
record at a time, the only place where an importer's own code runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from xxhash import xxh3_128_hexdigest

from schemas.signal import Signal
from tasks.ingest.detect import REFUSALS, asked, recognised
from tasks.ingest.importer import Draft, Fragment, Importer, Joining, Place, Read, Splitting
from tasks.ingest.reading.records import RawRecord, leniently_decoded

EPOCH = datetime.fromtimestamp(0, UTC)
PATH = re.compile(r" - at `(\$[^`]*)`")
"""Where msgspec and our importers write the JSON path of what is wrong."""


UNNAMED = ""
"""The source of a place: a stretch has its name when all of it was read."""


def whole(record: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Give a record as its only part."""
    return [("", record)]


class Refused(msgspec.Struct):
    """A record (or a part of one) that is no good."""

    record: RawRecord
    reason: str
    json_path: str | None


class Drafted(msgspec.Struct):
    """An episode as its importer read it, and where."""

    draft: Draft
    record: RawRecord
    raw_digest: str


class Reader:
    """Reads records one by one.

    Args:
        importer: Knows their format.
        file: Their file, for places.
        night: The night it is ingested under.
        others: Importers of records that stray into a file of another format.
    """

    def __init__(
        self, importer: Importer, file: str, night: str, others: Sequence[Importer] = ()
    ) -> None:
        self.importer = importer
        self._others = [other for other in others if other.NAME != importer.NAME]
        self._others_found: dict[str, tuple[Importer, list[RawRecord]]] = {}
        self.file, self.night = file, night
        self._parts = importer.parts if isinstance(importer, Splitting) else whole
        self._join = importer.join if isinstance(importer, Joining) else None
        self.drafts: list[Drafted] = []
        self.signals: list[Signal] = []
        self.refused: list[Refused] = []
        self._groups: dict[str, list[tuple[RawRecord, Fragment]]] = {}

    def take(self, records: Iterable[RawRecord]) -> None:
        """Read records; one that is no good is kept with its reason."""
        for one in records:
            record = one.owned()
            try:
                content = self._decoded(record.raw)
                if self._strays(record, content):
                    continue
                parts = asked(self.importer, lambda it: list(self._parts(it)), content)
            except REFUSALS as error:
                self.refuse(record, error)
                continue
            for number, (where, part) in enumerate(parts, 1):
                if where:
                    self._take_element(RawRecord(number, record.offset, b""), part, where)
                else:
                    self._take_part(record, part)

    def strays(self) -> Iterator[Reader]:
        """Give, read, the records that are of other formats than their file."""
        for importer, records in self._others_found.values():
            other = Reader(importer, self.file, self.night)
            other.take(records)
            other.join()
            yield other

    def join(self) -> None:
        """Make episodes of the fragments that were read."""
        groups, self._groups = self._groups, {}
        for members in groups.values():
            members.sort(key=lambda member: (member[1].at is None, member[1].at or EPOCH))
            try:
                raw = b"\n".join(record.raw for record, _ in members)
                for piece in asked(self.importer, self._joined, [part for _, part in members]):
                    self._keep(members[0][0], piece, raw)
            except REFUSALS as error:
                for record, _ in members:
                    self.refuse(record, error)

    def _joined(self, fragments: list[Fragment]) -> list[Draft | Signal]:
        """Join fragments.

        Raises:
            ValueError: They make no episode, or the importer gives fragments and cannot join them.
        """
        if self._join is None:
            raise ValueError("only an importer with `join` gives fragments")
        return list(self._join(fragments))

    def _decoded(self, raw: bytes) -> dict[str, Any]:
        """Decode a record; one that has parts also where a text in it is bad."""
        try:
            return msgspec.json.decode(raw, type=dict[str, Any])
        except msgspec.MsgspecError:
            found = leniently_decoded(raw) if isinstance(self.importer, Splitting) else None
            if found is None:
                raise
            return found

    def _strays(self, record: RawRecord, content: dict[str, Any]) -> bool:
        """Put a record aside that another importer knows, and this one does not."""
        if not self._others or recognised(content, [self.importer]):
            return False
        other = recognised(content, self._others)
        if other is None:
            return False
        self._others_found.setdefault(other.NAME, (other, []))[1].append(record)
        return True

    def _take_element(self, record: RawRecord, part: dict[str, Any], where: str) -> None:
        """Read an element of a document, or refuse it where no text can hold it."""
        try:
            raw = msgspec.json.encode(part)
        except ValueError as error:
            shown = json.dumps(part).encode()
            self.refuse(record._replace(view=shown), error, where)
            return
        self._take_part(record._replace(view=raw), part, where)

    def _take_part(self, record: RawRecord, part: dict[str, Any], where: str = "") -> None:
        place = Place(UNNAMED, self.file, record.line, self.night)
        try:
            read = asked(self.importer, self.importer.read, part, place)
            for piece in read if isinstance(read, Sequence) else [read]:
                self._keep(record, piece, record.raw)
        except REFUSALS as error:
            self.refuse(record, error, where)

    def _keep(self, record: RawRecord, read: Read, raw: bytes) -> None:
        if isinstance(read, Signal):
            self.signals.append(read)
        elif isinstance(read, Fragment):
            self._groups.setdefault(read.group, []).append((record, read))
        elif not isinstance(read, Draft):
            given = f"{self.importer.NAME}: read gave {type(read).__name__}"
            raise ValueError(f"{given}, not Draft, Signal or Fragment")
        else:
            self.drafts.append(Drafted(read, record, xxh3_128_hexdigest(raw)))

    def refuse(self, record: RawRecord, error: Exception, where: str = "") -> None:
        """Keep a record that is no good, with its reason."""
        reason = str(error) or type(error).__name__
        found = PATH.search(reason)
        path = where + found[1][1:] if found and where else (found[1] if found else where)
        self.refused.append(Refused(record, reason, path or None))
