"""Rule `failing_calls`: calls that could not be read, or that the tool answered with an error."""

from __future__ import annotations

import numpy as np

from tasks.label.block import TOOL, Block, Bools, Floats


def failing_calls(block: Block) -> Floats:
    """Give the share of each episode's calls that failed, `(episodes,)`; 0 without calls."""
    calls = block.per_episode(block.call_owner)
    wrong = block.per_episode(block.call_owner[failed(block)])
    return np.asarray(wrong / np.maximum(calls, 1), dtype=np.float64)


def failed(block: Block) -> Bools:
    """Say which calls were malformed or answered with an error, `(calls,)`.

    The n-th result of a step answers its n-th call, as in ingest; errors beyond the last call
    are the last call's, so that none is lost and no call counts twice.
    """
    answered = np.flatnonzero((block.role == TOOL) & (block.step_of >= 0))
    step = block.step_of[answered]
    rank = np.arange(len(step)) - np.searchsorted(step, step)
    wrong = block.error[answered] & (block.step_calls[step] > 0)
    step, rank = step[wrong], rank[wrong]
    first = np.searchsorted(block.call_step, step)
    found = block.call_malformed.copy()
    found[first + np.minimum(rank, block.step_calls[step] - 1)] = True
    return found
