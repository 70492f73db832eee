"""What a set of attempts says about a policy: success, cost and errors, with their noise."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from schemas.release import Attempt, Interval

Z95 = 1.959964
"""Two-sided 95% quantile of the normal distribution."""
SOLVED = 0.5
"""An attempt counts as solved for pass@k from this success (fraction)."""


def pass_at_k(n: int, solved: int, k: int) -> float:
    """Estimate without bias the chance that at least one of `k` attempts is solved.

    Args:
        n: Attempts made.
        solved: Attempts solved.
        k: Attempts allowed; at most `n`.

    Returns:
        Fraction in [0, 1].

    Raises:
        ValueError: `k` exceeds `n`; such an estimate does not exist.

    Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", eq. 1.
    """
    if k > n:
        raise ValueError(f"pass@{k} needs at least {k} attempts, got {n}")
    if n - solved < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - solved + 1, n + 1))


def clustered_mean(values: Iterable[tuple[str, float]]) -> Interval:
    """Average fractions with a 95% interval that respects repeats of one specification.

    The cluster-robust variance gives an effective sample size, and Wilson's interval is taken at
    that size: unlike mean +- 1.96 s.e. it stays inside [0, 1] and does not shrink to a point when
    every attempt succeeded.

    Args:
        values: Pairs of (cluster, fraction in [0, 1]).

    Returns:
        The mean and its interval; all zero when there are no values.
    """
    rows = list(values)
    n = len(rows)
    if n == 0:
        return Interval(estimate=0.0, low=0.0, high=0.0, n=0)
    mean = sum(value for _, value in rows) / n
    residuals: dict[str, float] = defaultdict(float)
    for cluster, value in rows:
        residuals[cluster] += value - mean
    clusters = len(residuals)
    binomial = mean * (1 - mean) / n
    variance = sum(r * r for r in residuals.values()) / n**2
    variance *= clusters / max(1, clusters - 1)
    effective = n * binomial / variance if variance > 0 and binomial > 0 else float(clusters)
    return _wilson(mean, effective, n)


def _wilson(mean: float, effective: float, n: int) -> Interval:
    """Give Wilson's score interval of a fraction at an effective sample size."""
    square = Z95 * Z95
    centre = (mean + square / (2 * effective)) / (1 + square / effective)
    spread = math.sqrt(mean * (1 - mean) / effective + square / (4 * effective**2))
    half = Z95 * spread / (1 + square / effective)
    return Interval(
        estimate=mean, low=max(0.0, centre - half), high=min(1.0, centre + half), n=n
    )  # fmt: skip


def scenario_means(attempts: Sequence[Attempt]) -> dict[str, tuple[str, float]]:
    """Average success by scenario.

    Returns:
        scenario id -> (specification, mean success of its attempts).
    """
    found: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        found[attempt.scenario_id].append(attempt)
    return {
        scenario: (rows[0].specification, sum(r.success for r in rows) / len(rows))
        for scenario, rows in found.items()
    }


def scenario_pass_at_k(attempts: Sequence[Attempt], k: int) -> dict[str, tuple[str, float]]:
    """Estimate pass@k of every scenario from its sampled attempts.

    Returns:
        scenario id -> (specification, pass@k); scenarios with fewer than `k` attempts are left out.
    """
    found: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.mode == "sampled":
            found[attempt.scenario_id].append(attempt)
    return {
        scenario: (
            rows[0].specification,
            pass_at_k(len(rows), sum(r.success >= SOLVED for r in rows), k),
        )
        for scenario, rows in found.items()
        if len(rows) >= k
    }


def tool_error_rate(attempts: Sequence[Attempt]) -> float:
    """Give the fraction of tool calls that failed; 0 without any call."""
    calls = sum(a.tool_calls for a in attempts)
    return sum(a.tool_errors for a in attempts) / calls if calls else 0.0


def malformed_rate(attempts: Sequence[Attempt]) -> float:
    """Give the fraction of attempts with a tool call that does not parse."""
    return sum(a.malformed for a in attempts) / len(attempts) if attempts else 0.0


def calls_per_success(attempts: Sequence[Attempt]) -> float:
    """Count the tool calls spent for each success; where there was none, as if for half a one."""
    return sum(a.tool_calls for a in attempts) / max(sum(a.success for a in attempts), 0.5)


def mean_calls(attempts: Sequence[Attempt]) -> float:
    """Give the mean number of tool calls an attempt, the cost that gates compare."""
    return sum(a.tool_calls for a in attempts) / len(attempts) if attempts else 0.0


def summarise(attempts: Sequence[Attempt], k: int) -> dict[str, Any]:
    """Sum a policy's attempts up under the keys that `flywheel evaluate --json` prints.

    Args:
        attempts: Greedy and sampled attempts of one policy.
        k: Attempts of pass@k.

    Returns:
        `n` scenarios, greedy `pass_at_1` with `ci95`, `sampled` success, `pass_at_k`, `cost` (mean
        tool calls), `latency_s` (mean seconds an attempt), error rates, and the same by `splits`
        and `slices`.
    """
    greedy = [a for a in attempts if a.mode == "greedy"]
    overall = _success(attempts, k)
    return {
        **overall,
        "k": k,
        "cost": mean_calls(greedy),
        "latency_s": sum(a.seconds for a in greedy) / len(greedy) if greedy else 0.0,
        "tool_error_rate": tool_error_rate(attempts),
        "malformed_rate": malformed_rate(attempts),
        "truncated_rate": sum(a.truncated for a in attempts) / max(1, len(attempts)),
        "splits": {
            name: _success([a for a in attempts if a.split == name], k)
            for name in sorted({a.split for a in attempts})
        },
        "slices": {
            name: _success([a for a in attempts if a.slice == name], k)
            for name in sorted({a.slice for a in attempts})
        },
    }


def _success(attempts: Sequence[Attempt], k: int) -> dict[str, Any]:
    """Measure greedy and sampled success of some attempts."""
    greedy = clustered_mean(scenario_means([a for a in attempts if a.mode == "greedy"]).values())
    sampled = clustered_mean(scenario_means([a for a in attempts if a.mode == "sampled"]).values())
    passed = clustered_mean(scenario_pass_at_k(attempts, k).values())
    return {
        "n": greedy.n,
        "pass_at_1": greedy.estimate,
        "ci95": [greedy.low, greedy.high],
        "sampled": sampled.estimate,
        "sampled_ci95": [sampled.low, sampled.high],
        "pass_at_k": passed.estimate,
    }
