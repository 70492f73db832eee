"""What is replaced, and who is left out, before a block of episodes is written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.config import FlywheelConfig
from schemas.signal import Signal
from tasks.ingest.columns import Columns, Counts, Flat
from tasks.ingest.privacy.placeholders import Names
from tasks.ingest.privacy.pseudonyms import Pseudonyms, user_key
from tasks.ingest.privacy.redact import Redactor, few, valid
from tasks.ingest.privacy.suspects import Flags
from tasks.upkeep.forgotten import forgotten_users

HEAD_TEXTS = ("agent", "termination", "tools", "extra")
MESSAGE_TEXTS = ("content", "reasoning", "parts", "extra")
CALL_TEXTS = ("arguments",)
HEAD_KEYS = ("logged_id", "scenario_id", "session_id", "policy_version", "model", "call_ids")
MESSAGE_KEYS = ("tool_call_id", "name", "requestor")
CALL_KEYS = ("id", "name")
SIGNAL_TEXTS = ("comment", "extra")
SIGNAL_KEYS = ("episode_id", "session_id", "origin", "kind")
"""Texts are numbered by episode (`<EMAIL_1>`); keys, which must stay apart and meet again across
episodes, are not (`<EMAIL_3f9a12bc>`)."""

QUOTED, LEAST = 200, 4
"""Characters of a value that a reason quotes at most, and that are worth to be replaced."""

REPEATED = frozenset({"tools", "name", "requestor", "model", "policy_version", "agent"})
"""Columns that hold few values often."""


class Place(NamedTuple):
    """A column of texts of a block."""

    flat: Flat
    columns: Columns
    name: str
    key: bool
    owner: Callable[[], Counts]
    """Gives the episode of each text."""

    @property
    def column(self) -> pa.Array:
        """The texts; those of lists one after another."""
        column = self.columns[self.name]
        return column.flatten() if pa.types.is_list(column.type) else column

    def again(self) -> Flags:
        """Say which texts other rows mostly have, too: system messages are long and few."""
        if self.name == "content":
            found: Flags = pc.equal(self.columns["role"], "system").to_numpy(zero_copy_only=False)
            return found
        return np.full(len(self.column), self.name in REPEATED)

    def replace(self, texts: pa.Array) -> None:
        """Put other texts in the place of the column's."""
        column = self.columns[self.name]
        if pa.types.is_list(column.type):
            fresh = iter(texts.to_pylist())
            lists = [keys and [next(fresh) for _ in keys] for keys in column.to_pylist()]
            texts = pa.array(lists, column.type)
        self.columns[self.name] = texts


def places_of(flat: Flat) -> list[Place]:
    """List the columns of a block that hold any text: messages, calls and episodes, in order."""
    parts = (
        (flat.messages, MESSAGE_TEXTS, MESSAGE_KEYS, lambda: flat.message_owner),
        (flat.calls, CALL_TEXTS, CALL_KEYS, lambda: flat.call_owner),
        (flat.heads, HEAD_TEXTS, HEAD_KEYS, lambda: np.arange(flat.episodes)),
    )
    return [
        Place(flat, columns, name, key, owner)
        for columns, texts, keys, owner in parts
        for key, names in ((False, texts), (True, keys))
        for name in names
        if columns[name].null_count < len(columns[name])
    ]


def isin(column: pa.Array, values: pa.Array) -> Flags:
    """Say which texts of a column are among some values; null is none."""
    if not len(values):
        return np.zeros(len(column), np.bool_)
    found: Flags = pc.is_in(column, values, skip_nulls=True).to_numpy(zero_copy_only=False)
    return found


class Privacy:
    """Replaces what must not be written, and leaves out whom one must forget.

    Args:
        config: The rules, and the home with the key of the pseudonyms.
    """

    def __init__(self, config: FlywheelConfig) -> None:
        self.rules = config.privacy
        self.key = user_key(config.home)
        self.forgotten = forgotten_users(config.home)
        self.redactor = Redactor(config.privacy, self.key) if config.privacy.redact else None
        self.pseudonyms = Pseudonyms(self.key)

    @property
    def counts(self) -> Counter[str]:
        """How often each kind was replaced so far."""
        return self.redactor.counts if self.redactor else Counter()

    def user(self, name: str | None) -> str | None:
        """Give a user's pseudonym; the name itself where pseudonyms are off."""
        if name is None or not self.rules.pseudonyms:
            return name if name is None or self.redactor is None else self.redactor.redact_key(name)
        return self.pseudonyms.of(name)

    def redact(self, flats: Sequence[Flat]) -> None:
        """Replace secrets, personal data and users in blocks of episodes."""
        for flat in flats:
            users = flat.heads["user_id"].to_pylist()
            flat.heads["user_id"] = pa.array([self.user(user) for user in users], pa.string())
        if self.redactor is None:
            return
        places = [place for flat in flats for place in places_of(flat)]
        small = few([place.column for place in places])
        suspects = [valid(p.column) if small else self._suspects(p) for p in places]
        for place, hit in zip(places, suspects, strict=True):
            if place.key and hit.any():
                place.replace(self._keys(place.column, hit))
        for flat in flats:
            self._redact_texts(
                [
                    (place, hit)
                    for place, hit in zip(places, suspects, strict=True)
                    if place.flat is flat and not place.key
                ]
            )

    def _suspects(self, place: Place) -> Flags:
        """Tell the suspects of a column; what repeats is looked at once."""
        assert self.redactor is not None
        column, again = place.column, place.again()
        if not again.any():
            return self.redactor.suspects(column)
        values = (column if again.all() else column.filter(pa.array(again))).unique()
        # A flagged value is found again in its column.
        hit = isin(column, values.filter(pa.array(self.redactor.suspects(values))))
        once = np.flatnonzero(~again & valid(column))
        if len(once):
            hit[once] = self.redactor.suspects(column.take(pa.array(once)))
        return hit

    def _redact_texts(self, places: Sequence[tuple[Place, Flags]]) -> None:
        """Replace what texts hold, numbered by episode through all columns."""
        assert self.redactor is not None
        if not any(hit.any() for _, hit in places):
            return
        named = {str(number): place for number, (place, _) in enumerate(places)}
        redacted = self.redactor.redact_columns(
            {label: place.column for label, place in named.items()},
            {label: place.owner() for label, place in named.items()},
            {str(number): hit for number, (_, hit) in enumerate(places)},
        )
        for label, place in named.items():
            place.columns[place.name] = redacted[label]

    def _keys(self, column: pa.Array, suspects: Flags) -> pa.Array:
        """Replace what a key column holds, alike in every episode."""
        assert self.redactor is not None
        texts = column.filter(pa.array(suspects)).to_pylist()
        known = {text: self.redactor.redact_key(text) for text in set(texts)}
        replaced = [known[text] for text in texts]
        return pc.replace_with_mask(column, pa.array(suspects), pa.array(replaced, pa.string()))

    def remembered(self, episodes: pa.Table) -> pa.Table:
        """Leave out the episodes of users who are to be forgotten."""
        if not self.forgotten:
            return episodes
        theirs = pc.is_in(episodes["user_id"], pa.array(sorted(self.forgotten), pa.string()))
        return episodes.filter(pc.invert(theirs))

    def signals(self, signals: Sequence[Signal], source: str) -> list[Signal]:
        """Replace what signals hold, and leave out those of users to be forgotten.

        Args:
            signals: As read.
            source: Name of the stretch they were read with.
        """
        kept = []
        suspects = self._suspicious(signals)
        for signal, suspect in zip(signals, suspects, strict=True):
            user = self.user(signal.user_id)
            if user is not None and user in self.forgotten:
                continue
            changes = {"user_id": user, "source": source}
            if self.redactor is not None and suspect:
                names = Names()
                for field in SIGNAL_TEXTS:
                    if (said := getattr(signal, field)) is not None:
                        changes[field] = self.redactor.redact_text(said, names)
                for field in SIGNAL_KEYS:
                    if (said := getattr(signal, field)) is not None:
                        changes[field] = self.redactor.redact_key(said)
            kept.append(msgspec.structs.replace(signal, **changes))
        return kept

    def _suspicious(self, signals: Sequence[Signal]) -> Flags:
        """Tell which signals may hold something to replace."""
        if self.redactor is None or not signals:
            return np.zeros(len(signals), np.bool_)
        said = [getattr(signal, f) for signal in signals for f in SIGNAL_TEXTS + SIGNAL_KEYS]
        flags = self.redactor.suspects_of(pa.array(said, pa.string()))
        found: Flags = np.logical_or.reduce(flags.reshape(len(signals), -1), axis=1)
        return found

    def text(self, text: str) -> str:
        """Replace what a text of our own quotes, such as the keys of records."""
        return self.redactor.redact_key(text) if self.redactor else text

    def reason(self, reason: str, raw: bytes) -> str:
        """Replace what the reason of a refusal quotes, also where it quotes a part of a value.

        Args:
            reason: Why.
            raw: The record that was refused.
        """
        if self.redactor is None or not any(mark in reason for mark in "'\"`"):
            return self.text(reason)
        reason = self.redactor.redact_key(reason)
        for value, name in self.redactor.found(raw).items():
            for length in range(min(len(value), QUOTED), LEAST - 1, -1):
                if (part := value[:length]) in reason:
                    reason = re.sub(rf"{re.escape(part)}(?=['\"`]|\Z)", name, reason)
        return reason

    def raw(self, raw: bytes) -> bytes:
        """Replace what the bytes of a refused record hold."""
        return self.redactor.redact_bytes(raw) if self.redactor else raw
