"""Files as records: JSON lines, a JSON array, or one document, each with its place in bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from schemas.errors import InputError

SUFFIXES = frozenset({".json", ".jsonl", ".ndjson"})
"""Endings that count as logs when a folder is given."""
BOM = b"\xef\xbb\xbf"


class RawRecord(NamedTuple):
    """One record before it is decoded."""

    line: int
    offset: int
    raw: bytes


def expand(paths: Iterable[str]) -> dict[Path, bool]:
    """List the files that paths name; the value says whether the file was named itself.

    Raises:
        InputError: A path is not there, or a folder holds no logs.
    """
    files: dict[Path, bool] = {}
    for name in paths:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
            if not inside:
                endings = ", ".join(sorted(SUFFIXES))
                raise InputError(
                    f"folder {name} holds no log files", f"Logs end in one of: {endings}."
                )
            for file in inside:
                files.setdefault(file, False)
        elif path.is_file():
            files[path] = True
        else:
            raise InputError(f"no such file or folder: {name}", "Check the path.")
    return files


def digests(data: bytes, ends: Iterable[int]) -> Mapping[int, str]:
    """Give the sha256 of the file's first `end` bytes for each end, in one pass.

    Ends beyond the file are left out; the whole file's is always there.
    """
    running, position, found = hashlib.sha256(), 0, {}
    view = memoryview(data)
    for end in sorted({*ends, len(data)}):
        if end <= len(data):
            running.update(view[position:end])
            position = end
            found[end] = running.hexdigest()
    return found


def is_document(data: bytes) -> bool:
    """Say whether the file is one JSON array or one object over several lines, not JSON lines."""
    body = data.removeprefix(BOM).lstrip()
    if body[:1] == b"[":
        return parsed_array(body) is not None
    first_line = body.split(b"\n", 1)[0]
    return body[:1] == b"{" and not is_json(first_line) and is_json(body)


def read_records(data: bytes, start: int = 0) -> list[RawRecord]:
    """Split a file into records; blank lines are none.

    Args:
        data: The whole file.
        start: First byte to read, for a JSON-lines file of which the rest is known.
    """
    if start == 0 and is_document(data):
        return document_records(data)
    records = []
    line = data.count(b"\n", 0, start)
    offset = start
    for text in data[start:].split(b"\n"):
        line += 1
        raw = text.removeprefix(BOM) if offset == 0 else text
        if raw.strip():
            records.append(RawRecord(line, offset, raw.strip()))
        offset += len(text) + 1
    return records


def document_records(data: bytes) -> list[RawRecord]:
    """Give the elements of an array, or the one object, as records."""
    elements = parsed_array(data.removeprefix(BOM).lstrip())
    raws = [data.removeprefix(BOM).strip()] if elements is None else [bytes(e) for e in elements]
    records, position = [], 0
    for number, raw in enumerate(raws, 1):
        position = data.find(raw, position)
        records.append(RawRecord(number, position, raw))
        position += len(raw)
    return records


def finished(data: bytes, records: list[RawRecord]) -> int:
    """Give one past the last finished byte: a last line cut in the middle is not, it may grow."""
    if not records or is_document(data):
        return len(data)
    last = records[-1]
    return last.offset if b"\n" not in data[last.offset :] and is_cut(last.raw) else len(data)


def parsed_array(body: bytes) -> list[msgspec.Raw] | None:
    """Split a JSON array into its elements without decoding them; None if it is no array."""
    try:
        return msgspec.json.decode(body, type=list[msgspec.Raw]) if body[:1] == b"[" else None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def is_json(text: bytes) -> bool:
    """Say whether a text is JSON."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def is_cut(text: bytes) -> bool:
    """Say whether a text is the beginning of JSON: what is malformed stays so, however it grows."""
    if is_json(text):
        return False
    try:
        # A number cut after its sign, point or exponent would read as malformed.
        msgspec.json.decode(text.rstrip(b"+-.eE"))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return "truncated" in str(error)
    return False
