"""Repeats in an episode: loops, repeated calls, and a question asked again."""

# ruff: noqa: RUF001 - Chinese marks are meant.

import pytest

from schemas.label_config import SignalConfig
from tasks.label.detect.detect import shown

A, B = ("look", '{"at": 1}'), ("look", '{"at": 2}')


@pytest.fixture
def kinds(blocks):
    """Give some kinds that an episode shows."""

    def go(messages, **config):
        found = shown(blocks(messages), SignalConfig(**config))
        return {kind for kind in ("loop", "repeated_call", "reask") if found[kind][0]}

    return go


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([[A], [B]], set()),
        ([[A], [B], [A]], {"repeated_call"}),
        ([[A], [A], [A]], {"repeated_call", "loop"}),
        # The same three calls in one step are a loop, and no step is made twice.
        ([[A, A, A]], {"loop"}),
        ([[A, B], [A, B]], {"repeated_call"}),
        ([[A, B], [B, A]], set()),
        ([[A, B], [A]], set()),
        ([[("look", "x")], [("lookx", "")]], set()),
        ([[], []], set()),
    ],
)
def test_equal_calls_repeat_and_three_of_them_loop(kinds, agent, user, steps, expected):
    assert kinds([user("go"), *(agent(None, *calls) for calls in steps)]) == expected


def test_a_loop_may_be_shorter(kinds, agent):
    assert "loop" in kinds([agent(None, A), agent(None, A)], loop_calls=2)


@pytest.fixture
def reasked(kinds, user, agent):
    """Say whether the later of two turns asks the earlier again."""

    def go(first, second, **config):
        talk = [user(first), agent("40"), user(second), agent("40")]
        return "reask" in kinds(talk, **config)

    return go


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("How many orders were there in May?", "how many  orders were there in may"),
        ("Show me the sales by region for May", "Please show the sales by region for May!"),
        ("上个月各地区的销售额是多少？", "请问上个月各地区的销售额是多少"),
    ],
)
def test_the_same_question_in_nearly_the_same_words_is_asked_again(reasked, first, second):
    assert reasked(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("How many orders had store 4 in May?", "How many orders had store 5 in May?"),
        ('How many rows say "north" in the table?', 'How many rows say "south" in the table?'),
        ("What is the weather in Paris?", "What is the weather in London?"),
        ("What were the sales of last month by region?", "What were the sales by region?"),
        ("上个月各地区的销售额是多少？", "本月各地区的销售额是多少？"),
        ("the first one please", "the first one please thanks"),
        ("the second", "the second"),
        ("Yes, please proceed with the booking.", "Yes, please proceed with the booking."),
        ("Thank you so much for your help!", "Thank you so much for your help!"),
    ],
)
def test_another_question_and_an_answer_said_twice_are_no_reasks(reasked, first, second):
    assert not reasked(first, second)


def test_without_the_agent_in_between_a_question_is_only_sent_twice(kinds, user, agent):
    ask = user("How many orders were there in May?")
    assert kinds([ask, ask, agent("40")]) == set()
    assert kinds([ask, agent("40"), user("And what about the stores?"), agent("3"), ask]) == {
        "reask"
    }


def test_how_alike_is_configured(reasked):
    # Six words and four more: 6 of 10 are shared.
    first = "sales of tea by region yearly"
    second = "please show me the sales of tea by region yearly"
    assert not reasked(first, second, reask_similarity=0.7)
    assert reasked(first, second, reask_similarity=0.6)
