"""Gates: who passes, who does not, and how often luck alone passes."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.config import PromoteConfig
from schemas.release import Attempt
from tasks.promote.gates import decide, judge, reward_gate

NIGHTS = 200
SCENARIOS = 120


def attempts(
    success: np.ndarray, *, model: str = "m", errors: int = 0, calls: int = 3,
    malformed: bool = False, kind: str = "count",
) -> list[Attempt]:  # fmt: skip
    """Make a greedy and two sampled attempts of each scenario, all with the same outcome."""
    return [
        Attempt(
            evaluation=model, night="2026-01-01", model=model, candidate="sft",
            scenario_id=f"{kind}-{i}", split="frozen_params", slice=kind,
            specification=f"{kind}-{i}", mode=mode,  # type: ignore[arg-type]
            attempt=number, success=float(value), tool_calls=calls, tool_errors=errors,
            malformed=malformed, truncated=False, tokens=1, seconds=0.1,
        )
        for i, value in enumerate(success)
        for mode, number in (("greedy", 0), ("sampled", 0), ("sampled", 1))
    ]  # fmt: skip


def gate(found: list, name: str):
    return next(g for g in found if g.name == name)


@pytest.fixture(scope="module")
def rules() -> PromoteConfig:
    return PromoteConfig()


def test_two_equal_policies_are_promoted_no_more_often_than_the_budget(
    rules: PromoteConfig,
) -> None:
    random = np.random.default_rng(7)
    promoted = naive = 0
    for night in range(NIGHTS):
        hardness = random.random(SCENARIOS)
        new, old = random.random((2, SCENARIOS)) < hardness
        found = judge(attempts(new), attempts(old), rules, k=2, seed=night)
        promoted += decide(found)[0] == "promoted"
        naive += new.mean() >= old.mean()
    # Budget 5%; three standard errors of 200 nights are 4.6 points more.
    assert promoted / NIGHTS <= rules.alpha + 3 * (0.05 * 0.95 / NIGHTS) ** 0.5
    assert naive / NIGHTS > 0.4  # "new >= old", the rule this is not


def test_a_clearly_better_policy_is_promoted_almost_every_night(rules: PromoteConfig) -> None:
    random = np.random.default_rng(8)
    promoted = 0
    for night in range(30):
        old = random.random(SCENARIOS) < 0.55
        new = old | (random.random(SCENARIOS) < 0.5)
        promoted += decide(judge(attempts(new), attempts(old), rules, k=2, seed=night))[0] == (
            "promoted"
        )
    assert promoted >= 29


def test_the_reason_for_keeping_names_the_first_failed_gate(rules: PromoteConfig) -> None:
    same = np.ones(50)
    decision, reason = decide(judge(attempts(same), attempts(same), rules, k=2, seed=0))
    assert decision == "kept"
    assert reason.startswith("not proven better: +0.0% on 50 frozen scenarios")


def test_a_slice_that_collapsed_blocks_a_policy_that_is_better_overall(
    rules: PromoteConfig,
) -> None:
    new = attempts(np.ones(100)) + attempts(np.zeros(20), kind="share")
    old = attempts(np.zeros(100)) + attempts(np.ones(20), kind="share")
    found = judge(new, old, rules, k=2, seed=0)
    assert gate(found, "paired_gain").passed
    assert not gate(found, "slices").passed
    assert "slice share is worse" in decide(found)[1]


def test_a_slice_within_its_noise_does_not_block(rules: PromoteConfig) -> None:
    new = attempts(np.ones(100)) + attempts(np.array([1, 1, 1, 0]), kind="share")
    old = attempts(np.zeros(100)) + attempts(np.ones(4), kind="share")
    assert gate(judge(new, old, rules, k=2, seed=0), "slices").passed


def test_a_slice_that_is_worse_within_the_tolerance_is_called_so() -> None:
    new = attempts(np.ones(100)) + attempts(np.array([1.0] * 30 + [0.0] * 10), kind="share")
    old = attempts(np.zeros(100)) + attempts(np.ones(40), kind="share")
    found = gate(judge(new, old, PromoteConfig(slice_tolerance=0.5), k=2, seed=0), "slices")
    assert found.passed
    assert found.measured < 0
    assert found.reason.startswith("slice share is worse by at least")
    assert found.reason.endswith("within the 50.0% tolerated")


@pytest.mark.parametrize(
    ("name", "worse"),
    [("tool_errors", {"errors": 1}), ("cost", {"calls": 50}), ("format", {"malformed": True})],
)
def test_a_better_policy_with_a_worse_habit_is_kept_out(
    rules: PromoteConfig, name: str, worse: dict
) -> None:
    old = attempts(np.array([1.0] * 20 + [0.0] * 60))
    found = judge(attempts(np.ones(80), **worse), old, rules, k=2, seed=0)
    assert [g.name for g in found if not g.passed] == [name]


def test_calls_are_weighed_by_what_they_solve(rules: PromoteConfig) -> None:
    # 80 solved with 3 calls each is 3 for one solved; 20 of 80 solved with 2 calls each is 8.
    old = attempts(np.array([1.0] * 20 + [0.0] * 60), calls=2)
    found = gate(judge(attempts(np.ones(80), calls=3), old, rules, k=2, seed=0), "cost")
    assert found.passed
    assert found.measured == pytest.approx(3)
    assert found.threshold == pytest.approx(8 * 1.25)


def test_losing_reach_over_several_attempts_is_a_lost_skill(rules: PromoteConfig) -> None:
    new, old = attempts(np.ones(80)), attempts(np.ones(80))
    new = [a for a in new if a.mode == "greedy"] + [
        a for a in attempts(np.zeros(80)) if a.mode == "sampled"
    ]
    found = gate(judge(new, old, rules, k=2, seed=0), "pass_at_k")
    assert not found.passed
    assert found.reason.endswith("a lost skill")


def test_grave_tripwires_of_the_labels_keep_the_champion_and_others_are_only_told() -> None:
    wire = {"kind": "success_without_tools", "count": 3, "detail": "3 of 9 successes"}
    grave = {"kind": "every_call_fails", "count": 9, "detail": "9 verified successes"}
    assert reward_gate([]).passed
    assert reward_gate([wire]).passed
    failed = reward_gate([wire, grave])
    assert (failed.passed, failed.measured) == (False, 1)
    assert decide([failed])[0] == "kept"
    assert "every_call_fails: 9 verified successes" in decide([failed])[1]
