"""Later turns of users: what they say after the agent has acted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.label.block import USER, Block, Bools, Ints, spoken_in

MARKER = (
    r"#{2,}\s*[A-Z][A-Z _-]*#{2,}|\[(?:END|STOP|DONE|EXIT)[A-Z_ ]*\]|<(?:END|STOP|DONE|EXIT)>"
    r"|\bTERMINATE\b"
)
"""What simulated users stop with; nobody says it."""

LONGEST = 2000
"""Bytes beyond which a turn is pasted text, not words about the answer."""

PASTED = "¤"
"""What stands for such a text: it says something, and nothing that is looked for."""


class Turns(NamedTuple):
    """User turns that are not an episode's first and follow something the agent did."""

    message: Ints
    """Message of each turn, `(turns,)`, ascending."""
    owner: Ints
    """Episode of each turn, `(turns,)`, ascending."""
    said: pa.Array
    """What each says without markers, `(turns,)`; "" where nothing."""
    stopped: Bools
    """Turns with a marker, `(turns,)`."""
    last: Bools
    """Turns after which the user says nothing more in the episode, `(turns,)`."""


def later_turns(block: Block) -> Turns:
    """Find the later turns of users."""
    user = np.flatnonzero(block.role == USER)
    owner = block.owner[user]
    later = (block.step_of[user] >= 0) & ~changed(owner)
    message, owner = user[later], owner[later]
    said = pc.fill_null(block.content.take(pa.array(message)), "")
    stopped = pc.match_substring_regex(said, MARKER).to_numpy(zero_copy_only=False)
    said = pc.replace_substring_regex(said, MARKER, " ") if stopped.any() else said
    said = pc.if_else(pc.greater(pc.binary_length(said), LONGEST), PASTED, said)
    return Turns(message, owner, said, stopped, last_said(owner, spoken_in(said)))


def changed(values: Ints | npt.NDArray[np.uint64]) -> Bools:
    """Mark where sorted values begin a new run, `(values,)`."""
    begins = np.ones(len(values), dtype=bool)
    begins[1:] = values[1:] != values[:-1]
    return begins


def last_said(owner: Ints, speaks: Bools) -> Bools:
    """Mark the last speaking turn of each episode."""
    speaking = np.flatnonzero(speaks)
    ends = np.roll(changed(owner[speaking]), -1)
    last = np.zeros(len(owner), dtype=bool)
    last[speaking[ends]] = True
    return last
