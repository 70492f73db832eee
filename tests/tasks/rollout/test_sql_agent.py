"""The SQL agent's environment: its tools, its errors, and a verifier that is not fooled."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.rollout.sql_agent import answers_match
from tasks.rollout.tenants import ROWS

At = Callable[..., Any]


def test_a_table_is_described_by_its_columns_in_order(at: At) -> None:
    environment, tenant = at()
    assert environment.describe_table(tenant.table) == " ".join(tenant.columns)


def test_a_moved_table_says_where_it_is(at: At) -> None:
    environment, tenant = at(moved=True)
    told = environment.describe_table(tenant.noun)
    assert told == f"Error: {tenant.noun} moved to {tenant.table}"
    assert environment.describe_table(tenant.table) == " ".join(tenant.columns)


def test_a_table_that_is_not_there_is_an_error(at: At) -> None:
    environment, _ = at()
    assert environment.describe_table("nothing") == "Error: no table nothing"


def test_the_calendar_tells_the_tenants_own_day(at: At) -> None:
    environment, tenant = at()
    assert environment.calendar() == tenant.today.isoformat()


def test_rows_are_put_into_one_line(at: At) -> None:
    environment, _ = at()
    assert (
        environment.run_sql("SELECT 1, 'a' UNION ALL SELECT 2, NULL ORDER BY 1") == "1, a; 2, NULL"
    )


def test_at_most_five_rows_are_shown(at: At) -> None:
    environment, _ = at()
    assert environment.run_sql("SELECT * FROM range(9)") == "0; 1; 2; 3; 4"


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("SELECT * FROM nothing", "Error: no table nothing"),
        ("SELEC 1", "Error: bad query"),
        ("", "Error: bad query"),
    ],
)
def test_a_wrong_query_is_a_short_error(at: At, query: str, error: str) -> None:
    environment, _ = at()
    assert environment.run_sql(query) == error


def test_a_wrong_column_is_named(at: At) -> None:
    environment, tenant = at()
    told = environment.run_sql(f"SELECT nothing FROM {tenant.table}")
    assert told == "Error: no column nothing"


def test_writing_is_refused_and_leaves_the_data_alone(at: At) -> None:
    environment, tenant = at()
    for query in (f"DROP TABLE {tenant.table}", f"DELETE FROM {tenant.table}"):
        assert environment.run_sql(query).startswith("Error:")
    assert environment.run_sql(f"SELECT COUNT(*) FROM {tenant.table}") == str(ROWS)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("100 * 41 / 300", "13.7"),  # 13.666...
        ("7 - 12", "-5"),
        ("2 + 3 * 4", "14"),
        ("-(3) + 1.5", "-1.5"),
        ("10 / 4", "2.5"),
        ("1 / 0", "Error: bad expression"),
        ("2 ** 9", "Error: bad expression"),
        ("__import__('os')", "Error: bad expression"),
        ("1 +", "Error: bad expression"),
        ("1e999 * 1", "Error: bad expression"),
        ("1 + " * 40 + "1", "Error: expression too long"),
    ],
)
def test_the_calculator_knows_four_operations(at: At, expression: str, value: str) -> None:
    environment, _ = at()
    assert environment.calculate(expression) == value


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("It is 41.", "41"),
        ("41", "41"),
        ("Out of 300 rows it is 41.", "41"),  # the last number counts
        ("It is 1,234.", "1234"),
        ("It is -5.", "-5"),
        ("It is 13.7.", "13.7"),
        ("It is 13.7", "13.66"),  # within rounding to one decimal
        ("It is tea.", "tea"),
        ("tea", "tea"),
    ],
)
def test_a_right_answer_matches(answer: str, gold: str) -> None:
    assert answers_match(answer, gold)


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("It is 42.", "41"),
        ("It is 41.5.", "41"),
        ("It is 13.6.", "13.7"),
        ("It is 137.", "13.7"),
        ("It is 5.", "-5"),
        ("It is 410.", "41"),
        ("41 or 42.", "41"),
        ("I could not find it.", "41"),
        ("", "41"),
        ("It is teapot.", "tea"),
        ("It is coffee.", "tea"),
        # All products there are, so that one of them is right.
        ("It is tea or coffee or rice or fruit or bread or fish or soap or paper.", "tea"),
    ],
)
def test_a_wrong_or_evasive_answer_does_not_match(answer: str, gold: str) -> None:
    assert not answers_match(answer, gold)


def test_a_right_answer_that_rests_on_a_query_is_paid(at: At) -> None:
    environment, _ = at(gold_sql="SELECT 41")
    environment.run_sql("SELECT 41")
    environment._finish("It is 41.")
    assert environment.get_reward() == 1.0


def test_a_wrong_answer_is_not_paid(at: At) -> None:
    environment, _ = at(gold_sql="SELECT 41")
    environment.run_sql("SELECT 41")
    environment._finish("It is 42.")
    assert environment.get_reward() == 0.0


def test_a_guess_without_a_query_is_not_paid(at: At) -> None:
    environment, _ = at(gold_sql="SELECT 41")
    environment._finish("It is 41.")
    assert environment.get_reward() == 0.0


def test_a_malformed_call_is_not_paid_whatever_the_text_says(at: At) -> None:
    environment, _ = at(gold_sql="SELECT 41")
    environment.run_sql("SELECT 41")
    environment._finish("<tool_call>41", malformed=True)
    assert environment.get_reward() == 0.0


def test_no_answer_is_not_paid(at: At) -> None:
    environment, _ = at(gold_sql="SELECT 41")
    environment.run_sql("SELECT 41")
    environment._finish(None)
    assert environment.get_reward() == 0.0


def test_an_environment_that_is_reset_forgets_the_last_episode(at: At) -> None:
    environment, tenant = at(gold_sql="SELECT 41")
    environment.run_sql("SELECT 41")
    environment._finish("It is 41.")
    environment.reset(tenant=tenant.name, gold_sql="SELECT 41")
    assert environment.get_reward() == 0.0
    environment._finish("It is 41.")
    assert environment.get_reward() == 0.0  # no query yet in this episode
