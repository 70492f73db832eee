"""How much each kind of evidence has proven to weigh, learnt where verified outcomes overlap it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.label.signals import KINDS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Reliability(NamedTuple):
    """What was learnt."""

    weights: Floats
    """Log-odds of each kind, `(kinds,)`, natural log."""
    prior: float
    """Log-odds of success of an episode before its evidence."""
    shown: npt.NDArray[np.int64]
    """Verified episodes that showed each kind, `(2, kinds)`: failures, then successes."""


def sigmoid(log_odds: Floats) -> Floats:
    """Turn log-odds into probabilities."""
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), dtype=np.float64)


def learn(evidence: Bools, outcome: Bools, *, smoothing: float, prior: float) -> Reliability:
    """Learn log-odds from counts, smoothed towards the defaults.

    The share of successes that show a kind is estimated as `(shown + smoothing * assumed) /
    (successes + smoothing)`, likewise for failures; the weight is the log of their ratio. With no
    verified outcome that is the default weight exactly.

    Args:
        evidence: Which kinds each verified episode shows, `(episodes, kinds)`.
        outcome: Whether each succeeded, `(episodes,)`.
        smoothing: Pseudo-counts behind each assumed share.
        prior: Log-odds of success before any verified outcome.

    Source: Naive Bayes with Dirichlet smoothing, Manning, Raghavan, Schuetze, "Introduction to
        Information Retrieval" (2008), section 13.2.
    """
    shown = np.stack([evidence[~outcome].sum(axis=0), evidence[outcome].sum(axis=0)])
    totals = np.array([(~outcome).sum(), outcome.sum()], dtype=np.float64)
    weights, base = from_counts(shown.astype(np.float64), totals, smoothing=smoothing, prior=prior)
    return Reliability(weights, float(base), shown.astype(np.int64))


def from_counts(
    shown: Floats, totals: Floats, *, smoothing: float, prior: float
) -> tuple[Floats, Floats]:
    """Turn counts into weights and a prior; leading axes are kept.

    Args:
        shown: Episodes that show each kind, `(..., 2, kinds)`: failures, then successes.
        totals: Failures and successes, `(..., 2)`.
        smoothing: Pseudo-counts behind each assumed share.
        prior: Log-odds of success before any verified outcome.
    """
    assumed = np.array(
        [[kind.given_failure for kind in KINDS], [kind.given_success for kind in KINDS]]
    )
    shares = (shown + smoothing * assumed) / (totals[..., None] + smoothing)
    weights = np.log(shares[..., 1, :] / shares[..., 0, :])
    success = float(sigmoid(np.array([prior]))[0])
    base = np.log(
        (totals[..., 1] + smoothing * success) / (totals[..., 0] + smoothing * (1 - success))
    )
    return weights, base


def left_out(
    evidence: Bools, outcome: Bools, *, smoothing: float, prior: float
) -> tuple[Floats, Bools]:
    """Predict each verified episode from its other evidence, learnt from all other episodes.

    Returns:
        Success probability of the episodes that show any evidence, `(n,)`, and their outcomes.
    """
    kept = evidence.any(axis=1)
    own = np.stack([~outcome, outcome], axis=1)
    shown = np.stack([evidence[~outcome].sum(axis=0), evidence[outcome].sum(axis=0)])
    # Counts without the episode itself: (episodes, 2, kinds) and (episodes, 2).
    others = shown[None] - own[:, :, None] * evidence[:, None, :]
    totals = own.sum(axis=0)[None] - own
    weights, base = from_counts(
        others.astype(np.float64), totals.astype(np.float64), smoothing=smoothing, prior=prior
    )
    log_odds = base + (weights * evidence).sum(axis=1)
    return sigmoid(log_odds)[kept], outcome[kept]


def expected_calibration_error(predicted: Floats, outcome: Bools, bins: int = 10) -> float | None:
    """Give the mean gap between predicted and observed success over equal-width bins.

    Returns:
        Fraction in [0, 1], weighted by the bins' sizes; None without predictions.

    Source: Guo et al., "On Calibration of Modern Neural Networks" (2017), equation 3.
    """
    if len(predicted) == 0:
        return None
    index = np.minimum((predicted * bins).astype(np.int64), bins - 1)
    size = np.bincount(index, minlength=bins)
    gap = np.bincount(index, weights=predicted - outcome, minlength=bins)
    return float(np.abs(gap)[size > 0].sum() / len(predicted))
