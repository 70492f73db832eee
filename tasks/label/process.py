"""Step by step: process rewards, and the discounted return-to-go over the agent's own steps."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.process import MALFORMED, NO_NEWS, PROGRESS, REPEAT, TOOL_ERROR
from tasks.ingest.near.minhash import Words, mix
from tasks.label.block import Block, Bools, Floats, Ints
from tasks.label.credit import NOTHING, PLACE, Digests, digests, longest_first


def process_rewards(
    block: Block, logged: pa.Array | None = None, known: Digests | None = None
) -> Floats:
    """Reward each step for what it did, whatever became of the episode.

    Args:
        block: Episodes.
        logged: Their column `step_rewards`: rewards that the log states, one a step, or null.
        known: The block's digests, where they are there already.

    Returns:
        Shape (steps,).
    """
    calls, results, result_step = known or digests(block)
    acting = np.flatnonzero(block.step_calls)
    repeated = np.zeros(len(block.step_message), np.bool_)
    first = firsts(calls[acting], block.step_owner[acting])
    repeated[acting] = first != np.arange(len(acting))
    faults = MALFORMED * block.step_malformed + TOOL_ERROR * block.step_errors + REPEAT * repeated
    rewards = np.asarray(faults, dtype=np.float64)
    stale = told_before(block, results, result_step)
    rewards[stale & (rewards == 0)] = NO_NEWS
    if logged is not None:
        rewards += PROGRESS * progress(block, logged)
    return np.asarray(rewards + 0.0, dtype=np.float64)  # no negative zeros


def told_before(block: Block, results: Words, step: Ints) -> Bools:
    """Say which steps have results, and each equal to one of an earlier step of the episode.

    An empty result says nothing twice: many tools are silent when all went well.
    """
    first = firsts(results, block.step_owner[step])
    old = (step[first] < step) & (results != NOTHING)
    count = block.per_step(step)
    return np.asarray((count > 0) & (block.per_step(step[old]) == count), dtype=bool)


def firsts(values: Words, owner: Ints) -> Ints:
    """Find where each value first stands among those of its owner, `(values,)`."""
    # One key for both; the owner is scattered so that it cannot cancel a value out.
    keys = mix(values ^ mix((owner.astype(np.uint64) + np.uint64(1)) * PLACE))
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return np.asarray(first[which], dtype=np.int64)


def progress(block: Block, logged: pa.Array) -> Floats:
    """Give by how much each step lifts the logged reward over the best so far, in [0, 1].

    A step that falls back loses nothing, and getting back to what was reached earns nothing, so
    that going to and fro pays no more than going straight. Before the first step the best is 0: to
    rise from below it is no progress yet. Logged rewards above 1 count as 1. An episode whose log
    does not have one reward a step is left out, as there is no telling which step each is for.

    Source: Ng, Harada and Russell, ICML 1999: a difference of potentials, here the best so far.
    """
    counts = pc.fill_null(pc.list_value_length(logged), 0).to_numpy().astype(np.int64)
    usable = (counts == block.steps) & (counts > 0)
    flat = pc.fill_null(logged.flatten().cast(pa.float64()), 0.0).to_numpy()
    values = np.clip(np.nan_to_num(flat, nan=0.0), 0.0, 1.0)[np.repeat(usable, counts)]
    lengths = counts[usable]
    owner = np.repeat(np.arange(len(lengths)), lengths)
    # A running maximum in each episode: ranks are integers, so the episode can go before them.
    levels, rank = np.unique(np.append(values, 0.0), return_inverse=True)
    best = levels[np.maximum.accumulate(owner * len(levels) + rank[:-1]) % len(levels)]
    before = np.append(0.0, best[:-1])
    before[np.cumsum(lengths) - lengths] = 0.0
    found = np.zeros(len(block.step_message))
    found[usable[block.step_owner]] = best - before
    return found


def returns_to_go(rewards: Floats, lengths: Ints, terminal: Floats, discount: float) -> Floats:
    """Give each step's discounted return-to-go, the terminal reward on the last step included.

    Args:
        rewards: Process rewards of all episodes' steps, one episode after the other, `(steps,)`.
        lengths: Steps of each episode, `(episodes,)`.
        terminal: Reward at the end of each episode, `(episodes,)`.
        discount: Factor a step, in (0, 1].

    Source: Sutton and Barto, "Reinforcement Learning" (2018), equation 3.9.
    """
    returns = rewards.astype(np.float64)
    ends = np.cumsum(lengths)
    returns[ends[lengths > 0] - 1] += terminal[lengths > 0]
    for back, episodes in enumerate(longest_first(lengths)):
        if back:
            here = ends[episodes] - 1 - back
            returns[here] += discount * returns[here + 1]
    return returns
