"""The shape of a file's records: which keys they have, and of what type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from schemas.digest import digest
from tasks.ingest.reading.records import RawRecord

SAMPLE = 256
"""Records looked at."""
USUAL = 0.95
"""Share of them that have a key which belongs to the shape without a mark."""
SEEN = 0.05
"""Share of them that have a key which belongs to the shape at all."""
SOME = "?"
"""Marks a key that only some records have."""
TYPES = {b"{": "object", b"[": "array", b'"': "string", b"t": "boolean", b"f": "boolean"}
KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def shape_of(records: Sequence[RawRecord]) -> str:
    """Write the top-level keys and types of records, such as `id:string note:string?`.

    A key that is null says nothing of its type, and a number is a number with or without a point.
    """
    seen: Counter[str] = Counter()
    objects = 0
    for record in records[:SAMPLE]:
        try:
            content = KEYS.decode(record.view)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        objects += 1
        begun = [(key, bytes(memoryview(value)[:1])) for key, value in content.items()]
        seen.update(f"{key}:{TYPES.get(one, 'number')}" for key, one in begun if one != b"n")
    return " ".join(
        sorted(
            key if count >= USUAL * objects else key + SOME
            for key, count in seen.items()
            if count >= SEEN * objects
        )
    )


def fingerprint(shape: str) -> str:
    """Digest a shape."""
    return digest(shape, 16)
