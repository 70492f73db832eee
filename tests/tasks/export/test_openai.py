"""OpenAI's files: the form of a line, its weights, and what the service would refuse."""

import json
from collections import Counter

import msgspec
import pytest

from tasks.export import openai
from tasks.export.examples import examples


def lines(use, *records):
    left_out = Counter()
    stored = msgspec.to_builtins(list(records))
    return list(openai.rows(use, examples(use, stored, left_out), left_out)), dict(left_out)


def good(make, **keys):
    [line], _ = lines("sft", make.trajectory("e", **keys))
    return json.loads(json.dumps(line))


def test_a_line_has_weights_ids_and_arguments_as_text(make):
    line = good(make, train_on=[False, False, False, False, False, True, False, True])
    assert set(line) == {"messages", "tools", "parallel_tool_calls"}
    assert [m.get("weight") for m in line["messages"]] == [None, None, 0, None, None, 1, None, 1]
    first, second = line["messages"][2]["tool_calls"]
    assert first == {
        "id": "call00000", "type": "function",
        "function": {"name": "run_sql", "arguments": '{"query": "select \\"a\\"", "limit": 3}'},
    }  # fmt: skip
    assert line["messages"][4] == {
        "role": "tool", "content": "", "tool_call_id": second["id"],
    }  # fmt: skip
    assert openai.problems(line) == []


def test_a_conversation_without_tools_names_none(make):
    line = good(make, messages=[*make.prompt, make.say("assistant", "3")], tools=None)
    assert set(line) == {"messages"}


def test_what_follows_the_agents_last_message_is_cut(make):
    line = good(make, messages=[*make.prompt, *make.work, make.say("user", "Thanks.")])
    assert line["messages"][-1]["content"] == "It is 3."


def test_a_pair_of_single_messages_is_a_preference(make):
    left, right = make.say("assistant", "3"), make.work[3]
    [line], left_out = lines(
        "dpo", make.pair("p", [left], [right]), make.pair("q", [left], make.work)
    )
    assert [m["role"] for m in line["input"]["messages"]] == ["system", "user"]
    assert line["input"]["tools"] == make.tools
    assert line["preferred_output"] == [{"role": "assistant", "content": "3"}]
    assert line["non_preferred_output"][0]["tool_calls"][0]["function"]["name"] == "run_sql"
    assert left_out == {"a side of several messages": 1}
    assert openai.problems(line) == []


def broken(line, change):
    change(line["messages"])
    return openai.problems(line)


@pytest.mark.parametrize(
    ("problem", "change"),
    [
        ("a result without a call", lambda m: m[3].update(tool_call_id="other")),
        ("a result without a call", lambda m: m.insert(2, m[3])),
        ("a call without a result", lambda m: m.pop(4)),
        ("a call without a result", lambda m: m.insert(3, {"role": "user", "content": "So?"})),
        ("an id used twice", lambda m: m[5]["tool_calls"][0].update(id="call00000")),
        ("malformed arguments", lambda m: m[5]["tool_calls"][0]["function"].update(arguments="[")),
        ("malformed arguments", lambda m: m[5]["tool_calls"][0]["function"].update(arguments={})),
        ("a role or content of an unknown form", lambda m: m[0].update(role="critic")),
        ("a role or content of an unknown form", lambda m: m[0].update(content=["a"])),
        ("an end that is not the agent's", lambda m: m.pop()),
        ("no message of the agent", lambda m: m.__delitem__(slice(2, None))),
        ("nothing to train on", lambda m: [x.update(weight=0) for x in m if "weight" in x]),
    ],
)
def test_a_line_that_breaks_a_rule_is_found_out(make, problem, change):
    assert problem in broken(good(make), change)


def test_an_episode_with_an_unanswered_call_is_left_out(make):
    messages = [*make.prompt, make.work[3], make.say("assistant", "I gave up.")]
    found, left_out = lines("sft", make.trajectory("e", messages))
    assert (found, left_out) == ([], {"a call without a result": 1})


def test_a_call_at_the_very_end_needs_no_result(make):
    found, left_out = lines("sft", make.trajectory("e", [*make.prompt, make.work[3]]))
    assert (len(found), left_out) == (1, {})
