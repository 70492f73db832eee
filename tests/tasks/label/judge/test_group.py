"""Groups hold episodes of one scenario, at least one wanted, and anchors where there are any."""

import numpy as np
import pytest

from tasks.label.judge.group import groups


def drawn(scenario, wanted, anchors, size=4, seed=0):
    found = groups(
        np.array(scenario, np.int64),
        np.array(wanted, bool),
        np.array(anchors, bool),
        size,
        np.random.default_rng(seed),
    )
    return [group.tolist() for group in found]


def test_seven_wanted_and_one_anchor_make_two_groups_of_four():
    # Eight episodes fill two groups of four; the anchor sits with three, not beside four.
    found = drawn([5] * 8, [1] * 7 + [0], [0] * 7 + [1])
    assert sorted(map(len, found)) == [4, 4]
    assert sorted(row for group in found for row in group) == list(range(8))


def test_nine_wanted_and_nothing_verified_make_three_groups_of_three():
    assert [len(group) for group in drawn([1] * 9, [1] * 9, [0] * 9)] == [3, 3, 3]


def test_one_wanted_episode_is_compared_with_two_verified_ones_at_most():
    found = drawn([3] * 6, [1, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1])
    assert len(found) == 1
    assert len(found[0]) == 3
    assert found[0][0] == 0


def test_who_would_stand_alone_or_has_no_scenario_is_left_out():
    assert drawn([1, 2, -1, -1], [1, 1, 1, 1], [0, 0, 0, 0]) == []
    assert drawn([], [], []) == []


def test_what_is_neither_wanted_nor_verified_is_not_shown():
    assert drawn([1, 1, 1], [1, 1, 0], [0, 0, 0]) == [[0, 1]]
    assert drawn([1, 1, 1], [0, 0, 0], [1, 1, 1]) == []


def test_pairs_of_two_leave_out_an_odd_one_only_without_an_anchor_for_it():
    assert sorted(map(len, drawn([1] * 3, [1] * 3, [0] * 3, size=2))) == [2]
    assert sorted(map(len, drawn([1] * 4, [1, 1, 1, 0], [0, 0, 0, 1], size=2))) == [2, 2]


@pytest.mark.parametrize("size", [2, 3, 4, 8])
def test_many_scenarios_keep_every_promise(size):
    rng = np.random.default_rng(size)
    scenario = rng.integers(-1, 60, 1000)
    wanted = rng.random(1000) < 0.5
    anchors = rng.random(1000) < 0.3  # some are wanted, too: they are no anchors then
    found = groups(scenario, wanted, anchors, size, np.random.default_rng(1))
    members = np.concatenate(found)
    assert len(set(members.tolist())) == len(members)
    spare = anchors & ~wanted
    for group in found:
        assert 2 <= len(group) <= size
        assert len(set(scenario[group].tolist())) == 1
        assert scenario[group[0]] >= 0
        assert wanted[group].any()
        assert (wanted | spare)[group].all()
        assert spare[group].sum() <= 2
    for code in range(60):  # a wanted one is left out only where it would be alone
        inside = scenario == code
        left = (inside & wanted).sum() - wanted[members[scenario[members] == code]].sum()
        assert left <= (1 if size == 2 or (inside & (wanted | spare)).sum() < 2 else 0)
        # as many anchors as there are, or one in every group
        of_code = [group for group in found if scenario[group[0]] == code]
        seated = sum(bool(spare[group].any()) for group in of_code)
        assert seated >= min(len(of_code), (inside & spare).sum())


def test_the_same_seed_draws_the_same_groups_and_another_one_others():
    scenario = [1] * 40 + [2] * 40
    one = drawn(scenario, [1] * 80, [0] * 80, seed=1)
    assert one == drawn(scenario, [1] * 80, [0] * 80, seed=1)
    assert one != drawn(scenario, [1] * 80, [0] * 80, seed=2)
