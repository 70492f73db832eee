"""Numbers of the answer are looked for in what the agent had seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.label.risk.unverifiable import any_within, unverifiable


def share(block, of, answer, seen="", question="how much?"):
    call = of.calls(("run_sql", {}))
    return unverifiable(block([of.user(question), call, of.result(seen), of.agent(answer)]))[0]


@pytest.mark.parametrize(
    ("answer", "seen", "expected"),
    [
        ("It was 421.", "total\n421", 0.0),
        ("It was 421.", "total\n4210", 1.0),
        ("It was $1,234.50.", "1234.5", 0.0),
        ("It was 1234.5", "EUR 1,234.50", 0.0),
        ("It was 421 and 17.", "421", 0.5),
        ("It was 1,234.57", "1234.5678", 0.0),  # a rounding
        ("It was 1235", "1234.5678", 0.0),  # a rounding to whole numbers
        ("It was 1,234.56", "1234.5678", 1.0),  # cut off is not rounded
        ("It was 0.13", "0.125", 0.0),  # a half may go up
        ("It was 1234567890.13", "1234567890.125", 0.0),  # also where binary is coarse
        ("It was 12345678901234567890123", "12345678901234567890123", 0.0),
        ("It was 42.3%", "share\n0.42317", 0.0),
        ("It was 42.3", "share\n0.42317", 1.0),  # without the sign it is another number
        ("It was 42%", "42", 0.0),
        ("The rows are 100 and 200.", "7,100,200", 0.0),  # two columns of data
        ("HAT136 leaves at 12:45", "HAT136,12:45", 0.0),
        ("HAT139 leaves at 12:45", "HAT136,12:45", 1 / 3),
        ("10. item\n11. item with 77", "77", 0.0),  # items of a list do not count
    ],
)
def test_shares(block, of, answer, seen, expected):
    assert share(block, of, answer, seen) == pytest.approx(expected)


@pytest.mark.parametrize("answer", ["All is done.", "There are 5.", "1. one\n2. two", "", None])
def test_an_answer_without_a_number_that_counts_abstains(block, of, answer):
    assert np.isnan(share(block, of, answer, "5"))


def test_years_of_the_question_do_not_count_and_other_years_do(block, of):
    asked = "what was sold in 2023?"
    assert np.isnan(share(block, of, "Nothing in 2023.", question=asked))
    # 2023 is left out; of 2024 and 77 only 77 stands in the results.
    assert share(block, of, "In 2023 it was 77, in 2024 too.", "77", asked) == 0.5
    # As a result it is a number like others.
    assert share(block, of, "In 2023 it was 78", "2023") == 0.5


def test_the_question_and_the_system_prompt_are_seen_too(block, of):
    system, ask = of.said("system", "At most 250 rows."), of.user("the first 100?")
    assert unverifiable(block([system, ask, of.agent("Of 250 I show 100.")])).tolist() == [0.0]


def test_what_the_agent_said_or_asked_for_itself_proves_nothing(block, of):
    call = of.calls(("run_sql", {"query": "SELECT 421"}), content="I think 421")
    made = block([of.user("?"), call, of.result(""), of.agent("so 421"), of.agent("421")])
    assert unverifiable(made).tolist() == [1.0]


def test_the_answer_is_the_last_message_without_calls(block, of):
    call = of.calls(("run_sql", {}), content="let me see 999")
    early = [of.user("?"), of.agent("888"), of.agent("777"), call, of.result("777")]
    only_calls = [of.user("?"), call, of.result("777")]
    found = unverifiable(block(early, only_calls, []))
    assert found == pytest.approx([0.0, np.nan, np.nan], nan_ok=True)


def test_another_episodes_results_do_not_count(block, of):
    made = block(
        [of.user("?"), of.agent("421")], [of.user("421"), of.agent("no 17")], [of.user("17")]
    )
    assert unverifiable(made)[:2].tolist() == [1.0, 1.0]


def test_nothing_seen_at_all_verifies_nothing(block, of):
    assert unverifiable(block([of.agent("421")])).tolist() == [1.0]


FEW = st.tuples(st.integers(0, 2), st.sampled_from([0.0, 0.5, 1.0, 1.75, 2.0, 1e9]))


@given(st.lists(FEW, max_size=6), st.sampled_from([0.0, 0.25, 1.0]), st.lists(FEW, max_size=8))
def test_a_value_is_found_where_one_of_its_episode_is_near_enough(asked, half, there):
    def arrays(pairs):
        return np.array([e for e, _ in pairs], np.int64), np.array([v for _, v in pairs], float)

    owner, value = arrays(asked)
    found = any_within(owner, value, np.full(len(value), half), *arrays(there))
    assert found.tolist() == [
        any(episode == other and abs(a - b) <= half for other, b in there) for episode, a in asked
    ]
