"""Rows a trainer or a player reads: trajectories, pairs and scenarios."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.episode import Message

Split = Literal["train", "validation", "frozen_params", "frozen_compositions"]
"""Where a scenario belongs, decided once by salted hash of its specification.

`train`: production traffic and on-policy play. `validation`: chooses among candidates.
`frozen_params`: unseen parameters of seen compositions. `frozen_compositions`: compositions that
are unseen for this tenant; other tenants may have been asked the like.
The two frozen ones are spent by the gate alone.
"""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A problem that an environment can play."""

    scenario_id: str
    """Digest of the specification and the split salt."""
    split: Split
    slice: str
    """The kind of question, for results by slice."""
    specification: str
    """Canonical JSON text of what is asked; two texts of one specification are one scenario."""
    composition: str
    """The part of the specification without its parameters (kind, tenant, ...)."""
    question: str
    environment: str
    row: str
    """JSON text of the columns handed to the environment's `reset(**row)`."""


class Trajectory(msgspec.Struct, frozen=True, kw_only=True):
    """An episode made ready for training."""

    build: str
    """Version of the build it belongs to (the manifest's digest)."""
    use: Literal["sft", "kto", "rl"]
    """`rl` stands in builds of older releases; `scenarios` has taken its place."""
    episode_id: str
    scenario_id: str | None = None
    messages: list[Message]
    tools: str | None = None
    desirable: bool
    weight: float
    """The label's confidence, fraction in [0, 1]."""
    total: float
    step_advantages: list[float] = []
    train_on: list[bool] = []
    """Which messages a trainer's loss covers: the agent's own, or those of its good steps alone."""
    group: int = 0
    """Group of the split (`split_keys.group`) that the episode belongs to."""
    rank: int = 0
    """Place in its use, best first."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt with a better and a worse continuation."""

    build: str
    pair_id: str
    kind: Literal["episode", "decision_point", "correction", "retry", "on_policy"]
    scenario_id: str | None = None
    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    tools: str | None = None
    chosen_episode: str
    rejected_episode: str
    margin: float
    """Difference of the two labels' `total`."""
    confidence: float
    """Smaller of the two labels' confidences; of a decision point, what its support comes to."""
    state: int | None = None
    """Decision point: the state that both sides act in (`step_values.state`)."""
    support: int | None = None
    """Decision point: visits of the rarer of its two actions."""
    group: int = 0
    """Group of the split that both episodes belong to."""
    rank: int = 0
    """Place in the build, surest first."""


class HeldOut(msgspec.Struct, frozen=True, kw_only=True):
    """An episode that no training set ever sees: the logged half of evaluation."""

    build: str
    episode_id: str
    scenario_id: str | None = None
    messages: list[Message]
    tools: str | None = None
    state: str
    """The label's state when the build was made."""
    confidence: float
    total: float | None = None
    group: int = 0


class LoggedScenario(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario of the logs that reinforcement can learn from, with what replaying it needs."""

    build: str
    key: str
    """`build:scenario_id`: what names the row in its files, where the build is only in the path."""
    scenario_id: str
    prompt: list[Message]
    tools: str | None = None
    episodes: int
    """Labelled episodes of it."""
    pass_rate: float
    """Share of them that succeeded, fraction in [0, 1]."""
    difficulty: Literal["mixed", "hard", "easy"]
    """`mixed`: some succeeded and some failed. `hard`: none succeeded. `easy`: all did."""
    logged: list[str]
    """Ids of its episodes, whose calls and results the replay environment answers with."""
    group: int = 0
    rank: int = 0


class SplitRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a group of episodes, and the side on which the group falls once and for ever."""

    key: int
    """Digest of kind and value, 63 bits."""
    kind: Literal["session", "scenario", "question", "near", "user", "group"]
    """`near`: a band of a question's MinHash. `group`: `key` is a group that has become part of
    `group`, or whose side has changed."""
    group: int
    """Key that named the group when it was first seen."""
    side: Literal["train", "held_out", "retired"]
    """`retired`: groups of both sides grew together; neither trained nor evaluated."""
    night: str
