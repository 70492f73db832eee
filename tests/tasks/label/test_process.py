"""Process rewards and returns of steps, and the composite, with numbers worked out by hand."""

import numpy as np
import pytest

from schemas.label_config import LabelConfig
from tasks.label.composite import cost_of, risk_of, total_of
from tasks.label.process import discounted_returns, step_rewards


def test_the_end_reaches_earlier_steps_discounted_once_a_step():
    returns = discounted_returns(np.zeros(3), [3], np.array([1.0]), 0.5)
    # 1, then 0.5 * 1, then 0.5 * 0.5.
    assert returns.tolist() == [0.25, 0.5, 1.0]


def test_returns_of_one_episode_do_not_reach_into_another():
    rewards = np.array([-0.1, 0.0, 0.0, -0.2])
    returns = discounted_returns(rewards, [2, 0, 2], np.array([1.0, 9.0, 0.0]), 1.0)
    # First: -0.1 + 0 + 1, then 1. The second has no step. Third: -0.2, -0.2.
    assert returns == pytest.approx([0.9, 1.0, -0.2, -0.2])


def test_a_step_pays_for_each_fault():
    one = np.array([1.0])
    assert step_rewards(0 * one, 0 * one, 0 * one).tolist() == [0.0]
    # Malformed 0.2, error 0.1, repeat 0.1.
    assert step_rewards(one, one, one) == pytest.approx([-0.4])


def test_the_composite_is_worked_out_term_by_term():
    calls, malformed, errors = np.array([4.0]), np.array([1.0]), np.array([1.0])
    cost, risk = cost_of(calls, 8), risk_of(calls, malformed, errors)
    assert (cost.tolist(), risk.tolist()) == ([0.5], [0.5])
    # 1 * 0.9 - 0.1 * 0.5 - 0.5 * 0.5 = 0.6.
    assert total_of(np.array([0.9]), cost, risk, LabelConfig()) == pytest.approx([0.6])


def test_cost_and_risk_stay_in_their_range():
    assert cost_of(np.array([0.0, 99.0]), 8).tolist() == [0.0, 1.0]
    assert risk_of(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([0.0, 1.0])).tolist() == [
        0.0,
        1.0,
    ]
