"""Bytes as records: JSON lines, a JSON array, or one document, each with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import msgspec

BOM = b"\xef\xbb\xbf"
ZIP = b"PK\x03\x04"
Bytes: TypeAlias = bytes | memoryview
SPACE = re.compile(r"[ \t\r\n]*")


class RawRecord(NamedTuple):
    """One record before it is decoded."""

    line: int
    """1-based line (or record) number in the file."""
    offset: int
    """Byte offset in the (decompressed) file."""
    view: Bytes
    """Its bytes, as long as its block stands in memory mostly a part of that."""

    @property
    def raw(self) -> bytes:
        """Its bytes, as an object of their own."""
        return bytes(self.view)

    def owned(self) -> RawRecord:
        """Give the record by itself, so that it can be kept and its block let go."""
        return self._replace(view=self.raw) if isinstance(self.view, memoryview) else self


def may_be_document(head: bytes) -> bool:
    """Say whether a file that begins so may be one JSON document and not JSON lines.

    Args:
        head: The beginning, at least the first line or all there is.
    """
    body = head.removeprefix(BOM).lstrip()
    if body[:4] == ZIP:
        return True
    first = body.split(b"\n", 1)[0].rstrip()
    if body[:1] == b"[":
        return len(first) == len(body.rstrip()) or not is_json(first)
    # A document goes on in the next line; a cut line of JSON lines does not, and must not make
    # all of them be read at once.
    return body[:1] == b"{" and is_cut(first) and (is_json(body) or is_cut(body))


def document_records(data: bytes) -> list[RawRecord] | None:
    """Give the elements of an array, or the one object, as records; None if it is neither."""
    body = data.removeprefix(BOM).strip()
    if body[:1] == b"[":
        elements = parsed_array(body)
        if elements is None:
            return None
        raws = elements
    elif body[:1] == b"{" and leniently_decoded(body) is not None:
        raws = [body]
    else:
        return None
    records, position = [], 0
    for number, raw in enumerate(raws, 1):
        position = data.find(raw, position)
        records.append(RawRecord(number, position, raw))
        position += len(raw)
    return records


def split_lines(data: bytes | bytearray, size: int) -> list[Bytes]:
    """Split the first bytes at line breaks, copying none but what stands behind the last break."""
    view, lines, start = memoryview(data), list[Bytes](), 0
    while (end := data.find(b"\n", start, size)) >= 0:
        lines.append(view[start:end])
        start = end + 1
    return [*lines, bytes(view[start:size])]


def line_records(lines: Iterable[Bytes], offset: int = 0, before: int = 0) -> list[RawRecord]:
    """Make records of JSON lines; blank lines are none.

    Args:
        lines: Consecutive lines of a file, without their newlines.
        offset: Where in the file the first one begins.
        before: Lines before it.
    """
    records = []
    for number, text in enumerate(lines, before + 1):
        raw = text
        if text[:1] != b"{" or text[-1:] != b"}":
            whole = bytes(text)
            raw = (whole.removeprefix(BOM) if offset == 0 else whole).strip()
        if raw:
            records.append(RawRecord(number, offset, raw))
        offset += len(text) + 1
    return records


def parsed_array(body: bytes) -> list[bytes] | None:
    """Split a JSON array into its elements; None if it is no array."""
    try:
        return [bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, ValueError, RecursionError):
        return leniently_split(body)


def leniently_decoded(body: bytes) -> dict[str, Any] | None:
    """Decode an object, also one in which a text is bad: bytes or half characters no text has.

    Of a document with many parts only those are refused that hold such a text.
    """
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        try:
            found = json.loads(body.decode("utf-8", "surrogateescape"), parse_constant=int)
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


def leniently_split(body: bytes) -> list[bytes] | None:
    """Split an array in which an element is bad only inside: a lone surrogate, a NaN.

    Such an element is refused alone when it is read; here it must not cost the others.
    """
    text = body.decode("utf-8", "surrogateescape")
    decoder, elements, at = json.JSONDecoder(), [], 1
    try:
        while True:
            at = after_space(text, at)
            _, end = decoder.raw_decode(text, at)
            elements.append(text[at:end].encode("utf-8", "surrogateescape"))
            at = after_space(text, end)
            if text[at : at + 1] == "]":
                return elements if at + 1 == len(text) else None
            if text[at : at + 1] != ",":
                return None
            at += 1
    except (ValueError, RecursionError):
        return None


def after_space(text: str, at: int) -> int:
    """Give where white space ends."""
    found = SPACE.match(text, at)
    return found.end() if found else at


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
