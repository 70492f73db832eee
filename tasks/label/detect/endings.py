"""How episodes end: on an error, before an answer, or with no tool used at all."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.label.block import ASSISTANT, SYSTEM, TOOL, USER, Block, Bools, Ints, strings
from tasks.label.detect.phrases import taking_leave, thanked
from tasks.label.detect.turns import Turns

FINISHING = pa.array(
    [
        *("answer", "attempt_completion", "complete", "complete_task", "done", "end", "exit"),
        *("final_answer", "finish", "finish_task", "respond", "stop", "submit", "submit_answer"),
        *("task_complete", "terminate"),
    ]
)
"""Tools by which an agent ends a run of its own accord: such a call is its answer."""


def ends_in_error(block: Block) -> Bools:
    """Say where the last step that made calls has a result that is an error, `(episodes,)`."""
    acting = np.flatnonzero(block.step_calls > 0)
    last = last_of(block.step_owner[acting], acting, len(block))
    return (last >= 0) & (padded(block.step_errors)[last] > 0)


def used_no_tool(block: Block) -> Bools:
    """Say where tools were offered and the agent acted without a call, `(episodes,)`."""
    length = pc.fill_null(pc.binary_length(strings(block.offered)), 0)
    offered = length.to_numpy(zero_copy_only=False) > len("[]")
    called = block.per_episode(block.call_owner) > 0
    return np.asarray(offered & (block.steps > 0) & ~called)


def ends_unanswered(block: Block, turns: Turns) -> Bools:
    """Say where the agent acted and the episode ends without an answer, `(episodes,)`.

    That is on a call or its result, but for a call that finishes; or on a user's turn, but for
    thanks, a farewell, or a simulated user's stop.
    """
    spoken = np.flatnonzero(block.role != SYSTEM)
    last = last_of(block.owner[spoken], spoken, len(block))
    role = padded(block.role)[last]
    step = padded(block.step_of)[last]
    acting = (role == TOOL) | ((role == ASSISTANT) & (padded(block.step_calls)[step] > 0))
    acting &= ~padded(finishing(block))[step]
    asking = (role == USER) & ~padded(content_with(block, turns))[last]
    return np.asarray((block.steps > 0) & (last >= 0) & (acting | asking), dtype=bool)


def finishing(block: Block) -> Bools:
    """Say which steps end on a call that finishes the run, `(steps,)`."""
    names = pc.utf8_lower(block.call_name)
    ends = pc.fill_null(pc.is_in(names, FINISHING), False).to_numpy(zero_copy_only=False)
    last = last_of(block.call_step, np.arange(len(ends)), len(block.step_message))
    return np.asarray(padded(ends)[last], dtype=bool)


def content_with(block: Block, turns: Turns) -> Bools:
    """Say which messages are thanks, a farewell or a stop of the user's, `(messages,)`."""
    content = np.zeros(len(block.role), dtype=bool)
    # Only an episode's last turn is ever looked at.
    final = np.flatnonzero(turns.last | turns.stopped)
    said = turns.said.take(pa.array(final))
    leaves = thanked(said) | taking_leave(said) | turns.stopped[final]
    content[turns.message[final]] = leaves
    return content


def last_of(owner: Ints, values: Ints, size: int) -> Ints:
    """Give each owner's last value, -1 where it has none, `(size,)`; owners ascend."""
    last = np.full(size, -1, np.int64)
    last[owner] = values
    return last


def padded(values: np.ndarray) -> np.ndarray:
    """Append a zero, so that the position -1 reads as nothing."""
    return np.append(values, np.zeros(1, values.dtype))
