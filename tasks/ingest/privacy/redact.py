"""Redaction: secrets and personal data of logs become typed placeholders before they are written.

One RE2 expression passes over whole columns and finds the few texts worth a look; only these meet
the exact rules. Equal values of an episode become equal placeholders, so that what the user said
and what the tool was called with still agree.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.privacy import PrivacyConfig
from tasks.ingest.privacy.escapes import Plain, bare_numbers
from tasks.ingest.privacy.names import PersonFinder
from tasks.ingest.privacy.patterns import ENCODED, chosen, worth_a_search
from tasks.ingest.privacy.placeholders import PLACEHOLDER, KeyedNames, Names, Naming
from tasks.ingest.privacy.rule import ESCAPED_QUOTES, Rule, Span
from tasks.ingest.privacy.suspects import Flags, Suspects

ROUNDS = 4
"""Most looks at a text: a value that touched another stands free once that one is replaced."""

LONG = 20_000
"""Characters from which it pays to ask RE2 for every rule."""

SHORT = 50_000
"""Characters up to which a text is remembered: many episodes have one system prompt."""

REMEMBERED = 256
"""Texts."""

SMALL = 1 << 16
"""Bytes of texts up to which each is looked at with the exact rules."""
FEW = 256
"""Texts replaced in a column between which the others are copied together."""
Numbers = np.ndarray[Any, np.dtype[np.int64]]


class Seen(NamedTuple):
    """What the rules say of a text."""

    plain: Plain
    taken: Taken
    known: dict[str, str]
    """Contextual values, as written, and their kinds."""


class Redactor:
    """Replaces what a configuration names; counts what it replaced."""

    def __init__(self, config: PrivacyConfig, key: bytes) -> None:
        """Choose the rules.

        Args:
            config: What is replaced; with `redact` off nothing is.
            key: Secret of the placeholders in ids and raw bytes.

        Raises:
            ConfigurationError: Names are asked for and presidio is not installed.
        """
        self.counts: Counter[str] = Counter()
        """Replacements so far, by kind."""
        self._key = key
        self._on = config.redact
        self._rules = chosen(config)
        self._suspects = Suspects(self._rules)
        self._allowed = frozenset(config.allow)
        self._persons = PersonFinder() if config.redact and config.names else None
        self._remembered = lru_cache(REMEMBERED)(self._look)

    def suspects(self, texts: pa.Array | pa.ChunkedArray) -> Flags:
        """Tell which texts may hold something to replace: all that do, and few others.

        Args:
            texts: Strings; null is no suspect.
        """
        if not self._on:
            return np.zeros(len(texts), dtype=np.bool_)
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        return valid(texts) if self._persons else self._suspects.among(texts)

    def suspects_of(self, texts: pa.Array) -> Flags:
        """Tell the suspects among texts that stand alone: of few texts all."""
        return valid(texts) if self._on and few([texts]) else self.suspects(texts)

    def redact_text(self, text: str, names: Naming) -> str:
        """Replace in one text; what parsed as JSON before parses after.

        Args:
            text: Plain, or JSON with whatever else in it.
            names: Of the episode that owns the text.
        """
        if not self._on or not text:
            return text
        for _ in range(ROUNDS):
            seen = self._remembered(text) if len(text) <= SHORT else self._look(text)
            hits = self._hits(seen, names)
            if not hits:
                return text
            text = self._cut(seen.plain, hits, names)
        return text

    def redact_key(self, text: str) -> str:
        """Replace in an id or a name, which must stay equal to itself in other episodes."""
        return self.redact_text(text, KeyedNames(self._key))

    def redact_bytes(self, raw: bytes) -> bytes:
        """Replace in bytes that nobody could read; all other bytes stay."""
        if not self._on:
            return raw
        names = KeyedNames(self._key)
        for mark, code in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
            if raw.startswith(mark) and len(raw) % 2 == 0:
                text = raw.decode(code, "surrogatepass")
                return self.redact_text(text, names).encode(code, "surrogatepass")
        text = raw.decode("utf-8", "surrogateescape")
        redacted = self.redact_text(text, names)
        return raw if redacted is text else redacted.encode("utf-8", "surrogateescape")

    def found(self, raw: bytes) -> dict[str, str]:
        """Give the values in bytes that nobody could read, and what they are replaced by."""
        names = KeyedNames(self._key)
        seen = self._look(raw.decode("utf-8", "surrogateescape"))
        hits = [(seen.plain.text[start:end], kind) for (start, end), kind in seen.taken.hits()]
        return {value: names.placeholder(kind, value) for value, kind in hits}

    def redact_columns(
        self,
        texts: Mapping[str, pa.Array | pa.ChunkedArray],
        owner: Mapping[str, Numbers],
        flagged: Mapping[str, Flags] | None = None,
    ) -> dict[str, pa.Array | pa.ChunkedArray]:
        """Replace in all texts of many episodes.

        Args:
            texts: Columns of texts, in the order in which placeholders are numbered.
            owner: For each column the number of the episode that owns each text, ascending.
            flagged: The suspects of each column; None finds them.

        Returns:
            The columns; one without a hit is the one that was given.
        """
        columns = list(texts)
        flags = flagged or {name: self.suspects(texts[name]) for name in columns}
        suspects = [np.flatnonzero(flags[name]) for name in columns]
        places = sorted(
            (int(owner[name][row]), order, int(row))
            for order, (name, rows) in enumerate(zip(columns, suspects, strict=True))
            for row in rows
        )
        changed: list[dict[int, str]] = [{} for _ in columns]
        start = 0
        while start < len(places):
            end, episode, names = start, places[start][0], Names()
            while end < len(places) and places[end][0] == episode:
                _, order, row = places[end]
                text = texts[columns[order]][row].as_py()
                redacted = self.redact_text(text, names)
                if redacted != text:
                    changed[order][row] = redacted
                end += 1
            if names.known:
                self._repeat(names, episode, texts, owner, changed)
            start = end
        return {
            name: replaced(texts[name], rows) for name, rows in zip(columns, changed, strict=True)
        }

    def _repeat(
        self,
        names: Names,
        episode: int,
        texts: Mapping[str, pa.Array | pa.ChunkedArray],
        owner: Mapping[str, Numbers],
        changed: list[dict[int, str]],
    ) -> None:
        """Replace what was found beside a naming word wherever else the episode says it."""
        for order, name in enumerate(texts):
            first, last = np.searchsorted(owner[name], [episode, episode + 1])
            for row, value in enumerate(texts[name][first:last], start=int(first)):
                text = changed[order].get(row) or value.as_py()
                if not text or not may_hold(text, names.known):
                    continue
                plain = Plain(text)
                hits = sorted(self._copies(plain.text, names))
                if hits:
                    changed[order][row] = self._cut(plain, hits, names)

    def _look(self, text: str) -> Seen:
        """Find what the rules say of a text, whatever its episode has shown."""
        plain, taken = Plain(text), Taken()
        known: dict[str, str] = {}
        text = plain.text
        for match in PLACEHOLDER.finditer(text) if "<" in text else ():
            taken.add(match.span(), "")
        for rule in self._worth(plain):
            for span in spans(rule, text):
                value = text[span[0] : span[1]]
                if not value or value in self._allowed or not taken.add(span, rule.kind):
                    continue
                if rule.contextual and telling(value):
                    known[value] = rule.kind
        if self._persons:
            for span in self._persons.find(text):
                if text[span[0] : span[1]] not in self._allowed:
                    taken.add(span, "PERSON")
        return Seen(plain, taken, known)

    def _hits(self, seen: Seen, names: Naming) -> list[tuple[Span, str]]:
        """Give what is to be replaced: in order and disjoint, earlier rules first."""
        names.known.update(seen.known)
        copies = list(self._copies(seen.plain.text, names))
        if not copies:
            return seen.taken.hits()
        taken = seen.taken.copy()
        for span, kind in copies:
            taken.add(span, kind)
        return taken.hits()

    def _worth(self, plain: Plain) -> list[Rule]:
        """Leave out the rules that cannot hit a text; RE2 tells of a long one."""
        rules = worth_a_search(self._rules, plain.text)
        if len(plain.text) < LONG or not rules:
            return rules
        try:
            logged = pa.array([plain.logged], type=pa.large_string())
        except UnicodeEncodeError:  # bytes that are no text: RE2 reads none such
            return rules
        if pc.match_substring_regex(logged, ENCODED)[0].as_py():
            return rules
        return [r for r in rules if pc.match_substring_regex(logged, r.hint)[0].as_py()]

    def _copies(self, text: str, names: Naming) -> Iterator[tuple[Span, str]]:
        """Find values that the episode has shown to be secret, where nothing names them."""
        for value, kind in names.known.items():
            if value in text:
                for match in re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", text):
                    yield match.span(), kind

    def _cut(self, plain: Plain, hits: list[tuple[Span, str]], names: Naming) -> str:
        """Put placeholders where the hits are in the text as logged."""
        logged = plain.logged
        spans = [plain.back(span) for span, _ in hits]
        digits = [s for s in spans if logged[s[0]].isdigit() and logged[s[1] - 1].isdigit()]
        numbers = bare_numbers(logged, digits)
        pieces: list[str] = []
        end = 0
        for (span, kind), raw in zip(hits, spans, strict=True):
            value = plain.text[span[0] : span[1]]
            (start, stop), mark = numbers.get(raw, (raw, quotes_of_number(plain.text, span)))
            if start < end:  # two values within one number
                continue
            pieces += (logged[end:start], mark, names.placeholder(kind, value), mark)
            end = stop
            self.counts[kind] += 1
        return "".join(pieces) + logged[end:]


def few(columns: Sequence[pa.Array]) -> bool:
    """Say whether there is so little text that the exact rules may look at all of it."""
    return sum(int(column.nbytes) for column in columns) < SMALL


def valid(texts: pa.Array) -> Flags:
    """Say which texts are there."""
    there: Flags = texts.is_valid().to_numpy(zero_copy_only=False)
    return there


class Taken:
    """Spans that are already somebody's."""

    def __init__(self) -> None:
        self._spans: list[tuple[Span, str]] = []

    def copy(self) -> Taken:
        """Give another one that has taken the same."""
        other = Taken()
        other._spans = self._spans.copy()
        return other

    def add(self, span: Span, kind: str) -> bool:
        """Take a span; one that reaches out of a taken one widens it and has its kind."""
        first = last = bisect_left(self._spans, (span, ""))
        if first and self._spans[first - 1][0][1] > span[0]:
            first -= 1
        while last < len(self._spans) and self._spans[last][0][0] < span[1]:
            last += 1
        met = self._spans[first:last]
        if not met:
            self._spans.insert(first, (span, kind))
            return True
        if all(kind for _, kind in met):  # a placeholder is left alone
            start, end = min(met[0][0][0], span[0]), max(met[-1][0][1], span[1])
            self._spans[first:last] = [((start, end), met[0][1])]
        return False

    def hits(self) -> list[tuple[Span, str]]:
        """Give what was taken, in order, without what is there only to be left alone."""
        return [hit for hit in self._spans if hit[1]]


def spans(rule: Rule, text: str) -> Iterator[Span]:
    """Search one rule's values in a text."""
    for match in rule.find.finditer(text):
        yield from rule.check(match)


def may_hold(text: str, values: Iterable[str]) -> bool:
    """Tell whether a text as logged may hold one of some values: escapes can hide any."""
    if "\\" in text or "%" in text or "\x1b" in text:
        return True
    return any(value in text for value in values)


def telling(value: str) -> bool:
    """Tell whether a value is rare enough to be replaced wherever it stands."""
    return len(value) >= 6 and any(not letter.isalpha() for letter in value)


def quotes_of_number(text: str, span: Span) -> str:
    """Give the quotes that a bare number needs within JSON that is a part of a longer text.

    It is one when a quoted key and a colon stand before it, and what ends a value after it.
    """
    if not (text[span[0]].isdigit() and text[span[1] - 1].isdigit()):
        return ""
    key = rf'(["{ESCAPED_QUOTES}])[\w .$-]{{1,40}}\1\s*:\s*\Z'
    before = re.search(key, text[max(0, span[0] - 80) : span[0]])
    if not before or not re.compile(r"\s*[,}\]]").match(text, span[1]):
        return ""
    depth = max(0, ord(before[1]) - 0xE000)
    return '"' if before[1] == '"' else "\\" * depth + '"'


def replaced(texts: pa.Array | pa.ChunkedArray, rows: dict[int, str]) -> Any:
    """Give a column with some of its texts replaced; untouched it is the same object."""
    if not rows:
        return texts
    places = sorted(rows)
    fresh = pa.array([rows[row] for row in places], type=texts.type)
    if isinstance(texts, pa.ChunkedArray) or len(rows) > FEW:
        mask = np.zeros(len(texts), dtype=np.bool_)
        mask[places] = True
        return pc.replace_with_mask(texts, pa.array(mask), fresh)
    # What lies between a few is copied whole: three times as fast as text by text.
    pieces, start = [], 0
    for number, row in enumerate(places):
        pieces += [texts[start:row], fresh[number : number + 1]]
        start = row + 1
    return pa.concat_arrays([*pieces, texts[start:]])
