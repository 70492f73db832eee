"""A rollout: one episode that a policy played in an environment, and how it went."""

from __future__ import annotations

import msgspec

from schemas.episode import Message


class Rollout(msgspec.Struct, kw_only=True):
    """One played episode; token fields are empty for agents without tokens (the scripted one)."""

    scenario_id: str
    attempt: int
    """0-based repeat of the scenario under one set of sampling settings."""
    messages: list[Message]
    reward: float | None
    """The environment's verdict, fraction in [0, 1]; None when it abstained."""
    turns: int
    tool_calls: int
    tool_errors: int
    malformed: bool = False
    """A tool call was opened that does not parse; scored as failed whatever the text says."""
    truncated: bool = False
    """A token or turn limit ended it."""
    seconds: float = 0.0
    prompt_ids: list[int] = []
    completion_ids: list[int] = []
    """Agent and environment tokens after the prompt, in order."""
    agent_mask: list[int] = []
    """1 for each token of `completion_ids` the agent produced, else 0."""
    logprobs: list[float] = []
    """Behaviour log-probability of each token of `completion_ids`; 0 where the mask is 0."""
