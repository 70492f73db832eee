"""Phrases found in what users say: one RE2 alternation a kind, look-alikes struck out before."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.label.block import Bools
from tasks.label.detect.words import ANSWERING, FAREWELL, PARTS, REQUEST, THANKS, Words

FOREIGN = (
    r"(?s:```.*?(?:```|$))|`[^`\n]*`|(?m:^\s*>.*$)"
    r"|\"[^\"]*\"|“[^”]*”|«[^»]*»|「[^」]*」|『[^』]*』|《[^》]*》"
    r"|(?i:\b(?:translate|summari[sz]e|rewrite|proofread|classify)\b|翻译|改写|总结)"
    r"[^\n:]{0,60}[:\x{ff1a}](?s:.*)"
)
"""Words that are not the user's own: code, quoted lines, quoted strings, text to work on."""

APOSTROPHE = "['\u2019]?"
"""Straight, curly or left out."""

SHORT = 200
"""Bytes up to which a turn is thanks and nothing else."""


def heard(said: pa.Array, words: Words) -> Bools:
    """Say which texts hold one of the words, look-alikes and foreign words apart.

    Args:
        said: `(texts,)` strings, no nulls.
        words: What to look for.
    """
    # Most texts hold nothing of the kind: only those that might are cleaned, and asked again.
    found = np.flatnonzero(holds(said, alternation(words.says)))
    if len(found):
        kept = without(said.take(pa.array(found)), FOREIGN)
        if words.unless:
            kept = without(kept, alternation(words.unless))
        found = found[holds(kept, alternation(words.says))]
    return marked(found, len(said))


def thanked(said: pa.Array) -> Bools:
    """Say which texts are thanks or acceptance and ask for nothing more, `(texts,)`."""
    short = pc.less_equal(pc.binary_length(pc.utf8_trim_whitespace(said)), SHORT)
    found = np.flatnonzero(short.to_numpy(zero_copy_only=False) & heard(said, THANKS))
    if len(found):
        left = without(without(said.take(pa.array(found)), FOREIGN), alternation(THANKS.says))
        found = found[~holds(left, alternation(REQUEST.says))]
    return marked(found, len(said))


def taking_leave(said: pa.Array) -> Bools:
    """Say which texts do no more than say farewell or stop, `(texts,)`."""
    return holds(pc.utf8_trim_whitespace(said), alternation(FAREWELL.says))


def answering(said: pa.Array) -> Bools:
    """Say which texts answer or thank, so that saying them twice asks nothing twice."""
    return holds(pc.utf8_trim_whitespace(said), alternation(ANSWERING.says))


@cache
def alternation(patterns: str) -> str:
    """Write the lines of `words` as one RE2 pattern."""
    lines = [line for line in patterns.split("\n    ") if line.strip() and line[0] != "#"]
    # Lines with a deeper margin go on with the one above them.
    pattern = re.sub(r"\|    +", "", "|".join(line.rstrip() for line in lines))
    pattern = re.sub(r"<(\w+)>", lambda named: PARTS[named[1]], pattern)
    # A space inside a class of characters, such as `[.! ]`, stays one: white space there is rare.
    pattern = re.sub(r"\[[^\]]*\]| ", lambda part: r"\s+" if part[0] == " " else part[0], pattern)
    return "(?i)" + pattern.replace(r"\s+?", r"\s*").replace("'", APOSTROPHE)


def holds(texts: pa.Array, pattern: str) -> Bools:
    """Say which texts a pattern matches somewhere."""
    found = pc.match_substring_regex(texts, pattern)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)


def without(texts: pa.Array, pattern: str) -> pa.Array:
    """Strike what matches out of texts; a mark stays, so that nothing grows together."""
    return pc.replace_substring_regex(texts, pattern, "¤")


def marked(found: np.ndarray, size: int) -> Bools:
    """Write positions as a bool array."""
    marks = np.zeros(size, dtype=bool)
    marks[found] = True
    return marks
