"""Step by step: process rewards, and the discounted return-to-go over the agent's own steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.label.reliability import Floats

MALFORMED = -0.2
"""Reward of a call whose arguments are no JSON object: the tool cannot even refuse it."""
TOOL_ERROR = -0.1
"""Reward of a call that the tool answered with an error."""
REPEAT = -0.1
"""Reward of a step that makes the very calls of an earlier one."""

# A call that works earns nothing by itself: paid calls would teach the agent to make more of them.


def step_rewards(malformed: Floats, errors: Floats, repeated: Floats) -> Floats:
    """Sum the process rewards of each step; arguments are counts a step, `(steps,)`."""
    rewards = MALFORMED * malformed + TOOL_ERROR * errors + REPEAT * repeated
    return np.asarray(rewards + 0.0, dtype=np.float64)


def discounted_returns(
    rewards: Floats, lengths: Sequence[int], terminal: Floats, discount: float
) -> Floats:
    """Give each step's discounted return-to-go, the terminal reward on the last step included.

    Args:
        rewards: Process rewards of all episodes' steps, one episode after the other, `(steps,)`.
        lengths: Steps of each episode, `(episodes,)`.
        terminal: Reward at the end of each episode, `(episodes,)`.
        discount: Factor a step, in (0, 1].

    Source: Sutton and Barto, "Reinforcement Learning" (2018), equation 3.9.
    """
    returns = [0.0] * len(rewards)
    values = rewards.tolist()
    end = 0
    for length, reward in zip(lengths, terminal.tolist(), strict=True):
        end += length
        following = 0.0
        for index in range(end - 1, end - 1 - length, -1):
            final = reward if index == end - 1 else 0.0
            following = values[index] + final + discount * following
            returns[index] = following
    return np.array(returns, dtype=np.float64)
