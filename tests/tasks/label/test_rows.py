"""Rows of labels: lists of terms, steps folded by episode, and terms of old labels kept."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.label_config import LabelConfig
from tasks.label.credit import Acts
from tasks.label.evidence import pieces
from tasks.label.past import acts_of, depths, is_in, returns_of
from tasks.label.rows import Terms, both, folded, maybe, returns_under, term_lists

NAN = float("nan")


def terms(count, lengths, rewards):
    """Make terms of some episodes that cost a half and risk a quarter."""
    steps = sum(lengths)
    lists = term_lists(("a",), np.ones((count, 1)), np.ones((count, 1)))
    return Terms(
        {"episode_id": pa.array([f"e{n}" for n in range(count)])},
        np.zeros(count, bool),
        np.full(count, 0.5),
        np.full(count, 0.25),
        lists,
        lists,
        np.array(lengths, np.int64),
        np.array(rewards, np.float64),
        Acts(*(np.arange(steps) for _ in range(3))),
    )


def test_terms_without_an_amount_are_left_out_of_their_list():
    amount = np.array([[1.0, NAN], [NAN, NAN], [2.0, 3.0]])
    found = term_lists(("calls", "usd"), amount, amount / 10)
    assert [[(t["name"], t["amount"], t["part"]) for t in row] for row in found.to_pylist()] == [
        [("calls", 1.0, 0.1)],
        [],
        [("calls", 2.0, 0.2), ("usd", 3.0, 0.3)],
    ]
    assert len(term_lists((), np.zeros((2, 0)), np.zeros((2, 0)))) == 2


def test_steps_are_folded_by_episode_also_where_one_has_none():
    column = folded(np.array([0.1, 0.2, 0.3]), np.array([1, 0, 2]), "step_rewards")
    assert column.to_pylist() == [[0.1], [], [0.2, 0.3]]


def test_what_is_no_number_is_null():
    assert maybe(np.array([0.5, NAN])).to_pylist() == [0.5, None]


def test_new_terms_stand_before_old_ones():
    new, old = terms(1, [2], [0.1, 0.2]), terms(2, [1, 0], [0.3])
    assert both(None, old) is old
    whole = both(new, old)
    assert whole.about["episode_id"].to_pylist() == ["e0", "e0", "e1"]
    assert whole.lengths.tolist() == [2, 1, 0]
    assert whole.rewards.tolist() == [0.1, 0.2, 0.3]
    assert whole.acts.state.tolist() == [0, 1, 0]
    assert len(whole.costs) == 3


def test_returns_go_back_from_the_composite_reward_and_unlabelled_ones_from_nothing():
    made = terms(2, [2, 1], [0.0, 0.2, -0.1])
    config = LabelConfig(discount=0.5)
    total, returns = returns_under(made, np.array([1.0, NAN]), config)
    # 1 - 0.1 * 0.5 - 0.5 * 0.25 = 0.825; the last step has its own 0.2 besides, the first half.
    assert total.tolist() == pytest.approx([0.825, NAN], nan_ok=True)
    assert returns.tolist() == pytest.approx([0.5125, 1.025, -0.1])


@given(st.lists(st.lists(st.booleans(), max_size=4), max_size=6))
def test_depths_count_the_acting_steps_before_each_in_its_own_episode(episodes):
    state = np.array([int(acts) for steps in episodes for acts in steps], np.int64)
    lengths = np.array([len(steps) for steps in episodes], np.int64)
    expected = [sum(steps[:place]) for steps in episodes for place in range(len(steps))]
    assert depths(state, lengths).tolist() == expected


def test_acts_and_returns_of_kept_labels_are_read_back():
    labels = pa.table(
        {
            "step_states": pa.array([[5, 0, 7], [], None], pa.list_(pa.int64())),
            "step_actions": pa.array([[1, 0, 2], [], None], pa.list_(pa.int64())),
            "step_returns": pa.array([[0.1, 0.2, 0.3], [], None], pa.list_(pa.float64())),
            "total": pa.array([None, 0.5, 0.5]),
        }
    )
    acts, lengths = acts_of(labels)
    assert lengths.tolist() == [3, 0, 0]
    assert [column.tolist() for column in acts] == [[5, 0, 7], [1, 0, 2], [0, 1, 1]]
    assert np.isnan(returns_of(labels)).all()


def test_a_piece_is_known_by_its_episode_kind_and_source():
    def piece(row, kind, source):
        return pieces(np.array([row]), kind, source, np.ones(1))

    known = piece(1, "export", "signal a")
    assert is_in(piece(1, "export", "signal a"), known).tolist() == [True]
    for other in (("export", "signal b"), ("reask", "signal a")):
        assert is_in(piece(1, *other), known).tolist() == [False]
    assert is_in(piece(11, "export", "signal a"), known).tolist() == [False]
