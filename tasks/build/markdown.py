"""Markdown of a dataset card: sections, tables, figures, and names from logs made harmless."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

NAME_LENGTH = 60
"""Characters of a name from a log that are shown."""


def section(title: str, *parts: str) -> str:
    """Put a heading over what there is; nothing where there is nothing."""
    body = join(*parts)
    return f"## {title}\n\n{body}" if body else ""


def join(*parts: str) -> str:
    """Put paragraphs under each other, without the empty ones."""
    return "\n\n".join(part for part in parts if part)


def image(there: Collection[str], name: str) -> str:
    """Show a drawing, if it is there; its title is its file name."""
    return f"![{name.removesuffix('.svg').replace('_', ' ')}]({name})" if name in there else ""


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Write a table; nothing where there are no rows."""
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def code(text: str) -> str:
    """Show a name from a log as code, so that nothing in it is read as Markdown."""
    plain = re.sub(r"[^\w .:/@+-]", "?", text)[:NAME_LENGTH].strip()
    return f"`{plain}`" if plain else "(none)"


def flat(told: Any) -> str:
    """Write one level of names and values on a line; nothing of None."""
    if isinstance(told, Mapping):
        return ", ".join(f"{name} {value}" for name, value in sorted(told.items()))
    return "" if told is None else str(told)


def number(value: int) -> str:
    """Write a number with its thousands parted."""
    return f"{value:,}"


def count(value: int, what: str) -> str:
    """Write how many there are of something."""
    return f"{value:,} {what}{'' if value == 1 else 's'}"


def fraction(value: float | None) -> str:
    """Write a fraction with two digits; nothing of None."""
    return "" if value is None else f"{value:.2f}"


def share(part: int, whole: int) -> str:
    """Write a part of a whole in percent."""
    return f"{part / whole:.1%}" if whole else "0.0%"
