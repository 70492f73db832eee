"""Challenger against champion on the same scenarios: the difference, and how sure it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.release import Interval

Observation = tuple[str, str, float]
"""(cluster, scenario, success): cluster is the question's specification."""
Scores = Mapping[str, tuple[str, float]]
"""scenario -> (cluster, success)."""
RESAMPLES = 4000
"""Bootstrap and sign-flip draws."""
CHUNK = 500
"""Draws held in memory at once."""


class Comparison(NamedTuple):
    """A paired difference with the bounds that gates ask for."""

    interval: Interval
    """Mean difference with its two-sided 95% interval."""
    lower: float
    """One-sided lower confidence bound at `alpha`."""
    upper: float
    """One-sided upper confidence bound at `alpha`."""
    p_value: float
    """Chance of such a gain if the challenger's true gain were only the minimum effect."""


def paired_difference(
    a: Sequence[Observation], b: Sequence[Observation], seed: int
) -> Interval:  # fmt: skip
    """Measure how much better `a` does than `b` on the scenarios both played.

    Args:
        a: One row an attempt; attempts of a scenario are averaged.
        b: The same for the other policy.
        seed: Seed of the bootstrap.

    Returns:
        Mean difference with its two-sided 95% interval, resampled by cluster.
    """
    return compare(_scores(a), _scores(b), alpha=0.05, effect=0.0, seed=seed).interval


def compare(a: Scores, b: Scores, *, alpha: float, effect: float, seed: int) -> Comparison:
    """Compare two policies by a paired cluster bootstrap and a sign-flip test.

    The bootstrap alone is too bold when few scenarios differ: three of three in favour already
    lift its 5% bound above zero, which chance does one time in eight. The sign-flip test is exact
    there, so a gate asks for both.

    Args:
        a: Challenger's score of each scenario.
        b: Champion's score of each scenario.
        alpha: One-sided error of the bounds.
        effect: Gain that the sign-flip test takes as its null hypothesis (fraction).
        seed: Seed of all draws.

    Returns:
        The comparison; all zero with `p_value` 1 when no scenario is shared.

    Source: Efron and Tibshirani 1993, ch. 13 (percentile bootstrap); Fisher 1935 (sign flips).
    """
    sums, counts = _cluster_differences(a, b)
    scenarios = int(counts.sum())
    if scenarios == 0:
        return Comparison(Interval(estimate=0.0, low=0.0, high=0.0, n=0), 0.0, 0.0, 1.0)
    random = np.random.default_rng(seed)
    means = np.concatenate([_resampled(sums, counts, random) for _ in range(RESAMPLES // CHUNK)])
    low, high, lower, upper = np.quantile(means, [0.025, 0.975, alpha, 1 - alpha])
    interval = Interval(
        estimate=float(sums.sum() / scenarios), low=float(low), high=float(high), n=scenarios
    )
    p_value = _sign_flip_p(sums - effect * counts, random)
    return Comparison(interval, float(lower), float(upper), p_value)


def _scores(rows: Sequence[Observation]) -> dict[str, tuple[str, float]]:
    """Average the attempts of each scenario."""
    found: dict[str, list[float]] = defaultdict(list)
    clusters: dict[str, str] = {}
    for cluster, scenario, success in rows:
        found[scenario].append(success)
        clusters[scenario] = cluster
    return {s: (clusters[s], sum(v) / len(v)) for s, v in found.items()}


def _cluster_differences(
    a: Scores, b: Scores
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Add the differences of each cluster up.

    Returns:
        Sum of differences and number of scenarios, each `(clusters,)`.
    """
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for scenario in sorted(a.keys() & b.keys()):
        cluster, score = a[scenario]
        sums[cluster] += score - b[scenario][1]
        counts[cluster] += 1
    return np.array(list(sums.values()), dtype=np.float64), np.array(
        list(counts.values()), dtype=np.float64
    )


def _resampled(
    sums: NDArray[np.float64], counts: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float64]:
    """Draw clusters with replacement and average their differences: `(CHUNK,)` means."""
    drawn = random.integers(0, len(sums), size=(CHUNK, len(sums)))
    means: NDArray[np.float64] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return means


def _sign_flip_p(sums: NDArray[np.float64], random: np.random.Generator) -> float:
    """Give the one-sided p-value of the total under random signs of the clusters."""
    decided = sums[sums != 0]
    if len(decided) == 0:
        return 1.0
    signs = random.integers(0, 2, size=(RESAMPLES, len(decided)), dtype=np.int8) * 2 - 1
    totals = signs @ decided
    as_large = int((totals >= decided.sum() - 1e-9).sum())
    return (as_large + 1) / (RESAMPLES + 1)
