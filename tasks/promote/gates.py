"""The gates: what a challenger must prove before users meet it. Pure functions of attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from schemas.config import PromoteConfig
from schemas.release import Attempt, Gate
from tasks.evaluate.compare import Comparison, Scores, compare
from tasks.evaluate.metrics import (
    calls_per_success,
    malformed_rate,
    scenario_means,
    scenario_pass_at_k,
    tool_error_rate,
)

GRAVE = ("every_call_fails", "feedback_dominated", "sources_disagree")
"""Tripwires after which nobody can say what was learned from (docs/labels.md)."""


def judge(
    challenger: Sequence[Attempt], champion: Sequence[Attempt], rules: PromoteConfig, *, k: int,
    seed: int,
) -> list[Gate]:  # fmt: skip
    """Hold a challenger's attempts against the champion's on the same frozen scenarios.

    Args:
        challenger: Greedy and sampled attempts of the challenger.
        champion: The same of the champion.
        rules: Tolerances and error budget.
        k: Attempts of pass@k.
        seed: Seed of the resampling.

    Returns:
        Every gate, passed or not, the paired gain first.
    """
    gain = compare(
        _greedy(challenger), _greedy(champion), alpha=rules.alpha, effect=rules.minimum_effect,
        seed=seed,
    )  # fmt: skip
    return [
        _gain_gate(gain, rules),
        _exact_gate(gain, rules),
        _slice_gate(challenger, champion, rules, seed),
        _pass_at_k_gate(challenger, champion, rules, k, seed),
        _tool_error_gate(challenger, champion, rules),
        _format_gate(challenger, champion, rules),
        _cost_gate(challenger, champion, rules),
    ]


def reward_gate(tripwires: Sequence[Mapping[str, Any]]) -> Gate:
    """Ask that the rewards the night learned from do not look hacked.

    Args:
        tripwires: What the label stage reported; most are for a person to look at, some are grave.
    """
    grave = [wire for wire in tripwires if wire["kind"] in GRAVE]
    said = "; ".join(f"{wire['kind']}: {wire['detail']}" for wire in grave)
    return Gate(
        name="rewards", passed=not grave, measured=len(grave), threshold=0,
        reason=f"the rewards look hacked: {said}" if grave else "no grave tripwire was touched",
    )  # fmt: skip


def decide(gates: Sequence[Gate]) -> tuple[Literal["promoted", "kept"], str]:
    """Turn gates into a decision: all must hold.

    Returns:
        The decision and its reason in one line.
    """
    failed = [gate for gate in gates if not gate.passed]
    if failed:
        others = ", ".join(gate.name for gate in failed[1:])
        return "kept", failed[0].reason + (f"; failed too: {others}" if others else "")
    return "promoted", gates[0].reason if gates else "no gate was asked"


def _greedy(attempts: Sequence[Attempt]) -> Scores:
    """Score each scenario by its greedy attempt."""
    return scenario_means([a for a in attempts if a.mode == "greedy"])


def _gain_gate(gain: Comparison, rules: PromoteConfig) -> Gate:
    """Ask that the lower confidence bound of the paired gain exceeds the minimum effect."""
    passed = gain.lower > rules.minimum_effect
    verdict = "proven better" if passed else "not proven better"
    asked = f"; more than {rules.minimum_effect:+.1%} is asked" if rules.minimum_effect else ""
    return Gate(
        name="paired_gain", passed=passed, measured=gain.lower, threshold=rules.minimum_effect,
        reason=(
            f"{verdict}: {gain.interval.estimate:+.1%} on {gain.interval.n} frozen scenarios, "
            f"at least {gain.lower:+.1%} with {1 - rules.alpha:.0%} confidence{asked}"
        ),
    )  # fmt: skip


def _exact_gate(gain: Comparison, rules: PromoteConfig) -> Gate:
    """Ask that chance alone would rarely give such a gain, also when few scenarios differ."""
    passed = gain.p_value <= rules.alpha
    return Gate(
        name="sign_flip", passed=passed, measured=gain.p_value, threshold=rules.alpha,
        reason=(
            f"chance alone gives such a gain in {gain.p_value:.1%} of nights "
            f"(at most {rules.alpha:.1%} allowed)"
        ),
    )  # fmt: skip


def _slice_gate(
    challenger: Sequence[Attempt], champion: Sequence[Attempt], rules: PromoteConfig, seed: int
) -> Gate:
    """Ask that no slice is worse than its tolerance by more than its own noise."""
    names = sorted({a.slice for a in champion} & {a.slice for a in challenger})
    worst, bound = "", 1.0
    for name in names:
        found = compare(
            _greedy([a for a in challenger if a.slice == name]),
            _greedy([a for a in champion if a.slice == name]),
            alpha=rules.alpha / len(names), effect=0.0, seed=seed,
        )  # fmt: skip
        if found.interval.n and found.upper < bound:
            worst, bound = name, found.upper
    passed = bound >= -rules.slice_tolerance
    if not worst:
        reason = "no slice to compare"
    elif passed:
        reason = _tolerable(worst, bound, rules)
    else:
        reason = (
            f"slice {worst} is worse by at least {-bound:.1%} "
            f"({rules.slice_tolerance:.1%} tolerated)"
        )
    return Gate(
        name="slices", passed=passed, measured=bound, threshold=-rules.slice_tolerance,
        reason=reason,
    )  # fmt: skip


def _tolerable(worst: str, bound: float, rules: PromoteConfig) -> str:
    """Say of a slice that passed how far below the champion it may, or does, lie."""
    if bound >= 0:
        return f"no slice is shown to be worse; the weakest, {worst}, may have gained {bound:.1%}"
    return (
        f"slice {worst} is worse by at least {-bound:.1%}, within the "
        f"{rules.slice_tolerance:.1%} tolerated"
    )


def _pass_at_k_gate(
    challenger: Sequence[Attempt], champion: Sequence[Attempt], rules: PromoteConfig, k: int,
    seed: int,
) -> Gate:  # fmt: skip
    """Ask that what the policy can reach in `k` attempts does not fall."""
    found = compare(
        scenario_pass_at_k(challenger, k), scenario_pass_at_k(champion, k), alpha=rules.alpha,
        effect=0.0, seed=seed,
    )  # fmt: skip
    passed = found.upper >= 0.0
    kind = "a new skill" if found.lower > 0 else "an amplified one" if passed else "a lost skill"
    return Gate(
        name="pass_at_k", passed=passed, measured=found.upper, threshold=0.0,
        reason=(
            f"pass@{k} changed by {found.interval.estimate:+.1%} "
            f"[{found.interval.low:+.1%}, {found.interval.high:+.1%}]: {kind}"
        ),
    )  # fmt: skip


def _tool_error_gate(
    challenger: Sequence[Attempt], champion: Sequence[Attempt], rules: PromoteConfig
) -> Gate:
    """Ask that tool calls do not fail more often than tolerated."""
    mine, theirs = tool_error_rate(challenger), tool_error_rate(champion)
    limit = theirs + rules.tool_error_tolerance
    return Gate(
        name="tool_errors", passed=mine <= limit, measured=mine, threshold=limit,
        reason=f"{mine:.1%} of tool calls fail, {theirs:.1%} before (up to {limit:.1%} allowed)",
    )  # fmt: skip


def _format_gate(
    challenger: Sequence[Attempt], champion: Sequence[Attempt], rules: PromoteConfig
) -> Gate:
    """Ask that tool calls still parse."""
    mine, theirs = malformed_rate(challenger), malformed_rate(champion)
    limit = theirs + rules.tool_error_tolerance
    return Gate(
        name="format", passed=mine <= limit, measured=mine, threshold=limit,
        reason=f"{mine:.1%} of episodes hold a malformed call, {theirs:.1%} before "
        f"(up to {limit:.1%} allowed)",
    )  # fmt: skip


def _cost_gate(
    challenger: Sequence[Attempt], champion: Sequence[Attempt], rules: PromoteConfig
) -> Gate:
    """Ask that a solved scenario does not take many more tool calls.

    Calls are counted for each scenario solved, failures included: an agent that gives up early
    calls little and is dear all the same.
    """
    mine, theirs = calls_per_success(challenger), calls_per_success(champion)
    limit = theirs * (1 + rules.cost_tolerance)
    return Gate(
        name="cost", passed=mine <= limit, measured=mine, threshold=limit,
        reason=f"{mine:.2f} tool calls for a solved scenario, {theirs:.2f} before "
        f"(up to {limit:.2f} allowed)",
    )  # fmt: skip
