"""Repeats within an episode: the same calls again, and the user's question again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.label_config import SignalConfig
from tasks.label.block import Block, Bools, Ints
from tasks.label.detect.alike import alike
from tasks.label.detect.phrases import answering
from tasks.label.detect.questions import mixed, read_questions
from tasks.label.detect.turns import changed

NEAREST = 20
"""Earlier turns that a turn is compared with, at most: chats of thousands of turns exist."""


def call_codes(block: Block) -> Ints:
    """Number the calls of a block so that equal name and arguments have one number, `(calls,)`."""
    name, arguments = codes(block.call_name), codes(block.call_arguments)
    return name * (int(arguments.max(initial=0)) + 1) + arguments


def codes(values: pa.Array) -> Ints:
    """Number texts so that equal ones have one number; null is as good as ""."""
    encoded = pc.fill_null(values, "").dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(), dtype=np.int64)


def loops(block: Block, code: Ints, config: SignalConfig) -> Bools:
    """Say where one call is made `config.loop_calls` times or more, `(episodes,)`.

    Args:
        block: Episodes.
        code: Number of each call (`call_codes`).
        config: How many make a loop.
    """
    span = int(code.max(initial=0)) + 1
    calls, times = np.unique(block.call_owner * span + code, return_counts=True)
    return block.per_episode(calls[times >= config.loop_calls] // span) > 0


def repeats_calls(block: Block, code: Ints) -> Bools:
    """Say where two steps make the very same calls in the same order, `(episodes,)`."""
    first = np.flatnonzero(changed(block.call_step))
    place = np.arange(len(code)) - np.repeat(first, np.diff(np.append(first, len(code))))
    parts = mixed(code.astype(np.uint64) * np.uint64(1 << 16) + place.astype(np.uint64))
    made = np.add.reduceat(parts, first) if len(first) else parts
    owner = block.call_owner[first]
    order = np.argsort(made + mixed(owner.astype(np.uint64)))
    again = ~changed(made[order]) & ~changed(owner[order])
    return block.per_episode(owner[order][again]) > 0


def asks_again(block: Block, message: Ints, said: pa.Array, config: SignalConfig) -> Bools:
    """Say where a user's turn nearly repeats an earlier one that the agent had acted upon.

    Args:
        block: Episodes.
        message: The users' messages that say something, ascending, `(turns,)`.
        said: What they say, `(turns,)`.
        config: How alike two turns are the same.

    Returns:
        `(episodes,)`.
    """
    owner, step = block.owner[message], block.step_of[message]
    questions = read_questions(said)
    found: list[npt.NDArray[np.int64]] = []
    for back in range(1, NEAREST + 1):
        later = np.flatnonzero(owner[back:] == owner[:-back]) + back
        if not len(later):
            break
        later = later[step[later] > step[later - back]]
        same = alike(questions, later - back, later, config.reask_similarity)
        found.append(later[same])
    again = np.concatenate([np.zeros(0, np.int64), *found])
    again = again[~answering(said.take(pa.array(again)))]
    return block.per_episode(owner[again]) > 0
