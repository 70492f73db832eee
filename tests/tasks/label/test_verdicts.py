"""A verified outcome decides, else what the evidence weighs."""

import math

import numpy as np
import pytest

from schemas.label_config import LabelConfig
from tasks.label.signals import COLUMN, KINDS
from tasks.label.verdicts import STATES, TIERS, verdicts
from tasks.label.weights import Counts, count, left_out, weigh

DEFAULTS = weigh(Counts.none(len(KINDS)), KINDS, LabelConfig())


def shows(**shares):
    row = np.zeros(len(KINDS))
    for name, share in shares.items():
        row[COLUMN[name]] = share
    return row


def all_of(share, outcome=np.nan, *, broken=False, prior=0.0, config=None):
    return verdicts(
        share[None],
        np.array([outcome]),
        np.array([broken]),
        DEFAULTS._replace(prior=prior),
        KINDS,
        config or LabelConfig(),
    )


def one_of(share, weights, outcome=np.nan):
    none = np.array([False])
    return verdicts(share[None], np.array([outcome]), none, weights, KINDS, LabelConfig())


def verdict(share, outcome=np.nan, **more):
    made = all_of(share, outcome, **more)
    return STATES[made.state[0]], made.success[0], made.confidence[0], TIERS[made.decided_by[0]]


def test_log_odds_add_up():
    # thumbs_up: ln(.30 / .06) = ln 5; reask: ln(.08 / .30). 5 * 4 / 15 = 4 / 3, so 4 / 7: too
    # little either way.
    state, success, confidence, tier = verdict(shows(thumbs_up=1, reask=1))
    assert (state, confidence, tier) == ("unlabelled", 0, "")
    assert np.isnan(success)
    # thumbs_up and export: odds 5 * 3 = 15, so 15 / 16 and a confidence of 7 / 8.
    state, success, confidence, tier = verdict(shows(thumbs_up=1, export=1))
    assert (state, tier) == ("success", "feedback")
    assert success == pytest.approx(15 / 16)
    assert confidence == pytest.approx(7 / 8)


def test_the_prior_is_added():
    # Odds of 2 before the export (3): 6, so 6 / 7. 1 / 2 before the re-ask (4 / 15): 4 / 30.
    assert verdict(shows(export=1), prior=math.log(2))[1] == pytest.approx(6 / 7)
    assert verdict(shows(reask=1), prior=-math.log(2))[1] == pytest.approx(4 / 34)


def test_evidence_counts_by_its_share():
    # Half a thumb and an export: odds of sqrt(5) * 3.
    odds = math.sqrt(5) * 3
    made = all_of(shows(thumbs_up=0.5, export=1))
    assert made.success[0] == pytest.approx(odds / (1 + odds))
    assert made.contribution[0, COLUMN["thumbs_up"]] == pytest.approx(math.log(5) / 2)
    assert made.contribution[0, COLUMN["export"]] == pytest.approx(math.log(3))
    assert np.count_nonzero(made.contribution) == 2


def test_a_thumb_that_hardly_counts_labels_nothing():
    # A fifth of a thumb: odds of 5 ** 0.2 = 1.38, so 0.58.
    assert verdict(shows(thumbs_up=0.2))[0] == "unlabelled"


def test_no_evidence_is_unlabelled_whatever_the_prior():
    assert verdict(shows(), prior=5.0)[0] == "unlabelled"
    assert verdict(shows(), prior=-5.0)[0] == "unlabelled"


def test_evidence_against_is_no_success_however_many_succeed():
    # 4 / 15 * 50: odds of 13.3, and yet the only thing that was seen is a re-ask.
    assert verdict(shows(reask=1), prior=math.log(50))[0] == "unlabelled"


def test_a_verified_outcome_overrules_all_else():
    made = all_of(shows(thumbs_up=1, export=1), 0.0)
    assert (STATES[made.state[0]], TIERS[made.decided_by[0]]) == ("failure", "outcome")
    assert not made.contribution.any()
    assert verdict(shows(complaint=1), 1.0)[::3] == ("success", "outcome")
    assert verdict(shows(), 1.0, prior=-9.0)[::3] == ("success", "outcome")


def test_a_verified_outcome_is_not_believed_beyond_99_percent():
    # e ** 4.6 = 99.48, so 99.48 / 100.48 = 0.990.
    assert verdict(shows(), 1.0)[1] == pytest.approx(0.990, abs=5e-4)
    assert verdict(shows(), 0.0)[1] == pytest.approx(0.010, abs=5e-4)


def test_a_verified_outcome_decides_under_any_threshold():
    strict = LabelConfig(success_above=1.0, failure_below=0.0)
    assert verdict(shows(), 1.0, config=strict)[0] == "success"
    assert verdict(shows(), 0.0, config=strict)[0] == "failure"
    assert verdict(shows(thumbs_up=1), config=strict)[0] == "unlabelled"


def test_partial_credit_of_a_verifier_is_no_success():
    assert verdict(shows(), 0.5)[0] == "failure"
    assert verdict(shows(), 0.99)[0] == "failure"
    assert verdict(shows(), 0.9995)[0] == "success"


@pytest.mark.parametrize("outcome", [0.0, 1.0, np.nan])
def test_an_infrastructure_error_is_neither(outcome):
    state, success, confidence, tier = verdict(shows(complaint=1), outcome, broken=True)
    assert (state, confidence, tier) == ("unlabelled", 0, "")
    assert np.isnan(success)


@pytest.mark.parametrize("name", ["repeated_call", "no_tool_evidence"])
@pytest.mark.parametrize("prior", [-2.0, 0.0, 2.0])
def test_weak_hints_alone_label_nothing(name, prior):
    assert verdict(shows(**{name: 1}), prior=prior)[0] == "unlabelled"


def test_the_tier_is_the_best_that_is_there():
    assert verdict(shows(thumbs_up=1, export=1, judge_low=1))[3] == "feedback"
    assert verdict(shows(export=1, judge_low=1))[3] == "implicit"
    assert verdict(shows(judge_low=1))[3] == "judge"
    assert verdict(shows(judge_low=1, repeated_call=1))[3] == "judge"


def test_a_judge_never_overrules_what_users_showed():
    # An export (odds 3) decides; the judge, who would leave 3 * 25 / 60 = 1.25, is not heard.
    made = all_of(shows(export=1, judge_low=1))
    assert made.success[0] == pytest.approx(3 / 4)
    assert made.contribution[0, COLUMN["judge_low"]] == 0
    # Feedback that comes to nothing is not overruled either.
    assert verdict(shows(thumbs_up=1, reask=1, judge_high=1))[0] == "unlabelled"


def test_a_judge_adds_to_a_hint_that_is_too_weak():
    # A repeated call, 20 / 27, and the judge's 25 / 60.
    odds = 20 / 27 * 25 / 60
    made = all_of(shows(repeated_call=1, judge_low=1))
    assert STATES[made.state[0]] == "failure"
    assert made.success[0] == pytest.approx(odds / (1 + odds))
    assert made.contribution[0, COLUMN["judge_low"]] == pytest.approx(math.log(25 / 60))


def test_episodes_are_weighed_one_by_one():
    # A mixed block comes to what each episode comes to alone.
    chance = np.random.default_rng(0)
    share = chance.choice([0.0, 0.5, 1.0], (300, len(KINDS)), p=[0.9, 0.05, 0.05])
    outcome = chance.choice([0.0, 1.0, np.nan], 300, p=[0.1, 0.1, 0.8])
    broken = chance.random(300) < 0.1
    made = verdicts(share, outcome, broken, DEFAULTS, KINDS, LabelConfig())
    for row in range(300):
        alone = all_of(share[row], outcome[row], broken=broken[row])
        for field, single in zip(made, alone, strict=True):
            assert field[row] == pytest.approx(single[0], nan_ok=True)
    assert {STATES[code] for code in made.state} == set(STATES)
    assert {TIERS[code] for code in made.decided_by} == set(TIERS)


def test_a_prediction_of_a_verified_episode_is_the_verdict_it_would_have_had():
    # Far from the thresholds and among many others, leaving one out changes next to nothing.
    chance = np.random.default_rng(1)
    share = np.zeros((4_000, len(KINDS)))
    succeeded = chance.random(4_000) < 0.5
    share[:, COLUMN["export"]] = chance.random(4_000) < np.where(succeeded, 0.6, 0.2)
    share[:, COLUMN["repeated_call"]] = chance.random(4_000) < np.where(succeeded, 0.2, 0.27)
    share[:, COLUMN["judge_low"]] = chance.random(4_000) < np.where(succeeded, 0.4, 0.6)
    counts = count(share, succeeded)
    weights = weigh(counts, KINDS, LabelConfig())
    nobody = np.full(4_000, np.nan)
    made = verdicts(share, nobody, np.zeros(4_000, bool), weights, KINDS, LabelConfig())
    predicted = left_out(share, succeeded, counts, KINDS, LabelConfig())
    labelled = made.state > 0
    assert labelled.sum() > 1_000
    assert predicted[labelled] == pytest.approx(made.success[labelled], abs=0.002)


def quiet_about(**silence):
    """Take the default weights, and silence of some kinds as if learnt."""
    return DEFAULTS._replace(prior=0.2, silence=shows(**silence))


def test_silence_adds_to_what_is_shown():
    # An export (odds 3), and ln 2 and -0.1 for what is not shown: 3 * 2 * exp(-0.1) * exp(0.2).
    learnt = quiet_about(reask=math.log(2), complaint=-0.1, export=-0.7)
    made = one_of(shows(export=1), learnt)
    odds = 6 * math.exp(0.1)
    assert made.success[0] == pytest.approx(odds / (1 + odds))
    assert made.silence[0] == pytest.approx(math.log(2) - 0.1)
    assert made.contribution[0].sum() == pytest.approx(math.log(3))


def test_silence_of_opposites_counts_once_nobody_spoke():
    learnt = quiet_about(thumbs_up=-0.3, thumbs_down=0.25)
    assert one_of(shows(thumbs_up=0.5), learnt).silence[0] == 0
    assert one_of(shows(thumbs_down=1), learnt).silence[0] == 0
    assert one_of(shows(export=1), learnt).silence[0] == pytest.approx(-0.05)


def test_an_episode_that_shows_nothing_is_unlabelled_however_its_silence_weighs():
    for weight in (-9.0, 9.0):
        made = one_of(shows(), quiet_about(export=weight))
        assert (STATES[made.state[0]], made.silence[0]) == ("unlabelled", 0)


def test_a_verified_outcome_leaves_silence_nothing_to_say():
    made = one_of(shows(export=1), quiet_about(reask=-3.0), outcome=1.0)
    assert (STATES[made.state[0]], made.silence[0]) == ("success", 0)


def test_a_hint_of_failure_makes_no_success_of_silence():
    # A repeated call, ln(20 / 27) = -0.3, and 2 for what is not shown: 1.9 with the prior of 0.2.
    made = one_of(shows(repeated_call=1), quiet_about(complaint=2.0))
    assert STATES[made.state[0]] == "unlabelled"
    assert made.silence[0] == pytest.approx(2.0)


def test_a_judge_is_heard_over_the_silence_of_users():
    # odds of 60 / 25 and exp(-0.4 + 0.2): what users do not show counts beside the judge.
    made = one_of(shows(judge_high=1), quiet_about(export=-0.4))
    odds = 60 / 25 * math.exp(-0.2)
    assert TIERS[made.decided_by[0]] == "judge"
    assert made.success[0] == pytest.approx(odds / (1 + odds))


def test_a_judge_is_not_heard_where_a_hint_and_silence_decide():
    # -0.3 - 0.5, and 0.2 before: odds of 20 / 27 * exp(-0.3), 0.35.
    made = one_of(shows(repeated_call=1, judge_high=1), quiet_about(export=-0.5))
    odds = 20 / 27 * math.exp(-0.3)
    assert TIERS[made.decided_by[0]] == "implicit"
    assert made.success[0] == pytest.approx(odds / (1 + odds))
    assert made.contribution[0, COLUMN["judge_high"]] == 0


def test_prior_contributions_and_silence_are_the_log_odds():
    chance = np.random.default_rng(2)
    share = chance.choice([0.0, 0.5, 1.0], (3_000, len(KINDS)), p=[0.9, 0.05, 0.05])
    weights = weigh(count(share, chance.random(3_000) < 0.5), KINDS, LabelConfig())
    assert np.count_nonzero(weights.silence) == len(KINDS) - 2
    nobody = np.full(3_000, np.nan)
    strict = LabelConfig(success_above=0.5, failure_below=0.5)
    made = verdicts(share, nobody, np.zeros(3_000, bool), weights, KINDS, strict)
    log_odds = weights.prior + made.contribution.sum(axis=1) + made.silence
    labelled = made.state > 0
    assert labelled.sum() > 500
    assert made.success[labelled] == pytest.approx(1 / (1 + np.exp(-log_odds[labelled])))


def test_no_episodes_make_no_verdicts():
    none = np.zeros(0)
    empty = np.zeros((0, len(KINDS)))
    made = verdicts(empty, none, none.astype(bool), DEFAULTS, KINDS, LabelConfig())
    assert len(made.state) == 0
    assert made.contribution.shape == (0, len(KINDS))
