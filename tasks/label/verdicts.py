"""From evidence to a verdict: a verified outcome decides, else the sum of what evidence weighs.

Feedback and implicit evidence are added up, since what each weighs was learnt on the same verified
episodes; so is what silence weighs, where an episode shows anything at all. A judge is heard only
where users have shown nothing that decides (`judge_speaks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.label_config import LabelConfig
from tasks.label.block import Bools, Floats
from tasks.label.signals import Kind
from tasks.label.weights import (
    FAILURE,
    SUCCESS,
    UNLABELLED,
    Weights,
    judge_speaks,
    sigmoid,
    silent,
    state_of,
)

Codes = npt.NDArray[np.int8]

VERIFIED_LOG_ODDS = 4.6
"""What a verified outcome weighs: 99%. Verifiers are wrong now and then, so it is capped."""
VERIFIED_SUCCESS = 0.999
"""Verified value from which it is a success; partial credit is a failure."""
STATES = ("unlabelled", "failure", "success")
"""States by code."""
TIERS = ("", "outcome", "feedback", "implicit", "judge")
"""Deciding tiers by code; none where unlabelled."""


class Verdicts(NamedTuple):
    """Verdicts on episodes, one entry each."""

    success: Floats
    """Estimated probability of success, fraction in [0, 1]; NaN where unlabelled, `(episodes,)`."""
    confidence: Floats
    """`|2 * success - 1|`; 0 where unlabelled, `(episodes,)`."""
    state: Codes
    """Index into `STATES`, `(episodes,)`."""
    decided_by: Codes
    """Index into `TIERS`, `(episodes,)`."""
    contribution: Floats
    """What each kind weighs in the verdict, log-odds, `(episodes, kinds)`; 0 where a verified
    outcome speaks in its place, and for a judge that is not heard."""
    silence: Floats
    """What the kinds that an episode does not show weigh together, log-odds, `(episodes,)`; 0 where
    a verified outcome speaks in their place, or nothing is shown. With the prior and what is shown
    it adds up to the log-odds of success."""


def verdicts(
    share: Floats,
    outcome: Floats,
    broken: Bools,
    weights: Weights,
    kinds: Sequence[Kind],
    config: LabelConfig,
) -> Verdicts:
    """Weigh the evidence of each episode.

    Args:
        share: How much each kind of evidence counts, fractions in [0, 1], `(episodes, kinds)`.
        outcome: Verified value, fraction in [0, 1]; NaN where nobody verified, `(episodes,)`.
        broken: Episodes that an infrastructure error ended: never labelled, `(episodes,)`.
        weights: What each kind weighs.
        kinds: The kinds, in the order of the columns.
        config: Thresholds.
    """
    feedback, implicit, judge = (
        np.array([kind.tier == tier for kind in kinds], dtype=np.float64) for tier in TIERS[2:]
    )
    verified = ~np.isnan(outcome)
    anything = (share != 0).any(axis=1)
    silence = np.where(anything, silent(share, kinds) @ weights.silence, 0.0)
    shows_feedback = share @ feedback > 0
    users = share @ (weights.log_odds * (1 - judge))
    heard = judge_speaks(shows_feedback, users, silence, weights.prior, config)
    heard &= share @ judge > 0
    shown = users + np.where(heard, share @ (weights.log_odds * judge), 0.0)

    passed = outcome >= VERIFIED_SUCCESS
    capped = np.where(passed, VERIFIED_LOG_ODDS, -VERIFIED_LOG_ODDS)
    success = sigmoid(np.where(verified, capped, weights.prior + shown + silence))
    state = np.where(
        verified,
        np.where(passed, SUCCESS, FAILURE),
        np.where(
            shows_feedback | (share @ implicit > 0) | heard,
            state_of(shown, silence, weights.prior, config),
            UNLABELLED,
        ),
    )
    state[broken] = UNLABELLED
    labelled = state != UNLABELLED
    decided = np.select([verified, shows_feedback, heard], [1, 2, 4], 3)
    contribution = share * weights.log_odds
    contribution[verified] = 0.0
    contribution[np.ix_(~heard, judge > 0)] = 0.0
    silence[verified] = 0.0
    return Verdicts(
        success=np.where(labelled, success, np.nan),
        confidence=np.where(labelled, np.abs(2 * success - 1), 0.0),
        state=state.astype(np.int8),
        decided_by=np.where(labelled, decided, 0).astype(np.int8),
        contribution=contribution,
        silence=silence,
    )
