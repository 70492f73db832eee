"""One user or session cannot outvote the others."""

import numpy as np
import pytest

from schemas.label_config import LabelConfig, SignalConfig
from tasks.label.shares import shares
from tasks.label.signals import COLUMN, KINDS
from tasks.label.weights import count, weigh

CONFIG = SignalConfig()
UP, DOWN = COLUMN["thumbs_up"], COLUMN["thumbs_down"]


def given(user, session=None, kind=UP, positive=True):
    user = np.asarray(user)
    n = len(user)
    session = np.full(n, -1) if session is None else np.asarray(session)
    return shares(np.broadcast_to(kind, n), user, session, np.broadcast_to(positive, n), CONFIG)


def test_one_user_with_most_thumbs_keeps_what_the_cap_allows():
    # 1,200 thumbs, 1,000 of them from user 0, the rest two each from 100 others. A twentieth of
    # 1,200 is 60: that is what remains of the 1,000, each counting 0.06. The others count in full.
    user = np.concatenate([np.zeros(1_000, int), np.repeat(np.arange(1, 101), 2)])
    share = given(user)
    assert share[:1_000] == pytest.approx(0.06)
    assert share[:1_000].sum() == pytest.approx(60)
    assert (share[1_000:] == 1).all()


@pytest.mark.parametrize(("kind", "positive"), [(UP, True), (DOWN, False)])
def test_blame_is_capped_like_praise(kind, positive):
    share = given(np.zeros(100, int), kind=kind, positive=positive)
    # All 100 from one user: a twentieth is 5, less than the floor of 10.
    assert share.sum() == pytest.approx(10)


def test_a_few_pieces_always_count_in_full():
    # 10 pieces, all of one user: the floor.
    assert (given(np.zeros(10, int)) == 1).all()
    assert given(np.zeros(11, int)) == pytest.approx(10 / 11)


def test_kinds_are_capped_apart():
    # User 0 gives 20 thumbs and 5 corrections: the thumbs are halved, the corrections are not.
    kind = np.array([UP] * 20 + [COLUMN["correction"]] * 5)
    share = given(np.zeros(25, int), kind=kind)
    assert share[:20] == pytest.approx(0.5)
    assert (share[20:] == 1).all()


def test_unknown_users_are_many_users():
    assert (given(np.full(5_000, -1)) == 1).all()


def test_unknown_users_are_capped_by_session():
    # 100 pieces of unknown users: 40 in session 7, the others in one each.
    session = np.concatenate([np.full(40, 7), np.arange(100, 160)])
    share = given(np.full(100, -1), session)
    assert share[:40] == pytest.approx(10 / 40)
    assert (share[40:] == 1).all()


def test_the_smaller_share_holds():
    # User 0 gives 20 in session 0 and 20 in session 1: 10 / 40 by user, 10 / 20 by session. User 1
    # shares session 1 and gives 5: not capped as a user, and 10 / 25 by that session.
    user = np.array([0] * 40 + [1] * 5)
    session = np.array([0] * 20 + [1] * 25)
    share = given(user, session)
    assert share[:40] == pytest.approx(0.25)
    assert share[40:] == pytest.approx(0.4)


def test_the_order_of_pieces_does_not_matter():
    chance = np.random.default_rng(0)
    user, session = chance.integers(-1, 5, 300), chance.integers(-1, 9, 300)
    kind = chance.integers(0, 4, 300)
    order = chance.permutation(300)
    mixed = given(user[order], session[order], kind[order])
    assert np.array_equal(mixed, given(user, session, kind)[order])


def test_no_user_or_session_ever_exceeds_the_cap():
    chance = np.random.default_rng(1)
    user, session = chance.geometric(0.3, 2_000) - 2, chance.geometric(0.1, 2_000) - 2
    share = given(user, session)
    for giver in (user, session):
        heard = np.bincount(giver[giver >= 0], share[giver >= 0])
        assert heard.max() <= 100 + 1e-9  # a twentieth of 2,000
    assert share.min() > 0


def test_no_feedback_has_no_shares():
    assert given(np.zeros(0, int), kind=np.zeros(0, int)).shape == (0,)


def test_one_user_moves_a_weight_far_less_than_without_the_cap():
    # 400 verified failures that a bot thumbed up, against 100 honest thumbs on 500 successes and
    # 500 other failures.
    share = np.zeros((1_400, len(KINDS)))
    share[:400, UP] = 1
    share[400:500, UP] = 1
    succeeded = np.zeros(1_400, bool)
    succeeded[400:900] = True
    taken_in = weigh(count(share, succeeded), KINDS, LabelConfig()).log_odds[UP]
    user = np.concatenate([np.zeros(400, int), np.arange(1, 101)])
    share[:500, UP] = given(user)
    capped = weigh(count(share, succeeded), KINDS, LabelConfig()).log_odds[UP]
    # ln((100 + 3) / 510 * 910 / (400 + .6)) = -0.78: a thumb up would speak against. Capped, the
    # 400 count 25: ln((100 + 3) / 510 * 910 / (25 + .6)) = 1.97.
    assert taken_in == pytest.approx(-0.78, abs=0.01)
    assert capped == pytest.approx(1.97, abs=0.01)
