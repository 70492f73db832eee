"""Re-asks between episodes of a session: told from branches, other questions and later needs."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.label_config import SignalConfig
from tasks.label.detect.sessions import asked_again

MINUTE = 60_000_000
START = 1_767_261_600_000_000
"""2026-01-01T10:00:00Z in microseconds."""


def again(*episodes, **config):
    """Ask of episodes (session, question, began, ended, line); times in minutes, None unknown."""
    session, question, began, ended, line = zip(*episodes, strict=True)

    def clock(times):
        return np.array([-1 if t is None else START + int(t * MINUTE) for t in times], np.int64)

    found = asked_again(
        np.array(session, np.int64), pa.array(question, pa.string()), clock(began), clock(ended),
        np.array(line, np.int64), SignalConfig(**config),
    )  # fmt: skip
    return found.tolist()


def test_what_began_before_the_end_is_a_branch_and_what_began_after_it_a_reask():
    outer, inner = (0, "how many rows?", 0, 9, 1), (0, "how many rows?", 3, 5, 2)
    assert again(outer, inner) == [False, False]
    assert again(outer, inner, (0, "how many rows?", 9, 10, 3)) == [True, True, False]


def test_branches_that_began_at_one_time_are_no_reasks_of_each_other():
    assert again((0, "q", 1, 1, 1), (0, "q", 1, 1, 2)) == [False, False]
    assert again((0, "q", 1, None, 1), (0, "q", 2, None, 2)) == [True, False]


def test_without_times_a_later_line_decides():
    first, second = (0, "q", None, None, 1), (0, "q", None, None, 2)
    assert again(first, second) == [True, False]
    assert again(second, first) == [False, True]
    assert again(first, first) == [False, False]
    # What has a time comes after what has none, and never before it.
    assert again((0, "q", 5, 6, 1), second) == [False, True]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0, "please show the sales by region for may", 5, 6, 2), True),
        ((0, "show me the sales by region for june", 5, 6, 2), False),
        ((1, "show me the sales by region for may", 5, 6, 2), False),
        ((-1, "show me the sales by region for may", 5, 6, 2), False),
        ((0, "", 5, 6, 2), False),
        ((0, None, 5, 6, 2), False),
    ],
)
def test_a_near_duplicate_in_the_same_session_is_a_reask(other, expected):
    assert again((0, "show me the sales by region for may", 0, 1, 1), other) == [expected, False]


def test_without_a_session_or_a_question_nothing_is_asked_again():
    assert again((-1, "q", 0, 1, 1), (-1, "q", 2, 3, 2)) == [False, False]
    assert again((0, "", 0, 1, 1), (0, "", 2, 3, 2)) == [False, False]
    assert again((0, "q", 0, 1, 1)) == [False]


def test_after_a_day_it_is_a_new_need():
    # It ended at minute 1: minute 1,441 is a day later, and 1,442 more than that.
    assert again((0, "q", 0, 1, 1), (0, "q", 1441, 1442, 2)) == [True, False]
    assert again((0, "q", 0, 1, 1), (0, "q", 1442, 1443, 2)) == [False, False]
    assert again((0, "q", 0, 1, 1), (0, "q", 12, 13, 2), reask_minutes=10) == [False, False]


def test_many_branches_do_not_hide_the_reask_that_follows_them():
    branches = [(0, "q", 1 + number, 100, 2) for number in range(20)]
    found = again((0, "q", 0, 50, 1), *branches, (0, "q", 60, 61, 3))
    # The first ended at minute 50, and the last began at 60; the branches end at 100.
    assert found == [True, *[False] * 21]


EPISODES = st.lists(
    st.tuples(
        st.integers(-1, 2),
        st.sampled_from(["", "q", "r"]),
        st.none() | st.integers(0, 6),
        st.none() | st.integers(0, 6),
        st.integers(1, 4),
    ),
    min_size=1,
    max_size=12,
)


@given(EPISODES, st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_equal_questions_follow_the_definition_pair_by_pair(episodes, minutes):
    def reasks(earlier, later):
        """Say it for one pair, word for word as the definition does."""
        session, question, began, ended, line = earlier
        if session < 0 or not question or later[:2] != (session, question):
            return False
        if began is None:
            return later[2] is not None or later[4] > line
        end = began if ended is None else max(began, ended)
        return later[2] is not None and later[2] > began and end <= later[2] <= end + minutes

    expected = [any(reasks(one, other) for other in episodes) for one in episodes]
    assert again(*episodes, reask_minutes=minutes) == expected
