"""Values that an agent meant to copy and got wrong: a digit dropped, two letters transposed.

A value is a slip where it stands nowhere in what the agent had seen, but is within a small edit
distance of something that does. What is computed is not copied: numbers that one operation makes
of two seen ones, dates that are another day, words in another number or case are let pass. A value
that is near nothing was invented, which is another kind of mistake.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

from schemas.episode import Message

NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")
DATE = re.compile(r"(?<![\w-])\d{4}-\d{1,3}-\d{1,3}(?![\w-])")
MARKED = re.compile(r"(?<![\w-])(?=\w*[_\d])(?=\w*[^\W\d_])\w{5,}(?![\w-])")
"""An identifier that no prose has: letters with digits or underscores."""
WORD = re.compile(r"[^\W\d_]{5,}")
QUOTED = re.compile(r"'([^'\n]{1,40})'|\"([^\"\n]{1,40})\"")
LETTERS = re.compile(r"[^\W\d_]+(?:[ '-][^\W\d_]+)*")
NAMED = re.compile(r"\bas\s+(\w+)", re.IGNORECASE)

CHANCE = 0.25
"""A number is near another by chance more often than this: then nearness says nothing."""
LONG = 8
"""Characters from which two slips are allowed instead of one."""
OPERANDS = (1.0, 2.0, 100.0)
"""Numbers that agents calculate with beside those they have seen."""
UNITS = frozenset(
    [
        "10",
        "12",
        "24",
        "30",
        "31",
        "52",
        "60",
        "90",
        "100",
        "180",
        "360",
        "365",
        "366",
        "1000",
        "1024",
        "3600",
        "10000",
    ]
)
"""Numbers that a call may hold without having them from anywhere."""
MOST_NUMBERS = 60
"""Seen numbers, the newest, that calculations are tried with."""
MOST_WORDS = 4
"""Words of the longest literal that is looked at."""
SHORTEST = 4
"""Letters of the shortest one: shorter words are near too many others."""

Kind = Literal["number", "date", "identifier", "literal", "word"]


class Slip(NamedTuple):
    """A value that was not copied right."""

    wrote: str
    seen: str
    """What it is near."""
    kind: Kind


class Seen:
    """What an agent had before its eyes, as far as it has been told so far."""

    def __init__(self) -> None:
        self._text = " "
        self._words: list[str] = []
        self._digits: set[str] = set()
        self._numbers: dict[str, None] = {}
        self._dates: set[str] = set()
        self._marked: set[str] = set()
        self._results: set[str] = set()
        self._told: list[str] = []

    def add(self, text: str, result: bool = False) -> None:
        """Take in a text.

        Args:
            text: What was said or returned.
            result: Whether a tool returned it: its plain words may be names of columns and such.
        """
        low = text.lower()
        self._text += low + "\n"
        self._words += re.findall(r"[\w'-]+", low)
        self._dates |= set(DATE.findall(low))
        bare = DATE.sub(" ", low)
        self._numbers |= dict.fromkeys(map(plain, NUMBER.findall(bare)))
        self._digits |= {run.lstrip("0") or "0" for run in re.findall(r"\d+", low)}
        self._marked |= set(MARKED.findall(low))
        if result:
            self._results |= set(WORD.findall(low))
            self._told = [plain(low.strip())] if NUMBER.fullmatch(low.strip()) else []

    def slip(self, value: str, kind: Kind) -> Slip | None:
        """Judge one value; None where it was seen, computed or invented."""
        low = value.lower()
        if kind == "number":
            found = self._number(plain(low))
        elif kind == "date":
            found = self._date(low)
        elif re.search(rf"(?<!\w){re.escape(low)}(?!\w)", self._text):
            found = None
        elif kind == "literal":
            count = len(low.split())
            found = _nearest(low, map(" ".join, _runs(self._words, count)))
        else:
            found = _nearest(low, self._marked if kind == "identifier" else self._results)
        return None if found is None else Slip(value, found, kind)

    def _number(self, value: str) -> str | None:
        size = len(value.replace(".", ""))
        if size < 2 or value in self._numbers or value in self._digits:
            return None
        newest = [n for n in reversed(self._numbers) if len(n) > 1]
        # Of many numbers one is near by chance; the result just told, if it is one number, is not.
        for others in (newest, [n for n in self._told if len(n) > 1]):
            alike = [n for n in others if abs(len(n) - len(value)) <= 1]
            if len(alike) * 10 * size / 10**size < CHANCE:
                near = [n for n in alike if distance(value, n) <= _allowed(value, n)]
                if near and not _computed(value, list(self._numbers)):
                    return near[0]
        return None

    def _date(self, value: str) -> str | None:
        """Let another valid day pass: agents count days. Digits in another order are a slip."""
        if value in self._dates:
            return None
        for seen in sorted(self._dates):
            if distance(value, seen) > 2:
                continue
            years = abs(int(value[:4]) - int(seen[:4]))
            if not _is_day(value) or years > 2 or sorted(value) == sorted(seen):
                return seen
        return None


def first_slip(messages: Sequence[Message], question: str, offered: str = "") -> Slip | None:
    """Find the first value in a call or in the final answer that was not copied right.

    Args:
        messages: An episode after its question.
        question: What was asked.
        offered: Text of the tools' schemas.
    """
    seen = Seen()
    seen.add(question)
    seen.add(offered)
    for place, message in enumerate(messages):
        if message.role != "assistant":
            seen.add(message.content or "", result=message.role == "tool")
            continue
        seen.add(message.reasoning or "")
        for value, kind in _written(messages, place):
            if (slip := seen.slip(value, kind)) is not None:
                return slip
        seen.add(message.content or "")
        for call in message.tool_calls:
            seen.add(" ".join(_strings(call.arguments)))
    return None


def _written(messages: Sequence[Message], place: int) -> Iterator[tuple[str, Kind]]:
    """Yield the values that a turn hands to tools, or to the user where it calls none."""
    message = messages[place]
    if not message.tool_calls:
        yield from _values(message.content or "")
    failed = " ".join(
        (m.content or "").lower()
        for m in itertools.takewhile(lambda m: m.role == "tool", messages[place + 1 :])
        if m.error
    )
    for call in message.tool_calls:
        for argument in _strings(call.arguments):
            yield from ((v, k) for v, k in _values(argument) if k != "number" or v not in UNITS)
            yield from ((v, "literal") for v in _literals(argument))
            # Plain words of a query are its language's; one that the error names is a name.
            yield from ((v, "word") for v in WORD.findall(argument) if _names(failed, v))


def _values(text: str) -> Iterator[tuple[str, Kind]]:
    """Yield a text's dates, its numbers outside of them, and its identifiers."""
    yield from ((value, "date") for value in DATE.findall(text))
    bare = DATE.sub(" ", text)
    yield from ((value, "number") for value in NUMBER.findall(bare))
    own = {name.lower() for name in NAMED.findall(text)}
    yield from ((v, "identifier") for v in MARKED.findall(bare) if v.lower() not in own)


def _literals(argument: str) -> Iterator[str]:
    """Yield what stands in quotes, and an argument that is as short as a value."""
    for one, other in QUOTED.findall(argument):
        yield from _literal(one or other)
    if len(argument) <= 40 and not QUOTED.search(argument):
        yield from _literal(argument)


def _literal(text: str) -> Iterator[str]:
    value = text.strip(" %")
    if (
        len(value) >= 4
        and len(value.split()) <= MOST_WORDS
        and re.fullmatch(r"[^\W\d_ '-]+(?:[ '-][^\W\d_]+)*", value)
    ):
        yield value


def _names(error: str, word: str) -> bool:
    return bool(error) and re.search(rf"(?<!\w){re.escape(word.lower())}(?!\w)", error) is not None


def _strings(arguments: str) -> list[str]:
    """Give the texts and numbers in a call's arguments; what does not parse is one text."""
    try:
        return list(_leaves(json.loads(arguments or "{}")))
    except json.JSONDecodeError:
        return [arguments]


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _runs(words: Sequence[str], count: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[i : i + count]) for i in range(len(words) - count + 1))


def _nearest(value: str, others: Iterable[str]) -> str | None:
    """Give what a word or name is a slip of."""
    letters = set(value)
    near = (
        other
        for other in set(others)
        # An edit changes two letters of the set at most: a quick look before the slow one.
        if len(letters.symmetric_difference(other)) <= 2 * _allowed(value, other)
        and _is_slip(value, other)
    )
    return min(near, key=lambda other: (distance(value, other), other), default=None)


def _is_slip(value: str, other: str) -> bool:
    """Tell whether one text is the other miscopied, part by part where underscores join parts."""
    if len(other) < SHORTEST or _counted_on(value, other):
        return False
    parts = value.split("_"), other.split("_")
    pairs = zip(*parts, strict=True) if len(parts[0]) == len(parts[1]) else [(value, other)]
    return all(
        distance(one, its) <= _allowed(one, its) and not _inflected(one, its)
        for one, its in pairs
        if one != its
    )


def _inflected(one: str, other: str) -> bool:
    """Tell whether two words differ in an ending alone: another form is no slip."""
    short, long = sorted((one, other), key=len)
    return long.startswith(short) and long[len(short) :] in {"s", "es", "d", "n", "r"}


def _counted_on(one: str, other: str) -> bool:
    """Tell whether two names differ in their numbers alone, which are short or neighbours."""
    if re.sub(r"\d+", "#", one) != re.sub(r"\d+", "#", other):
        return False
    numbers = zip(re.findall(r"\d+", one), re.findall(r"\d+", other), strict=True)
    return all(max(len(a), len(b)) <= 2 or abs(int(a) - int(b)) == 1 for a, b in numbers if a != b)


def _allowed(one: str, other: str) -> int:
    return 2 if min(len(one), len(other)) >= LONG else 1


def distance(one: str, other: str) -> int:
    """Count the insertions, deletions, substitutions and swaps of neighbours between two texts.

    Texts that differ in length by more than 2 are given 3: they are far, however far.

    Source: Damerau 1964, https://doi.org/10.1145/363958.363994 (optimal string alignment).
    """
    if abs(len(one) - len(other)) > 2:
        return 3
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        new = [i]
        for j, its in enumerate(other, 1):
            cost = min(row[j] + 1, new[j - 1] + 1, row[j - 1] + (letter != its))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == its:
                cost = min(cost, before[j - 2] + 1)
            new.append(cost)
        before, row = row, new
    return row[-1]


def plain(number: str) -> str:
    """Write a number in one way: no commas, no leading zeros, no empty decimals."""
    text = number.replace(",", "")
    whole, point, part = text.partition(".")
    part = part.rstrip("0")
    return (whole.lstrip("0") or "0") + (point + part if part else "")


def _computed(value: str, seen: list[str]) -> bool:
    """Tell whether a number is a seen one rounded, or made by one operation on two of them."""
    wanted, places = float(value), len(value.partition(".")[2])
    numbers = [*map(float, seen[-MOST_NUMBERS:]), *OPERANDS]
    made = (abs(m) for a in numbers for b in numbers for m in _operations(a, b))
    return any(abs(m - wanted) <= 0.51 * 10**-places for m in made if m != round(m) or m == wanted)


def _operations(a: float, b: float) -> tuple[float, ...]:
    if b == 0:
        return a + b, a - b, a * b
    return a + b, a - b, a * b, a / b, 100 * a / b


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
