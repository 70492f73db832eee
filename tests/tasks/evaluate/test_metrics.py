"""Success metrics: expected values worked out by hand."""

from __future__ import annotations

import pytest

from schemas.release import Attempt
from tasks.evaluate.metrics import clustered_mean, pass_at_k, summarise


def attempt(scenario: str, success: float, mode: str = "greedy", number: int = 0) -> Attempt:
    return Attempt(
        evaluation="e", night="2026-01-01", model="m", candidate="c", scenario_id=scenario,
        split="frozen_params", slice="count", specification=f"spec {scenario}",
        mode=mode,  # type: ignore[arg-type]
        attempt=number, success=success, tool_calls=4, tool_errors=1, malformed=False,
        truncated=False, tokens=10, seconds=0.5,
    )  # fmt: skip


def test_pass_at_k_counts_the_draws_that_hold_a_solved_attempt() -> None:
    # 4 attempts, 1 solved: 3 of the 6 ways to draw 2 hold the solved one.
    assert pass_at_k(4, 1, 2) == pytest.approx(0.5)
    # 5 attempts, 2 solved: of the 10 ways to draw 3, only 1 holds no solved one.
    assert pass_at_k(5, 2, 3) == pytest.approx(0.9)


def test_pass_at_k_is_one_when_failures_are_too_few_to_fill_the_draw() -> None:
    assert pass_at_k(4, 2, 3) == 1.0


def test_pass_at_k_refuses_more_draws_than_attempts() -> None:
    with pytest.raises(ValueError, match="pass@5 needs at least 5"):
        pass_at_k(4, 1, 5)


def test_repeats_of_one_specification_do_not_narrow_the_interval() -> None:
    once = clustered_mean([(str(i), float(i % 2)) for i in range(40)])
    repeated = clustered_mean([(str(i), float(i % 2)) for i in range(40) for _ in range(10)])
    assert repeated.estimate == once.estimate == 0.5
    assert repeated.n == 400
    assert repeated.high - repeated.low == pytest.approx(once.high - once.low, rel=0.01)


def test_an_all_success_interval_is_not_a_point() -> None:
    interval = clustered_mean([(str(i), 1.0) for i in range(20)])
    assert interval.estimate == interval.high == 1.0
    # Wilson with n = 20: 20 / (20 + 1.96^2) = 0.839
    assert interval.low == pytest.approx(0.839, abs=1e-3)


def test_summary_separates_greedy_from_sampled() -> None:
    rows = [attempt("a", 1.0), attempt("b", 0.0)]
    rows += [attempt("a", s, "sampled", i) for i, s in enumerate([1.0, 0.0])]
    rows += [attempt("b", s, "sampled", i) for i, s in enumerate([0.0, 0.0])]
    found = summarise(rows, k=2)
    assert found["n"] == 2
    assert found["pass_at_1"] == 0.5
    assert found["sampled"] == 0.25
    assert found["pass_at_k"] == 0.5  # a is solved within two draws, b is not
    assert found["tool_error_rate"] == 0.25  # one of four calls of each attempt
    assert found["cost"] == 4.0
    assert found["slices"]["count"]["n"] == 2
