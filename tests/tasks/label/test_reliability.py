"""What evidence weighs is learnt from counts, and starts from the defaults."""

import math

import numpy as np
import pytest

from schemas.label_config import LabelConfig
from tasks.label.outcome import judge
from tasks.label.reliability import (
    Reliability,
    expected_calibration_error,
    learn,
    left_out,
)
from tasks.label.signals import COLUMN, KINDS


def shows(*names):
    row = np.zeros(len(KINDS), dtype=bool)
    row[[COLUMN[name] for name in names]] = True
    return row


def verdict(evidence, outcome=np.nan, *, broken=False, prior=0.0):
    weights = np.array([kind.log_odds for kind in KINDS])
    learnt = Reliability(weights, prior, np.zeros((2, len(KINDS)), dtype=np.int64))
    made = judge(evidence[None], np.array([outcome]), np.array([broken]), learnt, LabelConfig())
    return made.state[0], made.success[0], made.confidence[0], made.decided_by[0]


def test_without_a_verified_outcome_the_defaults_hold():
    none = np.zeros((0, len(KINDS)), dtype=bool)
    learnt = learn(none, np.zeros(0, dtype=bool), smoothing=10, prior=0.3)
    assert learnt.weights == pytest.approx([kind.log_odds for kind in KINDS])
    assert learnt.prior == pytest.approx(0.3)


def test_counts_move_a_weight_as_worked_out_by_hand():
    # 20 verified successes, 12 of them exported; 10 verified failures, 1 of them exported.
    # Smoothing 10 towards 0.30 and 0.10: (12 + 3) / (20 + 10) = 0.5, (1 + 1) / (10 + 10) = 0.1.
    # Weight: ln(0.5 / 0.1) = ln 5. Prior: ln((20 + 5) / (10 + 5)) = ln(5 / 3).
    evidence = np.array([shows("export")] * 12 + [shows()] * 8 + [shows("export")] + [shows()] * 9)
    outcome = np.array([True] * 20 + [False] * 10)
    learnt = learn(evidence, outcome, smoothing=10, prior=0.0)
    assert learnt.weights[COLUMN["export"]] == pytest.approx(math.log(5))
    assert learnt.prior == pytest.approx(math.log(5 / 3))
    assert learnt.shown[:, COLUMN["export"]].tolist() == [1, 12]


def test_a_signal_that_proves_useless_loses_its_weight():
    evidence = np.array([shows("complaint")] * 2000)
    outcome = np.array([True, False] * 1000)
    learnt = learn(evidence, outcome, smoothing=10, prior=0.0)
    assert abs(learnt.weights[COLUMN["complaint"]]) < 0.02


def test_an_episode_does_not_vouch_for_itself():
    evidence = np.array([shows("export"), shows("export"), shows()])
    outcome = np.array([True, False, True])
    predicted, actual = left_out(evidence, outcome, smoothing=10, prior=0.0)
    # The third shows nothing and is not predicted. For the first, the others are one failure
    # that exported and one success that did not: shares (0 + 3) / (1 + 10) and
    # (1 + 1) / (1 + 10), and a prior of ln((1 + 5) / (1 + 5)) = 0.
    odds = (3 / 11) / (2 / 11)
    assert predicted[0] == pytest.approx(odds / (1 + odds))
    assert actual.tolist() == [True, False]
    assert len(predicted) == 2


def test_calibration_error_is_the_mean_gap():
    # Bin .7-.8: predicted .75 twice, one right: gap .25. Bin .1-.2: .15 twice, none: gap .15.
    predicted = np.array([0.75, 0.75, 0.15, 0.15])
    outcome = np.array([True, False, False, False])
    assert expected_calibration_error(predicted, outcome) == pytest.approx(0.2)
    assert expected_calibration_error(np.zeros(0), np.zeros(0, dtype=bool)) is None


def test_log_odds_add_up():
    # thumbs_up: ln(.30 / .06) = ln 5; reask: ln(.08 / .30). 5 * 4 / 15 = 4 / 3, so 4 / 7.
    state, success, confidence, tier = verdict(shows("thumbs_up", "reask"))
    assert state == "unlabelled"
    assert np.isnan(success)
    assert confidence == 0
    assert tier == ""
    # thumbs_up and export: odds 5 * 3 = 15, so 15 / 16 and a confidence of 7 / 8.
    state, success, confidence, tier = verdict(shows("thumbs_up", "export"))
    assert (state, tier) == ("success", "feedback")
    assert success == pytest.approx(15 / 16)
    assert confidence == pytest.approx(7 / 8)


def test_no_evidence_is_unlabelled_whatever_the_prior():
    assert verdict(shows(), prior=5.0)[0] == "unlabelled"


def test_a_verified_outcome_overrules_all_else():
    assert verdict(shows("thumbs_up", "export"), 0.0)[::3] == ("failure", "outcome")
    assert verdict(shows("complaint"), 1.0)[::3] == ("success", "outcome")


def test_partial_credit_of_a_verifier_is_no_success():
    assert verdict(shows(), 0.5)[0] == "failure"


def test_an_infrastructure_error_is_neither():
    assert verdict(shows("complaint"), 0.0, broken=True)[0] == "unlabelled"


@pytest.mark.parametrize("name", ["repeated_call", "no_tool_evidence"])
def test_weak_hints_alone_label_nothing(name):
    assert verdict(shows(name))[0] == "unlabelled"
