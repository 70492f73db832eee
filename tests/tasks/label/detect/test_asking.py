"""Over-asking is told from one question back, and from politeness."""

# ruff: noqa: RUF001 - Chinese marks are meant.

import pytest

from schemas.label_config import SignalConfig
from tasks.label.detect.asking import over_asks


@pytest.fixture
def asked_back(blocks, user, agent):
    """Say whether an agent that says these things, one after the other, over-asks."""

    def go(*texts, times=3):
        messages = [user("book a flight")]
        for text in texts:
            messages += [agent(text), user("yes")]
        block = blocks([*messages, agent("Done.")])
        return bool(over_asks(block, SignalConfig(over_asking=times))[0])

    return go


def test_the_third_question_back_is_one_too_many(asked_back):
    assert not asked_back("Which day?", "From where?")
    assert asked_back("Which day?", "From where?", "Window or aisle?")
    assert asked_back("Which day?", times=1)


@pytest.mark.parametrize("end", ["?", "？", "? 😊", "?**", '?"', "?)\n"])
def test_closing_marks_may_follow_the_question_mark(asked_back, end):
    assert asked_back("Which day" + end, times=1)


@pytest.mark.parametrize(
    "text",
    [
        "Done. Is there anything else I can help with?",
        "How can I help you today?",
        "Do you have any further questions?",
        "订好了。还有什么可以帮您？",
        "Why not Monday? It is the cheapest day.",
        "可以吗？请告诉我。",
    ],
)
def test_offers_and_questions_before_the_end_ask_nothing_back(asked_back, text):
    assert not asked_back(text, times=1)


def test_a_question_with_a_call_or_without_a_turn_after_it_waits_for_nobody(
    blocks, user, agent, result
):
    config = SignalConfig(over_asking=1)
    calling = [user("go"), agent("Shall I look?", ("look", "{}")), result(), agent("40.")]
    ending = [user("go"), agent("Which day?")]
    follower = [user("hello"), agent("Hi.")]
    assert not over_asks(blocks(calling, ending, follower), config).any()
