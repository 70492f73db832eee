"""A label: what the evidence says about one episode, each term of the reward kept apart."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

State = Literal["success", "failure", "unlabelled"]
Tier = Literal["outcome", "feedback", "implicit", "judge", "reward_model"]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of evidence for or against success."""

    kind: str
    """`outcome`, or the name of a kind of evidence (docs/labels.md)."""
    source: str = ""
    """Where it was seen: `log`, `signal <id>`, `messages`, `session`, `judge <model>`, ..."""
    value: float
    """What it says: +1 for success, -1 for failure, or a fraction in [0, 1] from a verifier."""
    share: float = 1.0
    """Part of its weight that counts: less than 1 where one user gave too much of its kind."""
    weight: float
    """Its log-odds contribution (natural log), `share` included; 0 where a verified outcome or a
    piece of the same kind speaks in its place."""
    at: datetime | None = None
    """When it was given, UTC; None for what the messages show."""


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """One input of the cost or of the risk."""

    name: str
    """`tool_calls`, `tokens`, `usd`, `latency_s`; or a risk rule."""
    amount: float
    """As measured, in the unit of its name; of a risk rule, how far it was broken, in [0, 1]."""
    part: float
    """What it contributes: cost held against the scenario's usual, or weighted risk, in [0, 1]."""


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict on one episode under one labelling version."""

    episode_id: str
    day: str = ""
    """The episode's UTC day, `YYYY-MM-DD`."""
    night: str = ""
    """The night under which the episode was ingested, `YYYY-MM-DD`."""
    label_version: str
    """Digest of the labelling configuration and code version; older labels keep theirs."""
    labelled_at: datetime
    state: State
    success: float | None = None
    """Estimated probability of success, fraction in [0, 1]; None when unlabelled."""
    confidence: float = 0.0
    """`|2 * success - 1|`, fraction in [0, 1]; 0 when unlabelled."""
    decided_by: str | None = None
    """Which tier decided: `outcome`, `feedback`, `implicit`, `judge`, `reward_model`; None when
    unlabelled."""
    prior: float = 0.0
    """Log-odds of success before any evidence (natural log), as learnt when it was made."""
    silence: float = 0.0
    """What the evidence that it does not show weighs, log-odds. Where evidence decides, `prior`,
    `silence` and the weights of `evidence` add up to the log-odds of `success`."""
    predicted: float | None = None
    """What the other evidence says of an episode whose outcome is verified, learnt without it;
    None where there is no outcome or no other evidence."""
    cost: float = 0.0
    """Fraction in [0, 1]; 0.5 is what the scenario usually costs."""
    risk: float = 0.0
    """Fraction in [0, 1]."""
    total: float | None = None
    """`a * success - b * cost - c * risk`; None when unlabelled."""
    infrastructure_error: bool = False
    evidence: list[Evidence] = []
    costs: list[Term] = []
    """Inputs of `cost` that the log has."""
    risks: list[Term] = []
    """Risk rules that the episode breaks."""
    step_rewards: list[float] = []
    """Process reward of each assistant step, in order."""
    step_returns: list[float] = []
    """Discounted return-to-go of each assistant step, terminal reward included."""
    step_states: list[int] = []
    """State in which each assistant step acts (`step_values.state`); 0 for a step that does not
    act, and for all where the episode has no problem to compare by."""
    step_actions: list[int] = []
    """Digest of what each step does there (`step_values.action`); 0 likewise."""
    revision: int = 0
    """Labels of this episode before this one; the highest wins at read."""
