"""A block of episodes as arrays: who said what, which step made which call, how it went.

Detectors, risk rules and process rewards read these instead of messages one by one. It holds what
the agent saw and said: what a simulated user did with tools of its own is left out.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Roles = npt.NDArray[np.int8]

SYSTEM, USER, ASSISTANT, TOOL = range(4)
ROLES = pa.array(["system", "user", "assistant", "tool"])


class Block:
    """Episodes one after the other; messages, steps and calls are numbered through the block.

    A *step* is an assistant message with the results that follow it.

    Args:
        messages: The column `messages` of some episodes.
        offered: Their column `tools`: tool schemas as JSON text, or null.
    """

    def __init__(self, messages: pa.Array, offered: pa.Array) -> None:
        self.offered = offered
        lengths = pc.fill_null(pc.list_value_length(messages), 0).to_numpy().astype(np.int64)
        flat = messages.flatten()
        role = pc.fill_null(pc.index_in(flat.field("role"), ROLES), SYSTEM).to_numpy()
        calls = flat.field("tool_calls")
        made = pc.fill_null(pc.list_value_length(calls), 0).to_numpy().astype(np.int64)
        spoken = strings(flat.field("content"))
        aside = flat.field("requestor").is_valid().to_numpy(zero_copy_only=False) | (
            (role == USER) & (made > 0) & ~spoken_in(spoken)
        )
        owner = np.repeat(np.arange(len(lengths)), lengths)
        kept = np.flatnonzero(~aside)
        whole = len(kept) == len(aside)
        self.owner: Ints = owner[kept]
        """Episode of each message, `(messages,)`, ascending."""
        self.role: Roles = role[kept].astype(np.int8)
        """`SYSTEM`, `USER`, `ASSISTANT` or `TOOL`, `(messages,)`."""
        self.content: pa.Array = spoken if whole else spoken.take(pa.array(kept))
        """What each message says, `(messages,)`, strings; null where nothing."""
        failed = pc.fill_null(flat.field("error"), False).to_numpy(zero_copy_only=False)
        self.error: Bools = failed[kept]
        """Results that are errors, `(messages,)`."""
        self.length: Ints = np.bincount(self.owner, minlength=len(lengths)).astype(np.int64)
        """Messages of each episode, `(episodes,)`."""
        self._take_calls(calls, made, kept)

    def _take_calls(self, calls: pa.Array, made: Ints, kept: Ints) -> None:
        """Flatten the calls of the agent's own messages."""
        position = np.full(len(made), -1, np.int64)
        position[kept] = np.where(self.role == ASSISTANT, np.arange(len(kept)), -1)
        message = position[np.repeat(np.arange(len(made)), made)]
        own = np.flatnonzero(message >= 0)
        flat = calls.flatten()
        if len(own) < len(message):
            flat = flat.take(pa.array(own))
        self.call_message: Ints = message[own]
        """Message that makes each call, `(calls,)`, ascending."""
        self.call_name: pa.Array = strings(flat.field("name"))
        """Tool of each call, `(calls,)`."""
        self.call_arguments: pa.Array = strings(flat.field("arguments"))
        """Arguments of each call as JSON text, `(calls,)`."""
        malformed = pc.fill_null(flat.field("malformed"), False)
        self.call_malformed: Bools = malformed.to_numpy(zero_copy_only=False)
        """Calls whose arguments are no JSON object, `(calls,)`."""

    def __len__(self) -> int:
        """Give the number of episodes."""
        return len(self.length)

    @cached_property
    def step_message(self) -> Ints:
        """Give the message of each step, `(steps,)`, ascending."""
        return np.flatnonzero(self.role == ASSISTANT)

    @cached_property
    def step_owner(self) -> Ints:
        """Give the episode of each step, `(steps,)`."""
        return np.asarray(self.owner[self.step_message])

    @cached_property
    def step_of(self) -> Ints:
        """Give the step that each message is or follows, `(messages,)`; -1 before the first."""
        count = np.cumsum(self.role == ASSISTANT)
        first = np.concatenate([[0], np.cumsum(self.length)])[self.owner]
        before = np.concatenate([[0], count])[first]
        return np.where(count > before, count - 1, -1)

    @cached_property
    def call_step(self) -> Ints:
        """Give the step that makes each call, `(calls,)`."""
        return np.asarray(self.step_of[self.call_message])

    @cached_property
    def call_owner(self) -> Ints:
        """Give the episode of each call, `(calls,)`."""
        return np.asarray(self.owner[self.call_message])

    @cached_property
    def steps(self) -> Ints:
        """Count the steps of each episode, `(episodes,)`."""
        return self.per_episode(self.step_owner)

    @cached_property
    def step_calls(self) -> Ints:
        """Count the calls of each step, `(steps,)`."""
        return self.per_step(self.call_step)

    @cached_property
    def step_malformed(self) -> Ints:
        """Count the malformed calls of each step, `(steps,)`."""
        return self.per_step(self.call_step[self.call_malformed])

    @cached_property
    def step_errors(self) -> Ints:
        """Count the results of each step that are errors, `(steps,)`."""
        failed = self.error & (self.role == TOOL) & (self.step_of >= 0)
        return self.per_step(self.step_of[failed])

    def per_step(self, step: Ints) -> Ints:
        """Count how often each step is named."""
        return np.bincount(step, minlength=len(self.step_message)).astype(np.int64)

    def per_episode(self, owner: Ints) -> Ints:
        """Count how often each episode is named."""
        return np.bincount(owner, minlength=len(self)).astype(np.int64)

    def said_by(self, role: int) -> tuple[Ints, pa.Array]:
        """Give the messages of one role that say something: their numbers, and what they say."""
        found = np.flatnonzero((self.role == role) & spoken_in(self.content))
        return found, self.content.take(pa.array(found))


def strings(values: pa.Array) -> pa.Array:
    """Make plain strings of strings in whatever encoding."""
    return values.cast(pa.string()) if values.type != pa.string() else values


def spoken_in(content: pa.Array) -> Bools:
    """Say which texts are more than white space."""
    found = pc.fill_null(pc.match_substring_regex(content, r"\S"), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)
