"""verl's Parquet files: declared columns, JSON text where structs would widen, and scenarios."""

import json
from collections import Counter

import msgspec
import pyarrow as pa
from datasets import load_dataset

from tasks.export import verl
from tasks.export.examples import examples
from tasks.export.export import export


def lines(use, *records):
    left_out = Counter()
    stored = msgspec.to_builtins(list(records))
    return list(verl.rows(use, examples(use, stored, left_out), left_out)), dict(left_out)


def test_a_conversation_has_text_arguments_and_a_mask(make):
    mask = [False] * 5 + [True, False, True]
    [row], _ = lines("sft", make.trajectory("e", train_on=mask))
    table = pa.Table.from_pylist([row], schema=verl.SCHEMAS["sft"])
    [back] = table.to_pylist()
    assert [m["trainable"] for m in back["messages"]] == mask
    calls = back["messages"][2]["tool_calls"]
    # Each call keeps its own keys alone: in structs both would have `query`, `limit`, `to`, `deep`.
    assert [list(json.loads(c["function"]["arguments"])) for c in calls] == [
        ["query", "limit"], ["to", "deep"],
    ]  # fmt: skip
    assert json.loads(back["tools"]) == make.tools
    assert back["enable_thinking"] is False


def test_a_scenario_is_found_by_its_id(make):
    [row], _ = lines("rl", make.scenario("s"))
    assert row["reward_model"] == {"style": "rule", "ground_truth": "s"}
    assert row["extra_info"]["logged"] == ["e1", "e2"]
    assert row["prompt"][1] == {"role": "user", "content": make.prompt[1].content}


def test_scenarios_that_cannot_be_played_are_left_out(make):
    played = make.scenario("s", prompt=[*make.prompt, *make.work[3:5]])
    nameless = make.trajectory("e", make.prompt, use="rl", scenario_id=None)
    assert lines("rl", played) == ([], {"calls in the prompt": 1})
    assert lines("rl", nameless) == ([], {"no scenario": 1})


def test_datasets_loads_the_file_as_verl_does(store, make, tmp_path):
    home = store(make.scenario("s"), make.scenario("t", rank=1, tools=None))
    export(home, "verl", tmp_path / "out", use="rl")
    file = str(tmp_path / "out" / "rl.parquet")
    loaded = load_dataset("parquet", data_files=file, split="train", cache_dir=str(tmp_path / "c"))
    assert loaded["data_source"][:] == ["agent-flywheel"] * 2
    assert [info["index"] for info in loaded["extra_info"]] == [0, 1]
    assert loaded[1]["extra_info"]["tools"] is None
