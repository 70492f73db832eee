"""Privacy configuration: what is replaced in logs before anything of them is written."""

from __future__ import annotations

import re

from pydantic import field_validator

from schemas.errors import ConfigurationError
from schemas.section import Section

KINDS = (
    "PRIVATE_KEY",
    "CONNECTION",
    "KEY",
    "SECRET",
    "EMAIL",
    "IBAN",
    "CARD",
    "ID",
    "PHONE",
    "IP",
)
"""The built-in kinds, first the ones that win where two match the same text (docs/privacy.md)."""

NAME = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
"""What a kind may be called, so that placeholders look alike and are found again."""


class PrivacyConfig(Section):
    """Secrets, personal data and users."""

    redact: bool = True
    """Replace secrets and personal data by typed placeholders (`<EMAIL_1>`) before anything is
    written; False writes the logs as they are."""
    pseudonyms: bool = True
    """Replace `user_id` by a keyed pseudonym (docs/privacy.md)."""
    rules: list[str] | None = None
    """Built-in kinds to replace, such as `EMAIL` and `KEY`; None replaces all of them."""
    patterns: dict[str, str] = {}
    """Your own kinds: a NAME in capitals and the regular expression of what it replaces, in the
    syntax that RE2 and Python share (no look-around, no back-references)."""
    allow: list[str] = []
    """Texts never replaced, such as your own support address: compared with the whole value."""
    names: bool = False
    """Replace names of persons too (`PERSON`), found by presidio; needs the `privacy` extra, and
    takes milliseconds a text."""

    @field_validator("rules")
    @classmethod
    def _are_known(cls, rules: list[str] | None) -> list[str] | None:
        """Refuse a kind that is not built in."""
        for name in rules or ():
            if name not in KINDS:
                raise ConfigurationError(
                    f"privacy.rules names {name!r}; built in are {', '.join(KINDS)}.",
                    "Take one of these, or write your own under privacy.patterns.",
                )
        return rules

    @field_validator("patterns")
    @classmethod
    def _are_expressions(cls, patterns: dict[str, str]) -> dict[str, str]:
        """Refuse a pattern that one of the two engines cannot run, or that matches nothing."""
        for name, pattern in patterns.items():
            if not NAME.fullmatch(name) or name in KINDS:
                raise ConfigurationError(
                    f"privacy.patterns names a kind {name!r}; a name is up to 32 capitals, digits "
                    "and _, and none that is built in.",
                    "Call it something like STAFF_NUMBER.",
                )
            if reason := unusable(pattern):
                raise ConfigurationError(
                    f"privacy.patterns.{name} = {pattern!r} {reason}.",
                    "Write it in the syntax that RE2 and Python's re share.",
                )
        return patterns


def unusable(pattern: str) -> str:
    """Say why a regular expression cannot be used; nothing when it can."""
    import pyarrow as pa  # noqa: PLC0415 (`flywheel --help` must not wait for it)
    import pyarrow.compute as pc  # noqa: PLC0415

    try:
        empty = re.compile(pattern, re.ASCII).search("") is not None
        found = pc.match_substring_regex(pa.array(["x"]), f"x|(?:{pattern})")
        pc.match_substring_regex(found.cast(pa.string()), pattern)
    except re.error as error:
        return f"is no regular expression of Python: {error}"
    except pa.ArrowInvalid as error:
        return f"is no regular expression of RE2: {error}"
    return "matches the empty text" if empty else ""
