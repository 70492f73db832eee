"""Examples: rows of all tables in one shape; what teaches nothing is counted, not written."""

from collections import Counter

import msgspec

from tasks.export.examples import examples


def given(use, *records):
    left_out = Counter()
    return list(examples(use, msgspec.to_builtins(list(records)), left_out)), dict(left_out)


def test_an_episode_parts_before_the_agents_first_message(make):
    [example], left_out = given("sft", make.trajectory("e"))
    assert [t.role for t in example.prompt] == ["system", "user"]
    assert [t.role for t in example.completion] == [
        "assistant", "tool", "tool", "assistant", "tool", "assistant",
    ]  # fmt: skip
    assert example.tools == make.tools
    assert example.facts == {"episode_id": "e", "scenario_id": "s", "weight": 0.75, "total": 0.5}
    assert left_out == {}


def test_both_sides_of_a_pair_go_on_from_the_ids_of_its_prompt(make):
    asked = [*make.prompt, *make.work[:3]]
    side = [make.say("assistant", None, make.call("run_sql", "{}"))]
    [example], _ = given("dpo", make.pair("p", side, make.work[3:], prompt=asked))
    assert [t.taught for t in example.prompt] == [False] * 5
    assert [t.calls[0].id for t in (example.completion[0], example.rejected[0])] == [
        "call00002", "call00002",
    ]  # fmt: skip


def test_rows_that_teach_nothing_or_cannot_be_said_are_counted_by_reason(make):
    broken = [*make.prompt, make.say("assistant", None, make.call("f", "{oops"))]
    found, left_out = given(
        "sft",
        make.trajectory("good"),
        make.trajectory("broken", broken),
        make.trajectory("silent", make.prompt),
        make.trajectory("bad steps alone", train_on=[False] * 8),
        make.trajectory("tools", tools="[1]"),
    )
    assert [example.facts["episode_id"] for example in found] == ["good"]
    assert left_out == {
        "malformed arguments": 1, "no message of the agent": 1, "nothing to train on": 1,
        "tools of an unknown form": 1,
    }  # fmt: skip
    _, left_out = given("dpo", make.pair("p", make.work, make.prompt[1:]))
    assert left_out == {"no message of the agent": 1}
    _, left_out = given("rl", make.scenario("s", prompt=[]))
    assert left_out == {"no messages": 1}


def test_prompts_of_older_builds_come_from_their_trajectories(make):
    row = make.trajectory("e", make.prompt, use="rl")
    [example], _ = given("rl", row)
    assert [t.role for t in example.prompt] == ["system", "user"]
    assert example.completion == []
