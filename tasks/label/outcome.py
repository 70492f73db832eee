"""From evidence to a verdict: outcome first, then the sum of what the other evidence weighs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.label_config import LabelConfig
from tasks.label.reliability import Bools, Floats, Reliability, sigmoid
from tasks.label.signals import KINDS

VERIFIED_LOG_ODDS = 4.6
"""What a verified outcome weighs: 99%. Verifiers are wrong now and then, so it is capped."""
VERIFIED_SUCCESS = 0.999
"""Verified value from which it is a success; partial credit is a failure."""

FEEDBACK = np.array([kind.tier == "feedback" for kind in KINDS])


class Verdicts(NamedTuple):
    """Verdicts on episodes, one entry each; NaN where unlabelled."""

    success: Floats
    confidence: Floats
    state: npt.NDArray[np.str_]
    decided_by: npt.NDArray[np.str_]
    """Deciding tier; empty when unlabelled."""
    weights: Floats
    """Contribution of each kind, `(episodes, kinds)`; 0 where a verified outcome overrules it."""


def judge(
    evidence: Bools,
    outcome: Floats,
    broken: Bools,
    reliability: Reliability,
    config: LabelConfig,
) -> Verdicts:
    """Weigh the evidence of each episode.

    Args:
        evidence: Which kinds each episode shows, `(episodes, kinds)`.
        outcome: Verified value, fraction in [0, 1], NaN when nobody verified, `(episodes,)`.
        broken: Episodes that an infrastructure error ended: never labelled, `(episodes,)`.
        reliability: Learnt weights.
        config: Thresholds.
    """
    verified = ~np.isnan(outcome)
    passed = np.where(outcome >= VERIFIED_SUCCESS, VERIFIED_LOG_ODDS, -VERIFIED_LOG_ODDS)
    weights = np.where(evidence & ~verified[:, None], reliability.weights[None, :], 0.0)
    log_odds = np.where(verified, passed, reliability.prior + weights.sum(axis=1))
    success = sigmoid(log_odds)
    state = np.full(len(outcome), "unlabelled", dtype="<U10")
    known = (verified | evidence.any(axis=1)) & ~broken
    state[known & (success >= config.success_above)] = "success"
    state[known & (success <= config.failure_below)] = "failure"
    labelled = state != "unlabelled"
    decided = np.where(
        verified, "outcome", np.where((evidence & FEEDBACK).any(axis=1), "feedback", "implicit")
    )
    return Verdicts(
        success=np.where(labelled, success, np.nan),
        confidence=np.where(labelled, np.abs(2 * success - 1), 0.0),
        state=state,
        decided_by=np.where(labelled, decided, ""),
        weights=weights,
    )
