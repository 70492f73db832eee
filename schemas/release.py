"""Attempts, evaluations, gates and the decision: what stands between a challenger and the users."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario played once in an evaluation; the grain of the `evaluations` table."""

    evaluation: str
    """Digest of model, scenario set and sampling settings."""
    night: str
    model: str
    """`scripted` for the logged production agent, else the model's digest."""
    candidate: str
    scenario_id: str
    split: str
    slice: str
    specification: str
    mode: Literal["greedy", "sampled"]
    attempt: int
    success: float
    tool_calls: int
    tool_errors: int
    malformed: bool
    truncated: bool
    tokens: int
    seconds: float


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate with its two-sided 95% interval, clustered by question specification."""

    estimate: float
    low: float
    high: float
    n: int


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One promotion check: what was measured against what was asked."""

    name: str
    passed: bool
    measured: float
    threshold: float
    reason: str
    """One line in plain words."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What the gates came to; the grain of the `decisions` table."""

    night: str
    decided_at: datetime
    decision: Literal["promoted", "kept"]
    candidate: str
    reason: str
    gates: list[Gate]
    version: str | None = None
    """Registered version of the challenger; None when nothing was registered."""
    previous: str | None = None
    """Version of the champion before the decision; None on the first promotion."""
