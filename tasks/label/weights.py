"""What each kind of evidence weighs: log-odds learnt from counts over verified episodes.

A weight is `ln(P(shown | success) / P(shown | failure))`. Both shares are estimated as

    (episodes that show it + smoothing * assumed share) / (episodes + smoothing)

so that without a verified outcome the weight is the kind's default, and each verified episode pulls
it away from there. Weights of several pieces add up, together with the prior, to the log-odds of
success. So does silence: not to show a kind weighs `ln(P(silent | success) / P(silent | failure))`,
from the same shares, once the kind's weight is learnt. Before that nobody knows whether the kind
could have been seen here at all, and silence says nothing.

Source: Naive Bayes over presence and absence (the multivariate Bernoulli model) with smoothing,
    Manning, Raghavan, Schuetze, "Introduction to Information Retrieval" (2008), sections 13.2 and
    13.3; the logarithm as weight of evidence, Good, "Probability and the Weighing of Evidence"
    (1950), chapter 6.
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
OPPOSITES = (
    ("thumbs_up", "thumbs_down"),
    ("rating_high", "rating_low"),
    ("score_high", "score_low"),
)
"""Kinds that exclude each other: who gave one was not silent about the other."""


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
    silence: Floats
    """Log-odds of not showing each kind; 0 unless learnt, and for judges, `(kinds,)`."""


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
    given, (failed, succeeded) = _Given(kinds), counts.totals
    log_odds, learnt = _log_odds(
        counts.failures, counts.successes, failed, succeeded, given, config
    )
    silence = _silence(counts, failed, succeeded, given, config)
    return Weights(log_odds, float(_prior(failed, succeeded, config)), learnt, silence)


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
    parts = [
        _left_out(share[at : at + SLICE], succeeded[at : at + SLICE], counts, kinds, config)
        for at in range(0, len(share), SLICE)
    ]
    return np.concatenate([np.zeros(0), *parts])


def silent(share: Floats, kinds: Sequence[Kind]) -> Bools:
    """Say which kinds each episode is silent about, `(episodes, kinds)`.

    A piece that hardly counts is no silence, and of opposites one breaks it for both: counted one
    by one, a score that every episode gets would speak twice.

    Args:
        share: How much each kind of evidence counts, `(episodes, kinds)`.
        kinds: The kinds, in the order of the columns.
    """
    quiet = np.asarray(share == 0)
    column = {kind.name: index for index, kind in enumerate(kinds)}
    for one, other in OPPOSITES:
        if one in column and other in column:
            both = quiet[:, column[one]] & quiet[:, column[other]]
            quiet[:, column[one]] = quiet[:, column[other]] = both
    return quiet


def state_of(shown: Floats, silence: Floats, prior: Floats | float, config: LabelConfig) -> Ints:
    """Say what evidence comes to: `UNLABELLED`, `FAILURE` or `SUCCESS`.

    The evidence has to reach the threshold with the prior and without it. The prior is how often
    verified episodes succeed; it says nothing about this episode, so that it may hold a verdict
    back, but makes none out of evidence that is too weak alone or speaks against it. Silence
    strengthens or weakens what an episode shows, but never turns it: else a weak hint of failure
    would make a success of an episode that is unlabelled without the hint.

    Args:
        shown: Sum of what the evidence shown by an episode weighs, log-odds, `(episodes,)`.
        silence: Sum of what its silence weighs, log-odds, `(episodes,)`.
        prior: Log-odds before evidence.
        config: `success_above` and `failure_below`.
    """
    evidence = shown + silence
    alone, together = sigmoid(evidence), sigmoid(evidence + prior)
    least, most = np.minimum(alone, together), np.maximum(alone, together)
    state = np.where((most <= config.failure_below) & (shown < 0), FAILURE, UNLABELLED)
    return np.where((least >= config.success_above) & (shown > 0), SUCCESS, state)


def judge_speaks(
    feedback: Bools, users: Floats, silence: Floats, prior: Floats | float, config: LabelConfig
) -> Bools:
    """Say where a judge's evidence counts: where users have shown nothing that decides.

    A judge reads an episode without being the one who needed the answer. It speaks where there is
    no feedback and the implicit evidence leaves the episode unlabelled, and never overrules users.

    Args:
        feedback: Episodes with feedback, `(episodes,)`.
        users: What feedback and implicit evidence weigh together, log-odds, `(episodes,)`.
        silence: What silence weighs, log-odds, `(episodes,)`.
        prior: Log-odds before evidence.
        config: Thresholds.
    """
    return np.asarray(~feedback & (state_of(users, silence, prior, config) == UNLABELLED))


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
    learnt = _learnt(failures, successes, failed, succeeded, config)
    smoothing = config.smoothing
    shown = np.maximum(successes, 0.0) + smoothing * given.success
    missed = np.maximum(failures, 0.0) + smoothing * given.failure
    log_odds = np.log(shown / missed * ((failed + smoothing) / (succeeded + smoothing)))
    return np.where(learnt, log_odds, given.log_odds), learnt


def _silence(
    counts: Counts, failed: Floats, succeeded: Floats, given: _Given, config: LabelConfig
) -> Floats:
    """Turn counts into the log-odds of not showing each kind; 0 unless learnt, and for judges.

    A judge that was not asked is silent about every episode.

    Args:
        counts: What verified episodes have shown.
        failed: Number of them that failed; of a shape that goes with `(kinds,)`.
        succeeded: Number that succeeded, of the same shape.
        given: What is assumed.
        config: Smoothing and support.
    """
    smoothing = config.smoothing
    kept = np.maximum(succeeded - counts.successes, 0.0) + smoothing * (1 - given.success)
    missed = np.maximum(failed - counts.failures, 0.0) + smoothing * (1 - given.failure)
    log_odds = np.log(kept / missed * ((failed + smoothing) / (succeeded + smoothing)))
    learnt = _learnt(counts.failures, counts.successes, failed, succeeded, config)
    return np.where(learnt & ~given.judge, log_odds, 0.0)


def _learnt(
    failures: Floats, successes: Floats, failed: Floats, succeeded: Floats, config: LabelConfig
) -> Bools:
    """Say where enough verified episodes were seen at all, of either end, and show the kind."""
    enough = np.minimum(failed, succeeded) >= config.min_support
    return np.asarray(enough & (failures + successes >= config.min_support - ROUNDING))


def _prior(failed: Floats, succeeded: Floats, config: LabelConfig) -> Floats:
    """Turn numbers of verified episodes into the log-odds of success, smoothed likewise."""
    assumed = float(sigmoid(np.array(config.prior_log_odds)))
    log_odds = np.log(
        (succeeded + config.smoothing * assumed) / (failed + config.smoothing * (1 - assumed))
    )
    enough = np.minimum(failed, succeeded) >= config.min_support
    return np.where(enough, log_odds, config.prior_log_odds)


def _left_out(
    share: Floats, succeeded: Bools, counts: Counts, kinds: Sequence[Kind], config: LabelConfig
) -> Floats:
    """Predict some verified episodes; of what is shown, only entries that are not 0 are looked at.

    Of what is not shown, an episode takes nothing from the counts but itself from the totals, so
    that all successes have the same weights of silence, and all failures.
    """
    given = _Given(kinds)
    entry = np.flatnonzero((share != 0).ravel())
    row, column = np.divmod(entry, share.shape[1])
    part = share.ravel()[entry]
    won = succeeded.astype(np.float64)
    failed, passed = counts.totals[0] - (1 - won), counts.totals[1] - won
    others = np.maximum(counts.totals - np.eye(2), 0.0)
    weights = _silence(counts, others[:, :1], others[:, 1:], given, config)
    silence = (silent(share, kinds) @ weights.T)[np.arange(len(won)), succeeded.astype(int)]
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
    heard = judge_speaks(feedback, users, silence, prior, config)
    predicted = sigmoid(prior + users + np.where(heard, judge, 0.0) + silence)
    predicted[np.bincount(row, minlength=len(won)) == 0] = np.nan
    return predicted
