"""Rule `personal_data`: the agent tells personal data or a secret that the user had not given.

What a tool's result held and the agent repeats is the leak that is looked for. Ingest has written
placeholders (`<EMAIL_1>`, equal for equal values of an episode) in the place of such values; where
it was told not to, the values themselves are found by its rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.privacy import KINDS, PrivacyConfig
from tasks.ingest.privacy.placeholders import PLACEHOLDER, canonical
from tasks.ingest.privacy.redact import Redactor
from tasks.label.block import ASSISTANT, SYSTEM, USER, Block, Bools, Floats, Ints
from tasks.label.risk.membership import among

ALONE = f"({PLACEHOLDER.pattern})|[^<]+|<"
"""Every placeholder, or what stands between them."""


def personal_data(
    block: Block, ignored: tuple[str, ...] = (), allow: tuple[str, ...] = ()
) -> Floats:
    """Give 1 where the agent's own words hold such a value, else 0, `(episodes,)`.

    Not counted are values that stand in a message of the user or the system, in that episode.

    Args:
        block: The episodes.
        ignored: Kinds that do not count, such as `IP` for an agent that looks after machines.
        allow: Values that may always be told, such as your own support address; for logs
            that were not redacted.
    """
    own = np.flatnonzero(block.role == ASSISTANT)
    said = block.content.take(pa.array(own))
    told = block.owner[own]
    leaks = placeholders_leak(block, said, told, ignored)
    redactor = finder(ignored, allow)
    raw = np.flatnonzero(redactor.suspects_of(said) & ~leaks[told])
    for row in raw:  # of redacted logs none are left
        episode = told[row]
        if not leaks[episode]:
            values = values_of(said[row].as_py(), redactor)
            leaks[episode] = bool(values) and not all_given(values, given(block, episode))
    return leaks.astype(np.float64)


def placeholders_leak(block: Block, said: pa.Array, told: Ints, ignored: Sequence[str]) -> Bools:
    """Say which episodes hold a placeholder that only the agent and its tools say.

    Args:
        block: The episodes.
        said: The agent's texts.
        told: Episode of each.
        ignored: Kinds that do not count.
    """
    leaks = np.zeros(len(block), np.bool_)
    row, names = placeholders(said)
    if not len(names):
        return leaks
    owner = told[row]
    held = np.zeros(len(block), np.bool_)
    held[owner] = True
    asking = np.flatnonzero(held[block.owner] & np.isin(block.role, [USER, SYSTEM]))
    other, given_names = placeholders(block.content.take(pa.array(asking)))
    coded = pa.concat_arrays([names, given_names]).dictionary_encode()
    kinds = [re.sub(r"_[0-9a-f]+>$", "", name)[1:] for name in coded.dictionary.to_pylist()]
    counts = np.array([kind not in ignored for kind in kinds])
    code = coded.indices.to_numpy().astype(np.int64)
    mine, theirs = code[: len(names)], code[len(names) :]
    width = len(kinds)
    known = among(owner * width + mine, block.owner[asking][other] * width + theirs)
    leaks[owner[~known & counts[mine]]] = True
    return leaks


def placeholders(texts: pa.Array) -> tuple[Ints, pa.Array]:
    """Give the placeholders of texts, in order: the text of each, and its name."""
    found = pc.fill_null(pc.match_substring_regex(texts, PLACEHOLDER.pattern), False)
    rows = np.flatnonzero(found.to_numpy(zero_copy_only=False))
    alone = pc.replace_substring_regex(texts.take(pa.array(rows)), ALONE, r"\1")
    lists = pc.split_pattern(alone, ">")  # an empty text ends each list
    names = lists.flatten()
    row = np.repeat(rows, pc.list_value_length(lists).to_numpy())
    full = np.flatnonzero(pc.not_equal(names, "").to_numpy(zero_copy_only=False))
    return row[full], pc.binary_join_element_wise(names.take(pa.array(full)), ">", "")


class Found:
    """Takes down values in the place of naming them."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.values: set[str] = set()

    def placeholder(self, kind: str, value: str) -> str:
        """Take down a value, and write something that no rule finds in its place."""
        self.values.add(canonical(kind, value))
        return f"<{kind}_0>"


@lru_cache(maxsize=16)
def finder(ignored: tuple[str, ...], allow: tuple[str, ...]) -> Redactor:
    """Make what finds values in texts; no key is used, since nothing of it is written."""
    rules = [kind for kind in KINDS if kind not in ignored]
    return Redactor(PrivacyConfig(rules=rules, allow=list(allow)), b"")


def values_of(text: str, redactor: Redactor) -> set[str]:
    """Find the values of a text as ingest would, each in one spelling."""
    found = Found()
    redactor.redact_text(text, found)
    return found.values


def given(block: Block, episode: int) -> str:
    """Give what the user and the system say in an episode, in one spelling."""
    first, last = np.searchsorted(block.owner, [episode, episode + 1])
    rows = first + np.flatnonzero(np.isin(block.role[first:last], [USER, SYSTEM]))
    said = block.content.take(pa.array(rows)).to_pylist()
    return "\n".join(spelling(text) for text in said if text)


def all_given(values: set[str], said: str) -> bool:
    """Tell whether all values stand in what was said, whatever their case and separators."""
    return all(spelling(value) in said for value in values)


def spelling(text: str) -> str:
    """Write a text without case, white space and signs."""
    return re.sub(r"[\W_]", "", text).casefold()
