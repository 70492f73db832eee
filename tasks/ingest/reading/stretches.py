"""Files as stretches: so many bytes of whole records at a time, taken up where a file ended.

A stretch is read, committed and known by the sha256 of the file up to its end. So a big file never
stands in memory, a killed ingest goes on behind its last committed stretch, and a log that has
grown is read from where it ended: all three are the same thing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

from schemas.errors import InputError
from tasks.ingest.reading.archive import document_of_zip
from tasks.ingest.reading.files import LogFile, Stream, opened
from tasks.ingest.reading.records import (
    ZIP,
    Bytes,
    RawRecord,
    document_records,
    is_cut,
    line_records,
    may_be_document,
    split_lines,
)

READ = 1 << 20
"""Bytes read at once."""
BLOCK = 16 << 20
"""Bytes of records that are decoded together: enough for columns, little enough for memory."""


class Known(NamedTuple):
    """A stretch that was read before."""

    source: str
    """sha256 of its file up to `consumed`."""
    start: int
    consumed: int
    held: int
    """Episodes in the file up to `consumed`."""
    rows: int
    format: str


class Stretch:
    """Consecutive whole records of a file, read a block at a time.

    Where it ends and what it is called is known when its blocks have been read.

    Args:
        file: The file.
        start: Its first byte.
        before: The stretch it follows, if that was read earlier.
        blocks: Its records; at least one block.
        finish: Called when they have been read; sets `source`, `consumed` and `unfinished`.
    """

    def __init__(
        self,
        file: LogFile,
        start: int,
        before: Known | None,
        blocks: Iterator[list[RawRecord]],
        finish: Callable[[Stretch], None],
    ) -> None:
        self.file, self.start, self.before = file, start, before
        self.first = next(blocks)
        """The first block, to tell the format from."""
        self._blocks, self._finish = blocks, finish
        self.source = ""
        """sha256 of the file's bytes up to `consumed`."""
        self.consumed = start
        """One past its last byte."""
        self.rows = 0
        """Records."""
        self.unfinished = False
        """Whether the file ends within a record: that is read when the file has grown."""

    def blocks(self) -> Iterator[list[RawRecord]]:
        """Give the records, once."""
        first, self.first = self.first, []
        self.rows += len(first)
        yield first
        del first  # or its bytes would stay while the others are read
        for block in self._blocks:
            self.rows += len(block)
            yield block
            del block
        self._finish(self)


class Position(NamedTuple):
    """How far a file was read before."""

    known: Known | None
    hasher: Any
    """sha256 of the bytes up to there."""
    lines: int
    at_end: bool
    """Whether nothing but white space follows."""


def read_stretches(file: LogFile, known: Sequence[Known], limit: int) -> Iterator[Stretch | Known]:
    """Read what is new in a file.

    Args:
        file: The file.
        known: Stretches read before, of whatever file: a renamed log is taken up as well.
        limit: Bytes of a stretch; a longer line or document stands alone.

    Yields:
        The stretches in order; or, where all of the file was read before, the last known one.

    Raises:
        InputError: The file cannot be read, is empty or ends within its first record.
    """
    found = find_position(file, known)
    if found.known is not None and found.at_end:
        yield found.known
        return
    start = found.known.consumed if found.known else 0
    with opened(file, start) as stream:
        head = read_head(stream)
        whole = read_document(file, stream, head) if start == 0 and may_be_document(head) else None
        if isinstance(whole, Stretch):
            yield whole
            return
        yield from read_lines(file, stream, whole or head, found, limit)


def find_position(file: LogFile, known: Sequence[Known]) -> Position:
    """Find the longest chain of known stretches that a file begins with."""
    matched: Known | None = None
    # A sorted list is a heap: with many files known this is done for each of them.
    ends = sorted({k.consumed for k in known if k.start == 0})
    best = Position(None, hashlib.sha256(), 0, at_end=False)
    if not ends:
        return best
    by_source = {k.source: k for k in known}
    with opened(file) as stream:
        prefix = Prefix(stream)
        while ends:
            end = heappop(ends)
            if not prefix.reach(end):
                break
            if hit := by_source.get(prefix.hasher.hexdigest()):
                matched = hit
                best = Position(hit, prefix.hasher.copy(), prefix.lines, at_end=False)
                for after in {k.consumed for k in known if k.start == end} - {end}:
                    heappush(ends, after)
        if matched is None:
            return best
    with opened(file, matched.consumed) as stream:
        while block := stream.read(READ):
            if block.strip():
                return best
    return best._replace(at_end=True)


class Prefix:
    """The beginning of a file, digested up to one place after the other.

    Args:
        stream: Its bytes.
    """

    def __init__(self, stream: Stream) -> None:
        self.hasher, self.lines, self.reached = hashlib.sha256(), 0, 0
        self._stream, self._block, self._at = stream, b"", 0

    def reach(self, end: int) -> bool:
        """Digest up to a byte; False where the file ends before it."""
        while self.reached < end:
            if self._at == len(self._block):
                self._block, self._at = self._stream.read(READ), 0
                if not self._block:
                    return False
            until = min(len(self._block), self._at + end - self.reached)
            self.hasher.update(memoryview(self._block)[self._at : until])
            self.lines += self._block.count(b"\n", self._at, until)
            self.reached += until - self._at
            self._at = until
        return True


def read_head(stream: Stream) -> bytes:
    """Read at least the first line, or all there is."""
    parts = []
    while block := stream.read(READ):
        parts.append(block)
        if b"\n" in block:
            break
    return b"".join(parts)


def read_document(file: LogFile, stream: Stream, head: bytes) -> Stretch | bytes:
    """Read a file that is one document; its bytes, where it turns out to be none.

    Raises:
        InputError: A zip that holds no log.
    """
    data = head + b"".join(iter(lambda: stream.read(READ), b""))
    body = data
    if data[:4] == ZIP:
        try:
            body = document_of_zip(data)
        except ValueError as error:
            raise InputError(f"{file.name}: {error}", "Give an Inspect `.eval` log.") from error
    records = document_records(body)
    if records is None:
        return data
    if not records:
        raise InputError(f"{file.name} is empty", "Give a file with at least one record.")
    source, consumed = hashlib.sha256(data).hexdigest(), len(data)

    def finish(stretch: Stretch) -> None:
        stretch.source, stretch.consumed = source, consumed

    return Stretch(file, 0, None, iter([records]), finish)


def read_lines(
    file: LogFile, stream: Stream, head: bytes, found: Position, limit: int
) -> Iterator[Stretch | Known]:
    """Read JSON lines a stretch at a time.

    Raises:
        InputError: There is no record.
    """
    lines = Lines(stream, head, found, min(BLOCK, limit))
    before = found.known
    while lines.pending():
        yield Stretch(file, lines.begun, before, lines.stretch(limit), lines.finish)
        before = None
    if lines.given:
        return
    if found.known is not None:
        yield found.known
        return
    what = "ends within its first record" if lines.rest else "is empty"
    raise InputError(f"{file.name} {what}", "Give a file with at least one record.")


class Lines:
    """The JSON lines of a file, as blocks of records.

    Args:
        stream: Its bytes behind `head`.
        head: The first bytes, at least a line or all there is.
        found: Where `head` begins.
        size: Bytes of a block.
    """

    def __init__(self, stream: Stream, head: bytes, found: Position, size: int) -> None:
        self.stream, self.hasher, self.size = stream, found.hasher, size
        self.begun = self.position = found.known.consumed if found.known else 0
        self.lines, self.given, self.rest = found.lines, False, b""
        self.next: list[RawRecord] = []
        self._head, self._ended = head, False
        self._cut: list[bytes] = []
        """The beginning of the line that the last block ended in."""
        self._buffer = bytearray()
        """The bytes of a block; those of the next one are read over them."""

    def pending(self) -> bool:
        """Say whether there are more records; reads the next block."""
        while not self.next and (lines := self._fill()):
            self.next = line_records(lines, self.position, self.lines)
            self.position += sum(map(len, lines)) + len(lines)
            self.lines += len(lines)
        return bool(self.next) or self._last()

    def _fill(self) -> list[Bytes]:
        """Read finished lines, about a block of them; none at the end of the file."""
        # Past its end a file may have grown meanwhile: what is cut there is not read on.
        while not self._ended and (size := self._read()):
            data = self._head or self._buffer
            self._head = b""
            lines = split_lines(data, size)
            rest = bytes(lines.pop())
            if not lines:
                self._cut.append(rest)
                continue
            for part in self._cut:
                self.hasher.update(part)
            self.hasher.update(memoryview(data)[: size - len(rest)])
            lines[0] = b"".join([*self._cut, lines[0]])
            self._cut = [rest]
            return lines
        self._ended = True
        return []

    def _read(self) -> int:
        """Read as many bytes as make a block, fewer only at the end; say how many these are."""
        if self._head:
            return len(self._head)
        try:
            # Memory that was used before is there already: the kernel need not clear it.
            self._buffer.append(0)
            self._buffer.pop()
        except BufferError:  # somebody keeps a record of the block before
            self._buffer = bytearray()
        first = b""
        if not self._buffer:
            # Most files end here: the memory of a block is made only where more is to be read.
            if not (first := self.stream.read(min(READ, self.size))):
                return 0
            self._buffer = bytearray(self.size)
        view, read = memoryview(self._buffer), len(first)
        view[:read] = first
        while read < self.size and (got := self.stream.readinto(view[read : read + READ])):
            read += got
        return read

    def _last(self) -> bool:
        """Take the line that the file ends with where that is whole; else it may still grow."""
        last, self._cut = b"".join(self._cut), []
        if not last:
            return False
        if last.strip() and is_cut(last.strip()):
            self.rest = last
            return False
        self.next = line_records([last], self.position, self.lines)
        self.hasher.update(last)
        self.position += len(last)
        return bool(self.next)

    def stretch(self, limit: int) -> Iterator[list[RawRecord]]:
        """Give blocks until they are about so many bytes, or the file ends."""
        while self.pending():
            self.given = True
            yield self._taken()
            if self.position - self.begun + self.size // 2 > limit:
                return

    def _taken(self) -> list[RawRecord]:
        """Give the block that was read, and keep nothing of it."""
        block, self.next = self.next, []
        return block

    def finish(self, stretch: Stretch) -> None:
        """Say where a stretch that was read ends, and what it is called."""
        stretch.source = self.hasher.hexdigest()
        stretch.consumed = self.begun = self.position
        stretch.unfinished = bool(self.rest)
