"""What a rule of redaction is: a hint for one pass over everything, and an exact search."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

Span = tuple[int, int]
"""First position and the one after the last."""

Check = Callable[[re.Match[str]], Iterable[Span]]

ESCAPED_QUOTES = "\ue000-\ue0ff"
"""How `privacy.escapes` writes a double quote behind 1 to 255 backslashes, as a range."""

CODED = r"\\u[0-9A-Fa-f]{4}|%[2-7][0-9A-Fa-f]"
"""An escape that may end in a digit, whatever sign it stands for."""
EDGE = rf"(?:^|[^0-9A-Za-z]|\\[nrtbf]|{CODED}|\[[0-9;?]*[A-Za-z])"
"""What may stand left of a value in a text as logged (RE2): the hint's side of `START`."""
STOP = r"(?:$|[^0-9A-Za-z])"
"""What may stand right of a value that no letter or digit follows; no escape begins with these."""

COLOUR = r"(?:\x1b|\\+(?:u001[bB]|x1[bB]|033))\[[0-9;?]*[A-Za-z]"
"""A colour of a terminal in a text as logged (RE2): a hint reads it as a space."""

RUN = re.compile(r"[\w.+/=:-]{15}")
"""What every key of a provider is made of, and a word is not."""

SPACES = (
    r"\s\x{1c}-\x{1f}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
)
"""What Python calls white space, for a class of RE2, which knows that of ASCII alone."""
PART = re.compile(r"\\x\{[0-9a-fA-F]+\}|\\.|.", re.DOTALL)
"""A part of an expression that is one sign, or stands for some."""

START = r"(?<![0-9A-Za-z])"
"""What may stand left of a value in a text without escapes."""


def edge_after(signs: str) -> str:
    """Write `EDGE` for a number that is no part of a longer one: no sign that follows a digit.

    So a fraction (`0.4111...`) is no reason to look at a text.

    Args:
        signs: As in the rule's `(?<![0-9][signs])`, a hyphen last.
    """
    return (
        rf"(?:^|[^0-9A-Za-z{signs}]|(?:^|[^0-9]|{CODED})[{signs}]"
        rf"|\\[nrtbf]|{CODED}|\[[0-9;?]*[A-Za-z])"
    )


def whole(match: re.Match[str]) -> Iterable[Span]:
    """Take all that matched."""
    return (match.span(),)


class Rule(NamedTuple):
    """One rule of one kind."""

    kind: str
    hint: str
    """RE2 over a text as logged, escapes and all: matches wherever `find` and `check` would."""
    find: re.Pattern[str]
    """Python, over the text without its escapes."""
    check: Check = whole
    """Gives the spans to replace within a match of `find`: none, one or more."""
    needs: tuple[str, ...] = ()
    """Texts of which one must occur, in small letters, before it is worth to search."""
    digits: int = 0
    """Digits, with two other signs between them at most, without which no match is possible."""
    run: int = 0
    """Characters of one `RUN` without which no match is possible: 15, or 0."""
    contextual: bool = False
    """The value says nothing by itself: where it is found once, all its copies must go."""

    def widened(self) -> Rule:
        """Give the rule with a hint that reads white space as Python does."""
        return self._replace(hint=widened(self.hint))


def widened(hint: str) -> str:
    r"""Let `\s` of a hint match whatever it matches in Python: French sets one before a colon."""
    parts: list[str] = []
    inside = negated = begun = False
    for part in PART.findall(hint):
        space = part == r"\s"
        if not inside:
            inside = begun = part == "["
            negated = False
            parts.append(f"[{SPACES}]" if space else part)
            continue
        if part == "]" and not begun:
            inside = False
        # What a class leaves out is wider in RE2 as it is.
        parts.append(SPACES if space and not negated else part)
        negated = negated or (begun and part == "^")
        begun = begun and part == "^"
    return "".join(parts)


def hinted(word: str) -> str:
    """Write a word that is not ASCII for a hint: as it is, and as JSON escapes it."""
    escaped = "".join(
        re.escape(letter) if letter.isascii() else rf"\\+u{ord(letter):04x}" for letter in word
    )
    return f"(?:{word}|{escaped})"
