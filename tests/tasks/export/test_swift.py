"""ms-swift's rows: a message a call and a result, in the order of the calls, with losses."""

import json
from collections import Counter

import msgspec

from tasks.export import swift
from tasks.export.examples import examples


def lines(use, *records):
    stored = msgspec.to_builtins(list(records))
    return list(swift.rows(use, examples(use, stored, Counter()), Counter()))


def test_a_turn_that_speaks_and_calls_is_a_message_each(make):
    [row] = lines("sft", make.trajectory("e"))
    assert [(m["role"], m.get("loss")) for m in row["messages"]] == [
        ("system", None), ("user", None), ("assistant", True), ("tool_call", True),
        ("tool_call", True), ("tool_response", None), ("tool_response", None), ("tool_call", True),
        ("tool_response", None), ("assistant", True),
    ]  # fmt: skip
    assert json.loads(row["messages"][4]["content"]) == {
        "name": "mail", "arguments": {"to": ["x", None], "deep": {"a": [1, 2.5, True]}},
    }  # fmt: skip
    assert json.loads(row["tools"]) == make.tools


def test_results_stand_in_the_order_of_their_calls(make):
    asked = make.say("assistant", None, make.call("f", "{}", "a"), make.call("g", "{}", "b"))
    results = [make.say("tool", "of g", tool_call_id="b"), make.say("tool", "of f")]
    end = make.say("assistant", "done")
    [row] = lines("sft", make.trajectory("e", [*make.prompt, asked, *results, end]))
    assert [m["content"] for m in row["messages"][4:6]] == ["of f", "of g"]


def test_a_pairs_prompt_bears_no_loss_and_both_sides_do(make):
    asked = [*make.prompt, *make.work[3:5]]
    side, other = [make.say("assistant", "3")], [make.say("assistant", "4")]
    [row] = lines("dpo", make.pair("p", side, other, prompt=asked))
    for key, answer in (("messages", "3"), ("rejected_messages", "4")):
        losses = [m["loss"] for m in row[key] if "loss" in m]
        assert losses == [False, True]
        assert row[key][-1]["content"] == answer


def test_an_episode_to_prefer_has_its_label_and_a_scenario_its_facts(make):
    [row] = lines("kto", make.trajectory("e", use="kto", desirable=False))
    assert row["label"] is False
    [row] = lines("rl", make.scenario("s"))
    assert row["scenario_id"] == "s"
    assert [m["role"] for m in row["messages"]] == ["system", "user"]
