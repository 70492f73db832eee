"""Which texts may hold something to replace: one pass of RE2 over all of them, laid end to end.

RE2 builds what it needs of an expression as it reads, for tens of milliseconds with one this long.
So an expression is kept for the life of the process, and texts are not given to it one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2

from tasks.ingest.privacy.patterns import BUILT_IN, ENCODED
from tasks.ingest.privacy.rule import Rule

Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

ESCAPED = r"[\\%\x1b]"
"""Where a text as logged may say more than it shows."""
TOGETHER = 1 << 28
"""Bytes of texts that are laid end to end at most: an offset of an Arrow string has 31 bits."""


class Suspects:
    """Tells which texts some rules may hit: all that they do, and few others.

    Args:
        rules: The rules. Hints of built-in ones hold wherever a line begins or ends; a user's may
            ask for the beginning of a text, so each text is searched for these by itself.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        hints = dict.fromkeys(rule.hint for rule in rules if rule.hint and rule in BUILT_IN)
        self._lines = compiled("|".join([*hints, ENCODED]))
        own = [f"(?:{rule.hint})" for rule in rules if rule not in BUILT_IN]
        # It was written for the text without its escapes, and Python's `$` stands before a last
        # line break, too: so with `m` every line may end it.
        self._own = f"(?m){'|'.join(own)}|{ESCAPED}" if own else ""

    def among(self, texts: pa.Array) -> Flags:
        """Tell the suspects among texts; null is none, `(texts,)`."""
        if texts.null_count:
            rows: Flags = texts.is_valid().to_numpy(zero_copy_only=False)
            rows[rows] = self.among(texts.drop_null())
            return rows
        if len(texts) > 1 and texts.nbytes > TOGETHER:
            half = len(texts) // 2
            return np.concatenate([self.among(texts[:half]), self.among(texts[half:])])
        found = hits(self._lines, texts)
        if self._own:
            own: pa.Array = pc.match_substring_regex(texts, self._own)
            found |= own.to_numpy(zero_copy_only=False)
        return found


@lru_cache(16)
def compiled(expression: str) -> Any:
    """Compile an expression for lines."""
    return re2.compile(f"(?m){expression}".encode())


def hits(expression: Any, texts: pa.Array) -> Flags:
    """Tell the texts that a match touches, one text a line.

    A match may run from one text into the next. Both count then, so nothing hides behind it.

    Args:
        expression: Compiled.
        texts: Without null.
    """
    found = np.zeros(len(texts), np.bool_)
    if not len(texts):
        return found
    lines = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    page = pc.binary_join(lines, pa.scalar("\n", texts.type))[0].as_buffer()
    view, ends, at = memoryview(page), None, 0
    while match := expression.search(view, at):
        if ends is None:
            lengths = pc.binary_length(texts).to_numpy(zero_copy_only=False)
            ends = np.cumsum(lengths + 1, dtype=np.int64)
        start, end = match.span()
        first, last = np.searchsorted(ends, [start, max(start, end - 1)], side="right")
        if first < last and start == ends[first] - 1:
            first += 1  # it begins with the break before its text
        found[first : last + 1] = True
        # What else a text holds is not asked; behind its end begins the next.
        at = int(ends[last])
        if at >= len(view):
            break
    return found
