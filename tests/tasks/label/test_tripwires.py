"""Each way of hacking a reward that is planted trips its wire, and a quiet night trips none."""

import math

import numpy as np
import pytest

from tasks.label.tripwires import DRIFT_NIGHTS, Night, tripped
from tasks.label.weights import FAILURE, SUCCESS, UNLABELLED

N = 1_000


def quiet(seed=0, episodes=N):
    """Make a night of honest episodes: half succeed; a tenth of the calls fail, one in 500 is bad.

    Two fifths are verified, and what is predicted of them is as often right as it says.
    """
    chance = np.random.default_rng(seed)
    won = chance.random(episodes) < 0.5
    calls = chance.integers(4, 8, episodes)
    predicted = np.where(won, chance.beta(3, 1.5, episodes), chance.beta(1.5, 3, episodes))
    verified = chance.random(episodes) < 0.4
    return Night(
        calls=calls,
        malformed=(chance.random(episodes) < 0.01).astype(int),
        errors=chance.binomial(1, 0.5, episodes),
        characters=chance.poisson(400, episodes),
        asked_back=chance.poisson(0.3, episodes),
        tools_offered=chance.random(episodes) < 0.8,
        state=np.where(won, SUCCESS, FAILURE).astype(np.int8),
        outcome=np.where(verified, won.astype(float), np.nan),
        predicted=np.where(verified, predicted, np.nan),
        source=chance.integers(-1, 4, episodes),
        scenario=chance.integers(-1, 150, episodes),
        user=chance.integers(-1, 60, 300),
        session=chance.integers(-1, 200, 300),
    )


def touched(night, before=None):
    wires, kept = tripped(night, before or {})
    return {wire.kind: wire for wire in wires}, kept


def after(nights):
    """Give the means that some quiet nights leave."""
    kept = {}
    for seed in range(nights):
        _, kept = tripped(quiet(seed), kept)
    return kept


def some(count, of):
    """Give the places of some episodes among those that are true."""
    return np.flatnonzero(of)[:count]


@pytest.mark.parametrize("seed", range(10))
def test_quiet_nights_trip_nothing(seed):
    kept = {}
    for night in range(8):
        wires, kept = tripped(quiet(100 * seed + night), kept)
        assert wires == []


def test_a_night_of_nothing_trips_nothing():
    none = quiet(episodes=0)._replace(user=np.zeros(0, int), session=np.zeros(0, int))
    wires, kept = tripped(none, {})
    assert (wires, kept) == ([], {})


def test_successes_of_which_half_the_calls_fail_are_named():
    night = quiet()
    rows = some(3, night.state == SUCCESS)
    night.calls[rows] = [4, 2, 1]
    night.errors[rows] = [2, 1, 0]
    wires, _ = touched(night)
    assert wires["success_with_tool_errors"].count == 2
    assert "at least 50% of the tool calls failed" in wires["success_with_tool_errors"].detail
    # Failures may fail.
    night.state[rows] = FAILURE
    assert "success_with_tool_errors" not in touched(night)[0]


def test_a_set_where_every_call_fails_and_every_reward_is_one_trips():
    night = quiet()
    night.source[:] = 0
    night.source[:12] = 1
    night.outcome[:12], night.state[:12] = 1.0, SUCCESS
    night.errors[:12] = night.calls[:12]
    # Runs of the set that nobody verified change nothing, nor do those that called nothing.
    night.outcome[10], night.state[10] = np.nan, UNLABELLED
    night.calls[11] = night.errors[11] = 0
    night.tools_offered[11] = False
    wires, _ = touched(night)
    assert wires["every_call_fails"].count == 10
    assert wires["every_call_fails"].detail.startswith(
        "10 verified successes, in 1 source(s) and 0 scenario(s)"
    )
    assert wires["success_with_tool_errors"].count == 10


def test_a_whole_night_where_every_call_fails_and_every_reward_is_one_trips():
    night = quiet()
    night.outcome[:], night.state[:] = 1.0, SUCCESS
    night.errors[:] = night.calls
    night.source[:] = 0
    night.predicted[:] = np.nan
    assert touched(night)[0]["every_call_fails"].count == N


def test_a_scenario_where_every_call_fails_and_every_reward_is_one_trips():
    night = quiet()
    night.scenario[:3] = 999
    night.outcome[:3], night.state[:3] = 1.0, SUCCESS
    night.errors[:3] = night.calls[:3]
    assert touched(night)[0]["every_call_fails"].count == 3
    # Two runs are too few, and so is a scenario that nobody named.
    night.scenario[2] = 998
    assert "every_call_fails" not in touched(night)[0]
    night.scenario[:3] = -1
    assert "every_call_fails" not in touched(night)[0]


@pytest.mark.parametrize("excuse", ["a call that works", "a reward of 0"])
def test_a_set_that_is_not_rewarded_blindly_does_not_trip(excuse):
    night = quiet()
    night.source[:] = 0
    night.source[:12] = 1
    night.outcome[:12], night.state[:12] = 1.0, SUCCESS
    night.errors[:12] = night.calls[:12]
    night.scenario[:12] = np.arange(1_000, 1_012)
    if excuse == "a reward of 0":
        night.outcome[0], night.state[0] = 0.0, FAILURE
    else:
        night.errors[0] -= 1
    assert "every_call_fails" not in touched(night)[0]


def test_successes_that_used_no_tool_they_were_offered_are_named():
    night = quiet()
    rows = some(7, night.state == SUCCESS)
    night.calls[rows] = night.errors[rows] = night.malformed[rows] = 0
    night.tools_offered[rows] = [True] * 5 + [False] * 2
    wire = touched(night)[0]["success_without_tools"]
    assert wire.count == 5
    assert wire.detail.startswith(f"5 of {np.count_nonzero(night.state == SUCCESS)} successes")


def test_malformed_calls_of_successes_trip_above_two_percent():
    night = quiet()
    night.malformed[:] = 0
    won = night.state == SUCCESS
    calls = night.calls[won].sum()
    # Both classes alike, so that only the 2% can trip.
    for rows in (won, ~won):
        night.malformed[some(math.floor(0.019 * calls), rows)] = 1
    assert "malformed_calls" not in touched(night)[0]
    for rows in (won, ~won):
        night.malformed[some(math.ceil(0.021 * calls), rows)] = 1
    wire = touched(night)[0]["malformed_calls"]
    assert wire.count == math.ceil(0.021 * calls)
    assert "(2.1%)" in wire.detail


def test_malformed_calls_trip_where_successes_make_more_than_failures():
    night = quiet()
    night.malformed[:] = 0
    # 20 of about 500 successes and no failure: 4%, and a standard error of about
    # sqrt(.02 * .98 * 2 / 500) = 0.9%. Of 2,700 calls it is 0.7%.
    night.malformed[some(20, night.state == SUCCESS)] = 1
    assert touched(night)[0]["malformed_calls"].count == 20
    # Among failures they are what one expects.
    night.malformed[:] = 0
    night.malformed[some(20, night.state == FAILURE)] = 1
    assert "malformed_calls" not in touched(night)[0]


def test_two_malformed_calls_are_not_looked_at():
    night = quiet(episodes=10)
    night.malformed[:] = 0
    night.malformed[some(2, night.state == SUCCESS)] = 1
    assert "malformed_calls" not in touched(night)[0]


@pytest.mark.parametrize(
    ("kind", "field"), [("length_drift", "characters"), ("asking_drift", "asked_back")]
)
def test_a_mean_that_jumps_trips(kind, field):
    night = quiet(50)
    longer = night._replace(**{field: np.round(getattr(night, field) * 1.6).astype(int)})
    if field == "asked_back":
        longer = night._replace(asked_back=night.asked_back + np.arange(N) % 2)
    wires, _ = touched(longer, after(5))
    assert set(wires) == {kind}
    assert wires[kind].count == np.count_nonzero(night.state == SUCCESS)
    assert "in earlier nights (+" in wires[kind].detail


def test_answers_that_become_shorter_trip_as_well():
    night = quiet(50)
    wires, _ = touched(night._replace(characters=night.characters // 2), after(5))
    assert "(-50%; " in wires["length_drift"].detail


def test_a_change_of_less_than_a_fifth_is_no_drift():
    night = quiet(50)
    longer = night._replace(characters=(night.characters * 1.15).astype(int))
    assert touched(longer, after(5))[0] == {}


def test_drift_needs_earlier_nights():
    night = quiet(50)
    night = night._replace(characters=night.characters * 2)
    assert touched(night, after(DRIFT_NIGHTS - 1))[0] == {}
    assert set(touched(night, after(DRIFT_NIGHTS))[0]) == {"length_drift"}


def test_drift_needs_30_successes_and_keeps_what_was_known():
    kept = after(5)
    night = quiet(50)
    night = night._replace(characters=night.characters * 2)
    few = np.flatnonzero(night.state == SUCCESS)[29:]
    night.state[few] = UNLABELLED
    wires, still = touched(night, kept)
    assert wires == {}
    assert still == kept


def test_a_drift_of_a_few_percent_a_night_is_found():
    kept, found = {}, []
    for number in range(20):
        night = quiet(number)
        slowly = (night.characters * 1.04**number).astype(int)
        wires, kept = tripped(night._replace(characters=slowly), kept)
        found += [number for wire in wires if wire.kind == "length_drift"]
    # After n nights the earlier mean lags by about n / 2 nights of 4%: 20% after some ten.
    assert 8 <= found[0] <= 12


def test_nights_that_always_differ_much_do_not_drift():
    # Every other night has answers twice as long: that is how these nights are.
    kept = {}
    for number in range(12):
        night = quiet(number)
        wires, kept = tripped(night._replace(characters=night.characters * (1 + number % 2)), kept)
        assert wires == []


def test_a_new_habit_stops_alarming_in_time():
    kept = after(5)
    alarms = 0
    for number in range(100):
        night = quiet(1_000 + number)
        wires, kept = tripped(night._replace(characters=night.characters * 3 // 2), kept)
        alarms += len(wires)
    # The earlier mean starts at 1 and has to reach 1.25, from where 1.5 is a fifth more. Five
    # nights at 1 and n at 1.5 have a mean of (5 + 1.5 n) / (5 + n): 1.25 at n = 5.
    assert 4 <= alarms <= 7
    assert kept["length_nights"] == 105


def test_a_mean_is_kept_as_worked_out_by_hand():
    # 30 successes of 100, then of 110, then of 90 characters: a mean of 100; differences of 10
    # and 20, whose mean square is (100 + 400) / 2 = 250.
    kept = {}
    for characters in (100, 110, 90):
        night = quiet()
        night.state[some(N, night.state == SUCCESS)[30:]] = FAILURE
        _, kept = tripped(night._replace(characters=np.full(N, characters)), kept)
    assert kept["length_nights"] == 3
    assert kept["length_mean"] == pytest.approx(100)
    assert kept["length_last"] == 90
    assert kept["length_jumps"] == pytest.approx(250)


@pytest.mark.parametrize("field", ["user", "session"])
def test_one_giver_of_most_of_the_praise_trips(field):
    night = quiet()
    getattr(night, field)[:151] = 1_000
    wire = touched(night)[0]["feedback_dominated"]
    assert wire.count == 151
    assert wire.detail == f"one {field} gave 151 of 300 pieces of positive feedback (50%)"
    getattr(night, field)[150] = -1
    assert "feedback_dominated" not in touched(night)[0]


def test_little_praise_cannot_be_dominated_and_unknown_users_are_many():
    night = quiet()
    alone = night._replace(user=np.zeros(19, int), session=np.zeros(19, int))
    assert touched(alone)[0] == {}
    unknown = night._replace(user=np.full(300, -1), session=np.full(300, -1))
    assert touched(unknown)[0] == {}
    alone = night._replace(user=np.zeros(20, int), session=np.full(20, -1))
    assert touched(alone)[0]["feedback_dominated"].count == 20


def test_outcomes_that_contradict_what_users_show_trip():
    night = quiet()
    lost = (night.outcome == 0) & (np.arange(N) % 3 > 0)
    night.predicted[lost] = 0.95
    wire = touched(night)[0]["sources_disagree"]
    denied = np.count_nonzero((night.outcome == 0) & (night.predicted > 0.8))
    assert denied >= np.count_nonzero(lost) > 100
    assert f"{denied:,} failures looked like successes" in wire.detail
    # What nobody verified contradicts nothing.
    assert "sources_disagree" not in touched(night._replace(outcome=np.full(N, np.nan)))[0]


def test_successes_that_looked_like_failures_disagree_too():
    night = quiet(episodes=60)
    night.outcome[:], night.state[:] = np.nan, UNLABELLED
    night.outcome[:25], night.state[:25] = 1.0, SUCCESS
    night.predicted[:25] = [0.05] * 10 + [0.9] * 15
    night.calls[:], night.errors[:] = 6, 0
    wire = touched(night)[0]["sources_disagree"]
    assert wire.count == 10
    assert "(40%): 0 failures looked like successes, 10 successes like failures" in wire.detail
    # 19 verified episodes are too few.
    night.outcome[19:25], night.state[19:25] = np.nan, UNLABELLED
    assert "sources_disagree" not in touched(night)[0]


def test_predictions_that_are_wrong_as_often_as_they_say_do_not_disagree():
    # Thumbs of 0.81 that are wrong for 23 of 100: more than 20%, and 19 were to be expected, with
    # a standard error of sqrt(100 * .81 * .19) = 3.9.
    night = quiet(episodes=200)
    night.outcome[:], night.state[:] = np.nan, UNLABELLED
    night.outcome[:100], night.predicted[:100] = 1.0, 0.81
    night.outcome[:23] = 0.0
    night.state[:100] = np.where(night.outcome[:100] == 1.0, SUCCESS, FAILURE)
    assert "sources_disagree" not in touched(night)[0]
    # 31 are more than 19 + 3 * 3.9 = 30.8.
    night.outcome[:31], night.state[:31] = 0.0, FAILURE
    assert touched(night)[0]["sources_disagree"].count == 31
