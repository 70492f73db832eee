"""Which format a file has, told from its content, never from its name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from schemas.errors import InputError
from tasks.ingest import feedback, openai_chat, tau_bench
from tasks.ingest.importer import Importer

IMPORTERS: tuple[Importer, ...] = (tau_bench, feedback, openai_chat)
"""All importers; the most particular first."""

SAMPLE = 64
"""Records looked at before a file is given up as unknown."""


def importer_named(name: str) -> Importer:
    """Give the importer of a format.

    Raises:
        InputError: There is none of that name.
    """
    for importer in IMPORTERS:
        if name == importer.NAME:
            return importer
    names = ", ".join(sorted(importer.NAME for importer in IMPORTERS))
    raise InputError(f"unknown format {name!r}", f"Use one of: {names}; or let it be detected.")


def detect(records: Iterable[bytes]) -> Importer | None:
    """Give the importer that recognises most of the first records; None if none does."""
    votes: dict[str, int] = {}
    for _, raw in zip(range(SAMPLE), records, strict=False):
        record = decoded(raw)
        for importer in IMPORTERS:
            if record is not None and importer.recognises(record):
                votes[importer.NAME] = votes.get(importer.NAME, 0) + 1
                break
    return importer_named(max(votes, key=lambda name: votes[name])) if votes else None


def decoded(raw: bytes) -> dict[str, Any] | None:
    """Decode a record if it is a JSON object."""
    try:
        record = msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
