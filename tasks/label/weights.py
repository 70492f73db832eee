"""What each kind of evidence weighs: log-odds learnt from counts over verified episodes.

A weight is `ln(P(shown | success) / P(shown | failure))`. Both shares are estimated as

    (episodes that show it + smoothing * assumed share) / (episodes + smoothing)

so that without a verified outcome the weight is the kind's default, and each verified episode pulls
it away from there. Weights of several pieces add up, together with the prior, to the log-odds of
success. What an episode does not show says nothing.

Source: Naive Bayes with smoothing, Manning, Raghavan, Schuetze, "Introduction to Information
    Retrieval" (2008), section 13.2; the logarithm as weight of evidence, Good, "Probability and the
    Weighing of Evidence" (1950), chapter 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from schemas.label_config import LabelConfig
from tasks.label.block import Bools, Floats, Ints
from tasks.label.signals import Kind

UNLABELLED, FAILURE, SUCCESS = range(3)
"""Codes of a label's state."""
SLICE = 65_536
"""Episodes predicted at once, which bounds the memory."""
ROUNDING = 1e-6
"""Sums of shares that were added and taken back are this exact."""


class Counts(NamedTuple):
    """What verified episodes have shown, each piece by the share of it that counts.

    Sums only: those of several nights add up to those of all nights at once.
    """

    failures: Floats
    """Verified failures that show each kind, `(kinds,)`."""
    successes: Floats
    """Verified successes that show each kind, `(kinds,)`."""
    totals: Floats
    """Verified failures and successes, `(2,)`."""

    @classmethod
    def none(cls, kinds: int) -> Counts:
        """Make the counts before anything is seen."""
        return cls(np.zeros(kinds), np.zeros(kinds), np.zeros(2))

    def __add__(self, other: Counts) -> Counts:  # type: ignore[override]
        """Add what other episodes have shown."""
        return Counts(*(mine + more for mine, more in zip(self, other, strict=True)))

    def __sub__(self, other: Counts) -> Counts:
        """Take back what some of these episodes have shown."""
        return Counts(*(mine - less for mine, less in zip(self, other, strict=True)))


class Weights(NamedTuple):
    """What was learnt."""

    log_odds: Floats
    """Log-odds of each kind, natural log, `(kinds,)`."""
    prior: float
    """Log-odds of success of an episode before its evidence."""
    learnt: Bools
    """Kinds whose log-odds come from counts; the others keep their default, `(kinds,)`."""


def count(share: Floats, succeeded: Bools, sign: int = 1) -> Counts:
    """Count what verified episodes show.

    Args:
        share: How much each kind of evidence counts, fractions in [0, 1], `(episodes, kinds)`.
        succeeded: Whether each succeeded, `(episodes,)`.
        sign: 1 to add these episodes, -1 to take them back.
    """
    successes = succeeded.astype(np.float64) @ share
    wins = float(np.count_nonzero(succeeded))
    return Counts(
        failures=sign * (share.sum(axis=0) - successes),
        successes=sign * successes,
        totals=sign * np.array([len(succeeded) - wins, wins]),
    )


def weigh(counts: Counts, kinds: Sequence[Kind], config: LabelConfig) -> Weights:
    """Learn what each kind weighs.

    A kind keeps its default exactly while fewer than `config.min_support` verified episodes have
    shown it, and while there are fewer verified successes, or failures, than that at all. The prior
    keeps its own while the latter holds.
    """
    log_odds, learnt = _log_odds(
        counts.failures, counts.successes, counts.totals[0], counts.totals[1], _Given(kinds), config
    )
    return Weights(log_odds, float(_prior(counts.totals[0], counts.totals[1], config)), learnt)


def left_out(
    share: Floats, succeeded: Bools, counts: Counts, kinds: Sequence[Kind], config: LabelConfig
) -> Floats:
    """Predict verified episodes from their other evidence, each learnt from all but itself.

    Args:
        share: How much each kind of evidence counts, `(episodes, kinds)`.
        succeeded: Whether each succeeded, `(episodes,)`.
        counts: Counts that hold these episodes, and any others.
        kinds: The kinds, in the order of the columns.
        config: Smoothing and thresholds.

    Returns:
        Success probability, `(episodes,)`; NaN where an episode shows no evidence.

    Source: leave-one-out cross-validation; for counts it is exact to subtract the one.
    """
    given = _Given(kinds)
    parts = [
        _left_out(share[at : at + SLICE], succeeded[at : at + SLICE], counts, given, config)
        for at in range(0, len(share), SLICE)
    ]
    return np.concatenate([np.zeros(0), *parts])


def state_of(evidence: Floats, prior: Floats | float, config: LabelConfig) -> Ints:
    """Say what evidence comes to: `UNLABELLED`, `FAILURE` or `SUCCESS`.

    The evidence has to reach the threshold with the prior and without it. The prior is how often
    verified episodes succeed; it says nothing about this episode, so that it may hold a verdict
    back, but makes none out of evidence that is too weak alone or speaks against it.

    Args:
        evidence: Sum of what an episode's evidence weighs, log-odds, `(episodes,)`.
        prior: Log-odds before evidence.
        config: `success_above` and `failure_below`.
    """
    alone, together = sigmoid(evidence), sigmoid(evidence + prior)
    least, most = np.minimum(alone, together), np.maximum(alone, together)
    state = np.where(most <= config.failure_below, FAILURE, UNLABELLED)
    return np.where(least >= config.success_above, SUCCESS, state)


def judge_speaks(
    feedback: Bools, users: Floats, prior: Floats | float, config: LabelConfig
) -> Bools:
    """Say where a judge's evidence counts: where users have shown nothing that decides.

    A judge reads an episode without being the one who needed the answer. It speaks where there is
    no feedback and the implicit evidence leaves the episode unlabelled, and never overrules users.

    Args:
        feedback: Episodes with feedback, `(episodes,)`.
        users: What feedback and implicit evidence weigh together, log-odds, `(episodes,)`.
        prior: Log-odds before evidence.
        config: Thresholds.
    """
    return np.asarray(~feedback & (state_of(users, prior, config) == UNLABELLED))


def sigmoid(log_odds: Floats) -> Floats:
    """Turn log-odds into probabilities; of any size, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * log_odds)), dtype=np.float64)


class _Given:
    """What is assumed of each kind, as arrays `(kinds,)`."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.success: Floats = np.array([kind.given_success for kind in kinds], dtype=np.float64)
        self.failure: Floats = np.array([kind.given_failure for kind in kinds], dtype=np.float64)
        self.log_odds: Floats = np.array([kind.log_odds for kind in kinds], dtype=np.float64)
        self.feedback: Bools = np.array([kind.tier == "feedback" for kind in kinds], dtype=bool)
        self.judge: Bools = np.array([kind.tier == "judge" for kind in kinds], dtype=bool)

    def take(self, columns: Ints) -> _Given:
        """Give the same for some columns, in their order."""
        taken = _Given(())
        for name, values in vars(self).items():
            setattr(taken, name, values[columns])
        return taken


def _log_odds(
    failures: Floats,
    successes: Floats,
    failed: Floats,
    succeeded: Floats,
    given: _Given,
    config: LabelConfig,
) -> tuple[Floats, Bools]:
    """Turn counts into log-odds, entry by entry, and say which of them are learnt."""
    enough = np.minimum(failed, succeeded) >= config.min_support
    learnt = enough & (failures + successes >= config.min_support - ROUNDING)
    smoothing = config.smoothing
    shown = np.maximum(successes, 0.0) + smoothing * given.success
    missed = np.maximum(failures, 0.0) + smoothing * given.failure
    log_odds = np.log(shown / missed * ((failed + smoothing) / (succeeded + smoothing)))
    return np.where(learnt, log_odds, given.log_odds), learnt


def _prior(failed: Floats, succeeded: Floats, config: LabelConfig) -> Floats:
    """Turn numbers of verified episodes into the log-odds of success, smoothed likewise."""
    assumed = float(sigmoid(np.array(config.prior_log_odds)))
    log_odds = np.log(
        (succeeded + config.smoothing * assumed) / (failed + config.smoothing * (1 - assumed))
    )
    enough = np.minimum(failed, succeeded) >= config.min_support
    return np.where(enough, log_odds, config.prior_log_odds)


def _left_out(
    share: Floats, succeeded: Bools, counts: Counts, given: _Given, config: LabelConfig
) -> Floats:
    """Predict some verified episodes; only entries that are not 0 are looked at."""
    entry = np.flatnonzero((share != 0).ravel())
    row, column = np.divmod(entry, share.shape[1])
    part = share.ravel()[entry]
    won = succeeded.astype(np.float64)
    failed, passed = counts.totals[0] - (1 - won), counts.totals[1] - won
    log_odds, _ = _log_odds(
        counts.failures[column] - part * (1 - won[row]),
        counts.successes[column] - part * won[row],
        failed[row],
        passed[row],
        given.take(column),
        config,
    )
    judged = given.judge[column]
    weight = part * log_odds
    users: Floats = np.bincount(row, np.where(judged, 0.0, weight), len(won)).astype(np.float64)
    judge = np.bincount(row, np.where(judged, weight, 0.0), len(won))
    feedback = np.bincount(row, given.feedback[column], minlength=len(won)) > 0
    prior = _prior(failed, passed, config)
    heard = judge_speaks(feedback, users, prior, config)
    predicted = sigmoid(prior + users + np.where(heard, judge, 0.0))
    predicted[np.bincount(row, minlength=len(won)) == 0] = np.nan
    return predicted
