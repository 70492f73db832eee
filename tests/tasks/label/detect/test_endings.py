"""How episodes end: on an error, unanswered, or with no tool used."""

import pytest

from schemas.label_config import SignalConfig
from tasks.label.detect.detect import shown

LOOK = ("look", "{}")


@pytest.fixture
def kind(blocks):
    """Say which episodes show a kind."""

    def go(name, *episodes, tools=None):
        return shown(blocks(*episodes, tools=tools), SignalConfig())[name].tolist()

    return go


def test_the_last_step_with_calls_decides_on_a_final_error(kind, user, agent, result):
    ask, call, bad = user("go"), agent(None, LOOK), result(error=True)
    episodes = [
        [ask, call, bad, agent("It failed.")],
        [ask, call, bad, call, result(), agent("40")],
        [ask, agent(None, LOOK, LOOK), bad, result(), agent("40")],
        [ask, agent("40")],
        [],
    ]
    assert kind("final_error", *episodes) == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("last", "abandoned"),
    [
        ("Thank you so much!", False),
        ("###STOP###", False),
        ("Please transfer me. ###STOP###", False),
        ("bye", False),
        ("Ok, bye!", False),
        ("再见", False),
        ("never mind", True),
        ("算了", True),
        ("And for June?", True),
        ("Thanks, but this is wrong", True),
        (None, True),
    ],
)
def test_a_user_has_the_last_word_only_to_take_leave(kind, user, agent, last, abandoned):
    assert kind("abandoned", [user("how many?"), agent("40"), user(last)]) == [abandoned]


def test_a_call_or_its_result_is_no_answer_but_to_finish_is(kind, user, agent, result):
    ask = user("go")
    episodes = [
        [ask, agent("I look.", LOOK)],
        [ask, agent(None, LOOK), result()],
        [ask, agent(None, LOOK), result(), agent("40")],
        [ask, agent("40", ("finish", "{}"))],
        [ask, agent(None, LOOK), result(), agent(None, ("Submit", "{}")), result()],
        [ask, agent(None, ("finish", "{}"), LOOK), result()],
    ]
    assert kind("abandoned", *episodes) == [True, True, False, False, False, True]


def test_where_the_agent_did_nothing_nobody_abandoned_it(kind, user, agent):
    episodes = [[user("go")], [], [agent("Hello!"), user("go")]]
    assert kind("abandoned", *episodes) == [False, False, True]


def test_no_tool_evidence_needs_an_offer_a_step_and_no_call(kind, user, agent, result):
    episodes = [
        [user("go"), agent("40")],
        [user("go"), agent(None, LOOK), result(), agent("40")],
        [user("go")],
    ]
    assert kind("no_tool_evidence", *episodes, tools='[{"name":"look"}]') == [True, False, False]
    assert kind("no_tool_evidence", *episodes, tools="[]") == [False] * 3
    assert kind("no_tool_evidence", *episodes) == [False] * 3
