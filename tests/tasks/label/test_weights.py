"""What evidence weighs is learnt from counts, and starts from the defaults."""

import math

import numpy as np
import pytest

from schemas.label_config import LabelConfig
from tasks.label.calibration import bins, expected_calibration_error
from tasks.label.signals import COLUMN, KINDS, Kind
from tasks.label.weights import (
    FAILURE,
    SUCCESS,
    UNLABELLED,
    Counts,
    count,
    judge_speaks,
    left_out,
    sigmoid,
    silent,
    state_of,
    weigh,
)

CONFIG = LabelConfig()
DEFAULTS = [kind.log_odds for kind in KINDS]


def shows(*names, share=1.0):
    row = np.zeros(len(KINDS))
    row[[COLUMN[name] for name in names]] = share
    return row


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def states(shown, silence, prior, config=CONFIG):
    return state_of(np.array(shown), np.array(silence), prior, config).tolist()


def simulated(rates, episodes, seed, success=0.5):
    """Make users who show kind k on a success with rates[k][0], on a failure with rates[k][1]."""
    chance = np.random.default_rng(seed)
    succeeded = chance.random(episodes) < success
    given = np.array(rates)
    rate = np.where(succeeded[:, None], given[:, 0], given[:, 1])
    share = np.zeros((episodes, len(KINDS)))
    share[:, : len(rates)] = chance.random(rate.shape) < rate
    return share, succeeded


RATES = [
    (0.40, 0.02),  # ln 20 = 3.0
    (0.02, 0.40),  # -3.0
    (0.05, 0.30),  # -1.8
    (0.30, 0.06),  # 1.6: thumbs down with the sign turned, against its default
    (0.10, 0.02),  # 1.6
    (0.02, 0.10),  # -1.6
    (0.36, 0.20),  # 0.6
    (0.20, 0.30),  # -0.4
    (0.20, 0.20),  # 0
    (0.30, 0.30),  # 0
]
"""Shares so large that chance alone moves no log-odds by the tolerance: for the rarest, 2% of 6,000
successes, the standard error is 0.09 where 0.6 is allowed."""


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("success", [0.3, 0.5, 0.7])
def test_simulated_users_of_known_reliability_are_recovered(seed, success):
    share, succeeded = simulated(RATES, 20_000, seed, success)
    learnt = weigh(count(share, succeeded), KINDS, CONFIG)
    for column, (given_success, given_failure) in enumerate(RATES):
        true = math.log(given_success / given_failure)
        # Within 20%; where a fifth of the truth is less than 0.1 (|truth| < 0.5), within 0.1.
        assert abs(learnt.log_odds[column] - true) <= max(0.2 * abs(true), 0.1)
    assert learnt.prior == pytest.approx(math.log(success / (1 - success)), abs=0.1)
    assert learnt.learnt[: len(RATES)].all()
    assert not learnt.learnt[len(RATES) :].any()


@pytest.mark.parametrize("name", ["complaint", "thumbs_up", "export", "reask"])
@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_a_signal_that_carries_nothing_loses_its_weight(name, rate):
    chance = np.random.default_rng(7)
    share = np.zeros((20_000, len(KINDS)))
    succeeded = np.arange(20_000) % 2 == 0
    # Exactly the same number of either class shows it.
    order = chance.permutation(10_000) < rate * 10_000
    share[:, COLUMN[name]] = np.repeat(order, 2)
    learnt = weigh(count(share, succeeded), KINDS, CONFIG)
    assert abs(DEFAULTS[COLUMN[name]]) > 1
    assert abs(learnt.log_odds[COLUMN[name]]) < 0.1


def test_without_a_verified_outcome_the_defaults_hold():
    learnt = weigh(Counts.none(len(KINDS)), KINDS, LabelConfig(prior_log_odds=0.3))
    assert learnt.log_odds.tolist() == DEFAULTS
    assert learnt.prior == 0.3
    assert not learnt.learnt.any()


def test_counts_move_a_weight_as_worked_out_by_hand():
    # 30 verified successes, 21 of them exported; 20 verified failures, 2 of them exported.
    # Smoothing 10 towards 0.30 and 0.10: (21 + 3) / (30 + 10) = 0.6, (2 + 1) / (20 + 10) = 0.1.
    # Weight: ln(0.6 / 0.1) = ln 6. Prior: ln((30 + 5) / (20 + 5)) = ln(7 / 5).
    share = np.array(
        [shows("export")] * 21 + [shows()] * 9 + [shows("export")] * 2 + [shows()] * 18
    )
    succeeded = np.array([True] * 30 + [False] * 20)
    counts = count(share, succeeded)
    learnt = weigh(counts, KINDS, CONFIG)
    assert learnt.log_odds[COLUMN["export"]] == pytest.approx(math.log(6))
    assert learnt.prior == pytest.approx(math.log(7 / 5))
    assert counts.failures[COLUMN["export"]] == 2
    assert counts.successes[COLUMN["export"]] == 21
    assert counts.totals.tolist() == [20, 30]


def test_a_kind_keeps_its_default_below_the_least_support():
    # 100 of either class are verified. 19 show a complaint, all of them successes; the twentieth
    # moves it: ln((20 + .3) / (0 + 1.5)), the classes being equal.
    succeeded = np.array([True] * 100 + [False] * 100)
    share = np.zeros((200, len(KINDS)))
    share[:19, COLUMN["complaint"]] = 1
    learnt = weigh(count(share, succeeded), KINDS, CONFIG)
    assert learnt.log_odds.tolist() == DEFAULTS
    assert not learnt.learnt.any()
    share[19, COLUMN["complaint"]] = 1
    learnt = weigh(count(share, succeeded), KINDS, CONFIG)
    assert learnt.log_odds[COLUMN["complaint"]] == pytest.approx(math.log(20.3 / 1.5))
    assert np.flatnonzero(learnt.learnt).tolist() == [COLUMN["complaint"]]


@pytest.mark.parametrize("other", [True, False])
def test_nothing_moves_while_one_class_is_too_small(other):
    # 19 of one class and 500 of the other, however much they show.
    succeeded = np.array([other] * 19 + [not other] * 500)
    learnt = weigh(count(np.ones((519, len(KINDS))), succeeded), KINDS, CONFIG)
    assert learnt.log_odds.tolist() == DEFAULTS
    assert learnt.prior == 0.0
    succeeded = np.array([other] * 20 + [not other] * 500)
    learnt = weigh(count(np.ones((520, len(KINDS))), succeeded), KINDS, CONFIG)
    assert learnt.learnt.all()
    assert learnt.prior != 0.0


def test_evidence_that_counts_for_less_supports_less():
    # 30 episodes that show it at half a share are 15 episodes: below the least support of 20.
    succeeded = np.array([True, False] * 50)
    share = np.zeros((100, len(KINDS)))
    share[:30, COLUMN["thumbs_up"]] = 0.5
    assert not weigh(count(share, succeeded), KINDS, CONFIG).learnt.any()
    share[:40, COLUMN["thumbs_up"]] = 0.5
    assert weigh(count(share, succeeded), KINDS, CONFIG).learnt[COLUMN["thumbs_up"]]


def test_counts_of_nights_add_up_to_those_of_all_at_once():
    share, succeeded = simulated(RATES, 3_000, 1)
    nights = Counts.none(len(KINDS))
    for night in range(0, 3_000, 700):
        nights = nights + count(share[night : night + 700], succeeded[night : night + 700])
    assert same(nights, count(share, succeeded))


def test_what_is_taken_back_leaves_no_trace():
    share, succeeded = simulated(RATES, 1_000, 2)
    whole = count(share, succeeded)
    rest = count(share[300:], succeeded[300:])
    assert same(whole - count(share[:300], succeeded[:300]), rest)
    assert same(whole + count(share[:300], succeeded[:300], sign=-1), rest)


def test_an_episode_does_not_vouch_for_itself():
    config = LabelConfig(min_support=1)
    share = np.array([shows("export"), shows("export"), shows(), shows("complaint")])
    succeeded = np.array([True, False, True, False])
    predicted = left_out(share, succeeded, count(share, succeeded), KINDS, config)
    # The first: the others are one success that shows nothing and two failures, one of which
    # exported and one complained. Shares that export: (0 + 3) / (1 + 10) and (1 + 1) / (2 + 10);
    # that do not complain: (1 + 9.7) / (1 + 10) and (1 + 8.5) / (2 + 10); prior odds of
    # (1 + 5) / (2 + 5).
    odds = (3 / 11) / (2 / 12) * (10.7 / 11) / (9.5 / 12) * 6 / 7
    assert predicted[0] == pytest.approx(odds / (1 + odds))
    # The second: two successes, one of which exported, and one failure that did not but complained.
    # Export: (1 + 3) / (2 + 10) and (0 + 1) / (1 + 10); no complaint: (2 + 9.7) / (2 + 10) and
    # (0 + 8.5) / (1 + 10); prior odds (2 + 5) / (1 + 5).
    odds = (4 / 12) / (1 / 11) * (11.7 / 12) / (8.5 / 11) * 7 / 6
    assert predicted[1] == pytest.approx(odds / (1 + odds))
    # The third shows nothing. No other episode complains, so that the default holds: odds of
    # .03 / .15. No export: (1 + 7) / (2 + 10) and (0 + 9) / (1 + 10), prior as before.
    assert np.isnan(predicted[2])
    odds = 0.03 / 0.15 * (8 / 12) / (9 / 11) * 7 / 6
    assert predicted[3] == pytest.approx(odds / (1 + odds))


def test_leaving_one_out_is_learning_from_the_others():
    chance = np.random.default_rng(3)
    share, succeeded = simulated(RATES, 120, 3)
    share *= chance.choice([1.0, 0.25], share.shape)
    counts = count(share, succeeded)
    config = LabelConfig(min_support=10)
    predicted = left_out(share, succeeded, counts, KINDS, config)
    quiet = silent(share, KINDS)
    for row in range(120):
        others = np.arange(120) != row
        learnt = weigh(count(share[others], succeeded[others]), KINDS, config)
        assert np.count_nonzero(learnt.silence) >= 3
        if share[row].any():
            log_odds = learnt.prior + share[row] @ learnt.log_odds + quiet[row] @ learnt.silence
            assert predicted[row] == pytest.approx(1 / (1 + math.exp(-log_odds)))
        else:
            assert np.isnan(predicted[row])


def test_predictions_of_many_episodes_do_not_depend_on_the_slices(monkeypatch):
    share, succeeded = simulated(RATES, 1_000, 4)
    counts = count(share, succeeded)
    whole = left_out(share, succeeded, counts, KINDS, CONFIG)
    monkeypatch.setattr("tasks.label.weights.SLICE", 64)
    assert np.array_equal(left_out(share, succeeded, counts, KINDS, CONFIG), whole, equal_nan=True)
    assert len(left_out(share[:0], succeeded[:0], counts, KINDS, CONFIG)) == 0


def test_evidence_that_knows_nothing_predicts_the_base_rate():
    # 3 of 4 succeed, and a coin decides who exports: each is predicted at about 0.75.
    chance = np.random.default_rng(5)
    share = np.zeros((8_000, len(KINDS)))
    share[:, COLUMN["export"]] = chance.random(8_000) < 0.5
    succeeded = chance.random(8_000) < 0.75
    predicted = left_out(share, succeeded, count(share, succeeded), KINDS, CONFIG)
    assert np.nanmin(predicted) > 0.72
    assert np.nanmax(predicted) < 0.78


def test_the_prior_makes_no_verdict_of_its_own():
    # Thresholds 0.4 and 0.6: log-odds of -0.405 and 0.405. A hint of -0.3 stays too weak where
    # most episodes fail, and a complaint (-1.6) does not become a success where nearly all succeed.
    assert states([-0.3, 0.3], [0, 0], -1.0) == [UNLABELLED, UNLABELLED]
    assert states([-1.6], [0], 4.0) == [UNLABELLED]
    assert states([-1.6, 1.6], [0, 0], 0.5) == [FAILURE, SUCCESS]
    # It can hold one back: 1.6 - 2.0 = -0.4.
    assert states([1.6], [0], -2.0) == [UNLABELLED]


def test_silence_strengthens_or_weakens_what_is_shown():
    # 0.3 + 0.2 = 0.5 is beyond 0.405, and 1.0 - 0.7 = 0.3 is not; likewise below 0.
    assert states([0.3, 1.0], [0.2, -0.7], 0.0) == [SUCCESS, UNLABELLED]
    assert states([-0.3, -1.0], [-0.2, 0.7], 0.0) == [FAILURE, UNLABELLED]


def test_silence_never_turns_what_is_shown():
    assert states([-0.3, 0.3, 0.0, 0.0], [2.0, -2.0, 2.0, -2.0], 0.0) == [UNLABELLED] * 4
    everything = LabelConfig(success_above=0.5, failure_below=0.5)
    assert states([0.0], [0.0], 0.0, everything) == [UNLABELLED]


def test_silence_weighs_what_the_shares_that_stay_silent_say():
    # 40 of 60 successes export and 10 of 40 failures do: silent (20 + 7) / 70, (30 + 9) / 50.
    share = np.zeros((100, len(KINDS)))
    share[[*range(40), *range(60, 70)], COLUMN["export"]] = 1
    learnt = weigh(count(share, np.arange(100) < 60), KINDS, CONFIG)
    assert learnt.silence[COLUMN["export"]] == pytest.approx(math.log((27 / 70) / (39 / 50)))
    assert np.count_nonzero(learnt.silence) == 1


def test_silence_says_nothing_until_the_kind_is_learnt():
    succeeded = np.arange(200) % 2 == 0
    share = np.zeros((200, len(KINDS)))
    share[:38:2, COLUMN["export"]] = 1  # 19
    assert not weigh(count(share, succeeded), KINDS, CONFIG).silence.any()
    share[38, COLUMN["export"]] = 1
    assert weigh(count(share, succeeded), KINDS, CONFIG).silence[COLUMN["export"]] < -0.1
    # 19 failures: too few to learn anything from.
    few = np.concatenate([share[::2], share[1:39:2]])
    assert not weigh(count(few, np.arange(119) < 100), KINDS, CONFIG).silence.any()


def test_a_judge_that_is_silent_was_not_asked():
    share = np.zeros((200, len(KINDS)))
    share[::4, COLUMN["judge_high"]] = 1
    learnt = weigh(count(share, np.arange(200) % 2 == 0), KINDS, CONFIG)
    assert learnt.learnt[COLUMN["judge_high"]]
    assert not learnt.silence.any()


def test_a_kind_that_shows_equally_often_says_nothing_by_silence():
    share = np.zeros((40_000, len(KINDS)))
    share[:, COLUMN["export"]] = np.arange(40_000) % 4 < 2
    learnt = weigh(count(share, np.arange(40_000) % 2 == 0), KINDS, CONFIG)
    # 10,000 of 20,000 on either end, pulled by 10 towards 0.7 and 0.9: 10,007 to 10,009.
    assert learnt.silence[COLUMN["export"]] == pytest.approx(math.log(10_007 / 10_009))


def test_who_gives_one_of_two_opposites_is_not_silent_about_the_other():
    quiet = silent(
        np.array([shows("score_high"), shows("score_low", share=0.1), shows("export")]), KINDS
    )
    pair = [COLUMN["score_high"], COLUMN["score_low"]]
    assert quiet[:, pair].tolist() == [[False, False], [False, False], [True, True]]
    assert quiet[:, COLUMN["export"]].tolist() == [True, True, False]
    assert quiet[0].sum() == len(KINDS) - 2


def test_a_score_that_every_episode_gets_speaks_once():
    # 6,000 of 8,000 successes score high and 2,000 of 8,000 failures: odds of 3 whichever way.
    share = np.zeros((16_000, len(KINDS)))
    succeeded = np.arange(16_000) < 8_000
    high = np.arange(16_000) % 8_000 < np.where(succeeded, 6_000, 2_000)
    share[high, COLUMN["score_high"]] = 1
    share[~high, COLUMN["score_low"]] = 1
    predicted = left_out(share, succeeded, count(share, succeeded), KINDS, CONFIG)
    assert predicted[high] == pytest.approx(0.75, abs=0.001)
    assert predicted[~high] == pytest.approx(0.25, abs=0.001)


@pytest.mark.parametrize("success", [0.3, 0.5, 0.8])
def test_predictions_of_independent_users_come_true_as_often_as_said(success):
    # Most kinds speak against, so that not to show them speaks for: the defaults, no opposites.
    first, last = COLUMN["correction"], COLUMN["loop"]
    rates = [(kind.given_success, kind.given_failure) for kind in KINDS[first:last]]
    share, succeeded = simulated(rates, 20_000, 6, success)
    share = np.roll(share, first, axis=1)
    counts = count(share, succeeded)
    predicted = left_out(share, succeeded, counts, KINDS, CONFIG)
    assert expected_calibration_error(bins(predicted, succeeded)) < 0.015
    learnt = weigh(counts, KINDS, CONFIG)
    known = ~np.isnan(predicted)
    presence = sigmoid(learnt.prior + share[known] @ learnt.log_odds)
    assert expected_calibration_error(bins(presence, succeeded[known])) > 0.06


def test_leaving_out_the_only_failure_is_no_division_by_nothing():
    share = np.array([shows("export"), shows("reask")])
    counts = count(share, np.array([True, False]))
    config = LabelConfig(smoothing=0.1, min_support=1)
    assert np.isfinite(left_out(share, np.array([True, False]), counts, KINDS, config)).all()
    alone = count(share[:1], np.array([True]))
    assert np.isfinite(left_out(share[:1], np.array([True]), alone, KINDS, config)).all()


def test_a_judge_speaks_only_where_users_have_not_decided():
    feedback = np.array([True, False, False])
    users, silence = np.array([0.1, 0.1, 1.2]), np.zeros(3)
    assert judge_speaks(feedback, users, silence, 0.0, CONFIG).tolist() == [False, True, False]
    # What users show and what they do not decide together, too: 0.3 + 0.2 and 1.2 - 0.9.
    users, silence = np.array([0.1, 0.3, 1.2]), np.array([0.0, 0.2, -0.9])
    assert judge_speaks(feedback, users, silence, 0.0, CONFIG).tolist() == [False, False, True]


def test_a_judge_that_is_not_heard_predicts_nothing():
    none = Counts.none(len(KINDS))
    share = np.array([shows("export", "judge_low"), shows("repeated_call", "judge_low")])
    predicted = left_out(share, np.array([True, True]), none, KINDS, CONFIG)
    # export: odds 3. A repeated call (0.20 / 0.27) is too weak, and the judge (0.25 / 0.60) adds.
    assert predicted[0] == pytest.approx(3 / 4)
    odds = 0.20 / 0.27 * 0.25 / 0.60
    assert predicted[1] == pytest.approx(odds / (1 + odds))


def test_a_kind_of_ones_own_is_learnt_like_any_other():
    kinds = (*KINDS, Kind("greeted", "implicit", 0.2, 0.2, "detector"))
    share = np.zeros((400, len(kinds)))
    succeeded = np.arange(400) % 2 == 0
    share[::4, -1] = 1  # 100 of 200 successes and no failure
    learnt = weigh(count(share, succeeded), kinds, CONFIG)
    assert learnt.log_odds[-1] == pytest.approx(math.log((100 + 2) / (0 + 2)))


def test_probabilities_of_huge_log_odds_do_not_overflow():
    assert sigmoid(np.array([-1e6, 0.0, 1e6])).tolist() == [0.0, 0.5, 1.0]
