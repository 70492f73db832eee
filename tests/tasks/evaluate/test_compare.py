"""Paired comparison: direction, clustering, and the share of false alarms."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.evaluate.compare import compare, paired_difference


def test_difference_is_the_mean_over_shared_scenarios() -> None:
    a = [("x", "1", 1.0), ("y", "2", 1.0), ("z", "3", 0.0), ("only a", "9", 1.0)]
    b = [("x", "1", 0.0), ("y", "2", 1.0), ("z", "3", 0.0)]
    found = paired_difference(a, b, seed=0)
    assert found.n == 3
    assert found.estimate == pytest.approx(1 / 3)
    assert found.low <= found.estimate <= found.high


def test_attempts_of_a_scenario_are_averaged_before_they_are_paired() -> None:
    a = [("x", "1", 1.0), ("x", "1", 0.0)]
    b = [("x", "1", 0.0)]
    assert paired_difference(a, b, seed=0).estimate == 0.5


def test_identical_scores_have_no_gain_and_no_evidence() -> None:
    scores = {str(i): (str(i), float(i % 2)) for i in range(50)}
    found = compare(scores, scores, alpha=0.05, effect=0.0, seed=0)
    assert found.lower == found.upper == 0.0
    assert found.p_value == 1.0


def test_three_lucky_scenarios_do_not_pass_the_sign_flip_test() -> None:
    champion = {str(i): (str(i), 0.0) for i in range(100)}
    challenger = {key: (c, 1.0 if int(key) < 3 else 0.0) for key, (c, _) in champion.items()}
    found = compare(challenger, champion, alpha=0.05, effect=0.0, seed=0)
    # Three of three in favour: chance gives that in 1 of 8.
    assert found.p_value == pytest.approx(1 / 8, abs=0.03)


def test_one_specification_repeated_is_one_piece_of_evidence() -> None:
    challenger = {str(i): ("the same question", 1.0) for i in range(30)}
    champion = {str(i): ("the same question", 0.0) for i in range(30)}
    found = compare(challenger, champion, alpha=0.05, effect=0.0, seed=0)
    assert found.p_value == pytest.approx(0.5, abs=0.05)


def test_the_interval_covers_the_true_difference_about_95_percent_of_the_time() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        base = random.random(200) < 0.6
        better = base | (random.random(200) < 0.25)  # true gain 0.4 * 0.25 = 0.10
        a = [(str(i), str(i), float(v)) for i, v in enumerate(better)]
        b = [(str(i), str(i), float(v)) for i, v in enumerate(base)]
        interval = paired_difference(a, b, seed=trial)
        covered += interval.low <= 0.10 <= interval.high
    assert covered / 200 >= 0.90
