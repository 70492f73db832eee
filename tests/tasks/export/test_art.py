"""ART's groups: a scenario's episodes together, with rewards, and choices where they are taught."""

from collections import Counter

import msgspec

from tasks.export import art
from tasks.export.examples import examples


def groups(*records):
    left_out = Counter()
    stored = msgspec.to_builtins(list(records))
    return list(art.rows("kto", examples("kto", stored, left_out), left_out)), dict(left_out)


def test_episodes_of_a_scenario_stand_together_in_the_order_of_the_first(make):
    found, left_out = groups(
        make.trajectory("a", scenario_id="s", total=1.0),
        make.trajectory("b", scenario_id=None),
        make.trajectory("c", scenario_id="t"),
        make.trajectory("d", scenario_id="s", total=-2.0, desirable=False),
        make.trajectory("e", scenario_id=None),
    )
    names = [[t["metadata"]["episode_id"] for t in group["trajectories"]] for group in found]
    assert names == [["a", "d"], ["b"], ["c"], ["e"]]
    assert [t["reward"] for t in found[0]["trajectories"]] == [1.0, -2.0]
    assert [t["metrics"]["desirable"] for t in found[0]["trajectories"]] == [True, False]
    assert [group["metadata"] for group in found[:2]] == [{"scenario_id": "s"}, {}]
    assert left_out == {}


def test_what_is_taught_is_a_choice_and_the_rest_is_context(make):
    mask = [False] * 5 + [True, False, True]
    [group], _ = groups(make.trajectory("a", train_on=mask))
    said = group["trajectories"][0]["messages_and_choices"]
    assert ["message" in each for each in said] == mask
    assert [each["finish_reason"] for each in said if "message" in each] == ["tool_calls", "stop"]
    assert said[2]["tool_calls"][0]["function"]["name"] == "run_sql"
    assert group["trajectories"][0]["tools"] == make.tools


def test_an_episode_without_a_return_has_no_reward(make):
    stored = msgspec.to_builtins(make.trajectory("a"))
    left_out = Counter()
    given = examples("kto", [stored | {"total": None}], left_out)
    assert list(art.rows("kto", given, left_out)) == []
    assert left_out == {"no reward": 1}
