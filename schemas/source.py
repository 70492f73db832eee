"""A source: one file (or one more stretch of a growing file) that was read, and what it refused."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One ingested file as it was when it was read. Committed last: all of it is there."""

    source: str
    """sha256 of the whole file as it was read; episodes, signals and quarantine refer to it."""
    file: str
    night: str
    """The night under which it was ingested, `YYYY-MM-DD`."""
    format: str
    start: int
    """First byte that was read; more than 0 when an earlier source had read the file up to here."""
    consumed: int
    """One past the last byte of the last finished line: where a growing file is taken up."""
    size: int
    """Bytes of the file."""
    prefix_digest: str
    """sha256 of the first `consumed` bytes: proves that a grown file still begins the same."""
    rows: int
    """Records read, good and bad."""
    episodes: int
    duplicates: int
    held: int
    """Episodes in the whole file, those of the stretches read before included."""
    signals: int
    quarantined: int
    fingerprint: str
    """Digest of the records' top-level keys: a change of shape shows here."""
    ingested_at: datetime


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """One rejected record, kept with its reason."""

    source: str
    source_file: str
    source_line: int
    """1-based line (or record) number in the file."""
    byte_offset: int
    reason: str
    """What was wrong, with its JSON path where there is one."""
    raw: bytes
    night: str
