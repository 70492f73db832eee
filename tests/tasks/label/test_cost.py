"""Cost is relative to the scenario, bounded, and rises with every amount."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.label_config import CostConfig
from tasks.label.cost import MEASURES, costs

CALLS = CostConfig(tool_calls=8, tokens=None, usd=None, latency_s=None, support=4)
NONE = np.nan


def calls(*amounts):
    """Make amounts of which only calls were logged."""
    return np.array([[amount, NONE, NONE, NONE] for amount in amounts])


def only(rows, scenario, config=CALLS):
    cost, parts = costs(rows, np.array(scenario), config)
    assert np.array_equal(cost, np.nan_to_num(parts[:, 0]))
    return cost.tolist()


def test_an_episode_is_held_against_the_mean_of_its_scenario_and_the_configured_amount():
    # Usual calls of the scenario: (4 + 12 + 4 * 8) / (2 + 4) = 8; 4 / (4 + 8), 12 / (12 + 8).
    assert only(calls(4, 12), [0, 0]) == pytest.approx([1 / 3, 0.6])


def test_what_is_usual_costs_a_half_and_nothing_costs_nothing():
    # No scenario: 8 is usual as configured, whatever the other episode did.
    assert only(calls(8, 0), [-1, -1]) == [0.5, 0.0]


def test_a_hard_scenario_makes_many_calls_cheaper():
    # Hard: (20 + 20 + 32) / 6 = 12 usual, 20 / 32. Easy: (20 + 2 + 32) / 6 = 9 usual, 20 / 29.
    hard, _, easy, _ = only(calls(20, 20, 20, 2), [7, 7, 9, 9])
    assert (hard, easy) == pytest.approx((0.625, 20 / 29))


def test_without_support_only_the_scenario_tells_and_the_configured_amount_where_it_cannot():
    config = CALLS.model_copy(update={"support": 0.0})
    # Scenario 0: 4 is usual, 2 / 6 and 6 / 10. Scenario 1 has no count: nothing to hold against.
    rows = calls(2, 6, NONE, 8)
    assert only(rows, [0, 0, 1, -1], config) == pytest.approx([1 / 3, 0.6, 0.0, 0.5])


def test_a_scenario_that_costs_nothing_costs_nothing_also_without_support():
    config = CALLS.model_copy(update={"support": 0.0})
    assert only(calls(0, 0), [0, 0], config) == [0.0, 0.0]


def test_cost_is_the_mean_of_what_was_logged_and_is_not_left_out():
    config = CostConfig(tool_calls=8, tokens=1000, usd=None, latency_s=60)
    rows = np.array([[8.0, 3000.0, 99.0, NONE], [NONE, NONE, 99.0, NONE]])
    cost, parts = costs(rows, np.array([-1, -1]), config)
    # 8 / 16 = 0.5 and 3000 / 4000 = 0.75 have the mean 0.625; the second has nothing that counts.
    assert cost.tolist() == [0.625, 0.0]
    assert parts[0].tolist()[:2] == [0.5, 0.75]
    assert np.isnan(parts[0, 2:]).all()
    assert np.isnan(parts[1]).all()


def test_amounts_that_no_log_can_mean_are_none():
    assert only(calls(np.inf, -3), [-1, -1]) == [0.0, 0.0]


def test_no_episodes_cost_nothing():
    cost, parts = costs(np.empty((0, 4)), np.empty(0, np.int64), CostConfig())
    assert cost.shape == (0,)
    assert parts.shape == (0, len(MEASURES))


AMOUNT = st.one_of(
    st.just(np.nan),
    st.sampled_from([0.0, 5e-324, 1e-300, 1e300, 1.7e308]),
    st.floats(0, 1e6, allow_subnormal=False),
)
EPISODES = st.lists(
    st.tuples(AMOUNT, AMOUNT, AMOUNT, AMOUNT, st.integers(-1, 3)), min_size=1, max_size=12
)
SUPPORT = st.sampled_from([0.0, 0.5, 4.0, 1e9])


def taken(episodes):
    """Part drawn episodes into amounts and scenarios."""
    return np.array([e[:4] for e in episodes]), np.array([e[4] for e in episodes])


@settings(max_examples=150, deadline=None)
@given(EPISODES, SUPPORT)
def test_parts_are_fractions_below_one_and_none_exactly_where_nothing_was_logged(episodes, support):
    rows, scenario = taken(episodes)
    cost, parts = costs(rows, scenario, CostConfig(support=support))
    assert np.array_equal(np.isnan(parts), np.isnan(rows))
    assert ((np.nan_to_num(parts) >= 0) & (np.nan_to_num(parts) < 1)).all()
    assert ((cost >= 0) & (cost < 1)).all()


@settings(max_examples=150, deadline=None)
@given(EPISODES, SUPPORT, st.integers(0, 3))
def test_the_scale_of_one_scenario_does_not_touch_another(episodes, support, which):
    rows, scenario = taken(episodes)
    grown = np.where((scenario == which)[:, None], np.minimum(rows, 1e6) * 10, rows)
    before, _ = costs(rows, scenario, CostConfig(support=support))
    after, _ = costs(grown, scenario, CostConfig(support=support))
    others = scenario != which
    assert np.array_equal(before[others], after[others])


@settings(max_examples=150, deadline=None)
@given(EPISODES, SUPPORT, st.integers(0, 11))
def test_twice_an_amount_never_lowers_the_cost_of_its_episode(episodes, support, place):
    rows, scenario = taken(episodes)
    # A mean of the smallest numbers that binary has is 0, and twice the largest is infinite.
    rows = np.minimum(np.where(rows < 1e-300, 0.0, rows), 1e300)
    place %= len(rows)
    doubled = rows.copy()
    doubled[place] *= 2
    before, _ = costs(rows, scenario, CostConfig(support=support))
    after, _ = costs(doubled, scenario, CostConfig(support=support))
    assert after[place] >= before[place] - 1e-12


@settings(max_examples=50, deadline=None)
@given(EPISODES, st.permutations(range(12)))
def test_the_order_of_episodes_does_not_matter(episodes, order):
    rows, scenario = taken(episodes)
    order = [place for place in order if place < len(rows)]
    straight, _ = costs(rows, scenario, CostConfig())
    mixed, _ = costs(rows[order], scenario[order], CostConfig())
    assert mixed == pytest.approx(straight[order])
