"""A labelling: one run of the label stage, what it had learnt, and where all labels then stood."""

from __future__ import annotations

from datetime import datetime

import msgspec


class KindCount(msgspec.Struct, frozen=True, kw_only=True):
    """What verified outcomes have shown about one kind of evidence so far."""

    kind: str
    failures: float
    """Verified failures that showed it, each by the share that counts."""
    successes: float
    """Verified successes that showed it."""
    weight: float
    """Log-odds that this run gave it (natural log)."""
    default: float
    """Log-odds before anything was learnt."""


class CalibrationBin(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions of one tenth of [0, 1], held against verified outcomes."""

    n: int
    predicted: float
    """Sum of predicted success probabilities."""
    observed: float
    """Verified successes among them."""


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """A number with a name, of the episodes that came in one night."""

    name: str
    night: str = ""
    value: float


class Tripped(msgspec.Struct, frozen=True, kw_only=True):
    """A tripwire that was touched."""

    kind: str
    count: int
    detail: str


class Labelling(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the label stage. The newest row is where the next run goes on from."""

    label_version: str
    night: str
    labelled_at: datetime
    number: int
    """Runs before this one, in this home."""
    labelled: int
    """Labels it wrote."""
    episodes_version: int
    """Version of `episodes` it had read to the end; -1 for none."""
    signals_version: int
    """Version of `signals` it had read to the end."""
    labels_version: int
    """Version of `labels` after it: another one found by the next run means that somebody else
    changed labels, and all is counted anew."""
    step_values_version: int
    """Version of `step_values` after it, likewise."""
    successes: float
    """Verified successes so far, behind `kinds`."""
    failures: float
    """Verified failures so far."""
    prior: float
    """Log-odds of success before evidence, as this run had learnt it."""
    kinds: list[KindCount]
    calibration: list[CalibrationBin]
    """Ten bins of equal width."""
    totals: list[Count]
    """Counts and sums over all labels as they stand, of every night."""
    decision_points: int
    """States in which actions differ in what they led to, as `step_values` stands."""
    decision_points_with_support: int
    means: list[Count]
    """Means over what this run labelled, which tripwires hold later nights against."""
    tripwires: list[Tripped]
    waiting: list[Count] = []
    """Files of `signals` that hold signals whose episode has not come, by their name, the night in
    which they came, and how many of these they held then."""
