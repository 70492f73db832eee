"""The rules that a configuration asks for, and the one expression that finds where they may hit."""

from __future__ import annotations

import re
from collections.abc import Sequence

from schemas.privacy import PrivacyConfig
from tasks.ingest.privacy import credentials, identifiers
from tasks.ingest.privacy.placeholders import PLACEHOLDER
from tasks.ingest.privacy.rule import RUN, Rule

BUILT_IN = tuple(rule.widened() for rule in (*credentials.RULES, *identifiers.RULES))
"""Every rule; of two that match the same text the first wins."""

ENCODED = (
    r"\\u00[2-7][0-9A-Fa-f]|[0-9]\\u00[aA]0[0-9]"
    r"|%2[0-9A-Fa-f][0-9(]|[0-9]%2[0-9A-Fa-f]|[0-9A-Fa-f]%3[Aa]"
)
"""A printable ASCII letter as an escape of JSON, or a separator as one of URLs beside a digit:
rare, and it can stand inside any value."""


ENOUGH_DIGITS = 13
"""Digits of which no rule asks more."""

DIGIT = re.compile("[0-9]")
DIGITS = re.compile("[0-9](?:[^0-9A-Za-z]{0,2}[0-9])+")


def chosen(config: PrivacyConfig) -> list[Rule]:
    """Give the rules of a configuration: the user's own first."""
    own = [
        Rule(name, f"(?:{pattern})", re.compile(pattern, re.ASCII))
        for name, pattern in config.patterns.items()
    ]
    return own + [r for r in BUILT_IN if config.rules is None or r.kind in config.rules]


def worth_a_search(rules: Sequence[Rule], text: str) -> list[Rule]:
    """Leave out the rules that cannot hit a text: they need words, digits or a long run.

    Args:
        rules: In order.
        text: Without its escapes; its placeholders count for nothing.
    """
    text = PLACEHOLDER.sub(" ", text) if "<" in text else text
    small, digits = text.lower(), most_digits(text)
    run = 15 if RUN.search(text) else 0
    return [
        rule
        for rule in rules
        if rule.digits <= digits and rule.run <= run and (not rule.needs or says(small, rule.needs))
    ]


def says(text: str, words: tuple[str, ...]) -> bool:
    """Tell whether a text holds one of some words."""
    for word in words:  # noqa: SIM110  (asked of every text: `any` takes twice as long)
        if word in text:
            return True
    return False


def most_digits(text: str) -> int:
    """Count the digits of the text's longest number, as far as any rule asks."""
    most = 0
    for number in DIGITS.finditer(text):
        most = max(most, len(DIGIT.findall(number.group())))
        if most >= ENOUGH_DIGITS:
            break
    return most
