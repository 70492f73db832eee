"""A label: what the evidence says about one episode, each term of the reward kept apart."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

State = Literal["success", "failure", "unlabelled"]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of evidence for or against success."""

    kind: str
    """`logged_reward`, `thumbs`, `reask`, `export`, `complaint`, `final_error`, ..."""
    value: float
    """What it says: +1 for success, -1 for failure, or a fraction in [0, 1] from a verifier."""
    weight: float
    """Its log-odds contribution (natural log); infinite evidence is capped."""


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict on one episode under one labelling version."""

    episode_id: str
    label_version: str
    """Digest of the labelling configuration and code version; another asks for new labels."""
    labelled_at: datetime
    state: State
    success: float | None = None
    """Estimated probability of success, fraction in [0, 1]; None when unlabelled."""
    confidence: float = 0.0
    """`|2 * success - 1|`, fraction in [0, 1]; 0 when unlabelled."""
    decided_by: str | None = None
    """Which tier decided: `outcome`, `feedback`, `implicit`, `judge`; None when unlabelled."""
    cost: float = 0.0
    """Fraction in [0, 1] of the configured budget of tool calls and tokens."""
    risk: float = 0.0
    """Fraction in [0, 1]."""
    total: float | None = None
    """`a * success - b * cost - c * risk`; None when unlabelled."""
    infrastructure_error: bool = False
    evidence: list[Evidence] = []
    step_rewards: list[float] = []
    """Process reward of each assistant step, in order."""
    step_returns: list[float] = []
    """Discounted return-to-go of each assistant step, terminal reward included."""
    revision: int = 0
    """Labels of this episode before this one; the highest wins at read."""
    evidence_digest: str = ""
    """Digest of what was known when the label was made; another digest asks for a new label."""
