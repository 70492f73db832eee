"""Turns: ids are given anew, results find their calls, and what cannot be said has a reason."""

import msgspec
import pytest

from tasks.export.conversation import Call, UnfitError, tools_of, turns


def stored(*messages):
    return msgspec.to_builtins(list(messages))


def test_ids_are_unique_where_the_log_gave_one_id_to_all_calls(make):
    made = turns(stored(*make.prompt, *make.work))
    assert [c.id for t in made for c in t.calls] == ["call00000", "call00001", "call00002"]
    # Two results of one id answer the first and the second call, in order.
    assert [t.answers for t in made if t.role == "tool"] == ["call00000", "call00001", "call00002"]


def test_a_result_goes_to_the_call_that_its_id_names_whatever_the_order(make):
    asked = make.say("assistant", None, make.call("f", "{}", "a"), make.call("g", "{}", "b"))
    made = turns(
        stored(asked, make.say("tool", "g", tool_call_id="b"),
               make.say("tool", "f", tool_call_id="a"))
    )  # fmt: skip
    assert [t.answers for t in made] == [None, "call00001", "call00000"]


def test_results_without_ids_go_to_the_calls_in_order_and_one_too_many_to_none(make):
    asked = make.say("assistant", None, make.call("f", "{}"), make.call("g", "{}"))
    made = turns(stored(asked, *(make.say("tool", text) for text in "abc")))
    assert [t.answers for t in made[1:]] == ["call00000", "call00001", None]


def test_what_continues_a_prompt_counts_its_ids_on_and_answers_its_open_calls(make):
    asked = make.say("assistant", None, make.call("f", "{}", "x"), make.call("g", "{}", "y"))
    before = turns(stored(asked, make.say("tool", "1", tool_call_id="x")))
    after = turns(
        stored(make.say("tool", "2"), make.say("assistant", None, make.call("f", "{}", "x"))),
        before=before,
    )
    assert after[0].answers == "call00001"
    assert after[1].calls == [Call("call00002", "f", {})]


def test_the_agents_messages_are_taught_where_older_builds_have_no_mask(make):
    messages = stored(*make.prompt, *make.work)
    by_role = [False, False, True, False, False, True, False, True]
    assert [t.taught for t in turns(messages)] == by_role
    assert [t.taught for t in turns(messages, [])] == by_role
    one = [False] * 7 + [True]
    assert [t.taught for t in turns(messages, one)] == one
    with pytest.raises(UnfitError, match="mask has another length"):
        turns(messages, [True])


@pytest.mark.parametrize(
    "arguments",
    ["", "{", "[1]", '"a"', "3", "null", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}',
     "[" * 5000],
)  # fmt: skip
def test_arguments_that_are_no_object_make_a_row_unfit(make, arguments):
    messages = stored(make.say("assistant", None, make.call("f", arguments)))
    if arguments == "":
        assert turns(messages)[0].calls[0].arguments == {}  # a call without any
        return
    with pytest.raises(UnfitError, match="malformed arguments"):
        turns(messages)


def test_calls_of_a_simulated_user_and_unknown_roles_make_a_row_unfit(make):
    for message in (
        make.say("user", "a", make.call("f", "{}")),
        make.say("tool", "a", requestor="user"),
    ):
        with pytest.raises(UnfitError, match="agent did not make"):
            turns(stored(message))
    with pytest.raises(UnfitError, match="role"):
        turns(stored(make.say("critic", "a")))


def test_tools_of_other_services_get_the_one_form(make):
    assert tools_of(None) == tools_of("") == []
    function = {"name": "f", "parameters": {"type": "object"}}
    want = [{"type": "function", "function": function}]
    bare = '[{"name": "f", "parameters": {"type": "object"}}]'
    flat = '[{"type": "function", "name": "f", "parameters": {"type": "object"}}]'
    other = '[{"name": "f", "input_schema": {"type": "object"}}]'
    assert [tools_of(text) for text in (bare, flat, other)] == [want, want, want]
    for text in ('{"f": 1}', "[3]", '[{"functionDeclarations": []}]'):
        with pytest.raises(UnfitError, match="unknown form"):
            tools_of(text)
    with pytest.raises(UnfitError, match="malformed tools"):
        tools_of("[")
