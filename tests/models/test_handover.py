"""The hand-over of rows: declared features, the same rows, arguments untouched, one mapped file."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from models.handover import columns, load_rows
from schemas.dataset import Pair, Trajectory
from schemas.episode import Message, ToolCall
from schemas.tables import arrow_rows
from warehouse.tables import Warehouse

ARGUMENTS = ('{"query": "select 1", "limit": null}', '{"to": ["a"]}', "{oops")


def episode(number, build="b", use="sft", **keys):
    calls = [ToolCall(name="f", arguments=text, malformed=text == "{oops") for text in ARGUMENTS]
    messages = [
        Message(role="user", content=f"question {number}"),
        Message(role="assistant", tool_calls=calls),
    ]
    return Trajectory(
        build=build, use=use, episode_id=f"e{number}", messages=messages, desirable=True,
        weight=0.5, total=1.0, train_on=[False, True], rank=number, **keys,
    )  # fmt: skip


def test_rows_come_as_they_are_with_the_declared_types(tmp_path):
    warehouse = Warehouse(tmp_path / "home")
    others = [episode(9, build="other"), episode(8, use="kto")]
    warehouse.append("trajectories", arrow_rows("trajectories", [episode(0), episode(1), *others]))
    files = warehouse.files("trajectories", partition={"build": "b", "use": "sft"})
    dataset = load_rows("trajectories", files, tmp_path / "cache")
    assert dataset["episode_id"][:] == ["e0", "e1"]
    # No row has tools or a scenario: `from_list` would give those columns the null type.
    assert str(dataset.features["tools"]) == "Value('string')"
    assert dataset[0]["tools"] is dataset[0]["scenario_id"] is None
    assert tuple(c["arguments"] for c in dataset[1]["messages"][1]["tool_calls"]) == ARGUMENTS
    assert dataset[0]["train_on"] == [False, True]
    assert not {"build", "use"} & set(dataset.column_names)
    assert dataset.features.arrow_schema.equals(columns("trajectories"))


def test_the_dataset_is_mapped_and_written_once(tmp_path):
    warehouse = Warehouse(tmp_path / "home")
    warehouse.append("trajectories", arrow_rows("trajectories", [episode(0)]))
    files = warehouse.files("trajectories", partition={"build": "b"})
    first = load_rows("trajectories", files, tmp_path / "cache")
    [file] = (tmp_path / "cache").iterdir()
    assert [cached["filename"] for cached in first.cache_files] == [str(file)]
    made = file.stat().st_mtime_ns
    assert load_rows("trajectories", files, tmp_path / "cache")[:] == first[:]
    assert file.stat().st_mtime_ns == made
    warehouse.append("trajectories", arrow_rows("trajectories", [episode(1)]))
    more = warehouse.files("trajectories", partition={"build": "b"})
    assert len(load_rows("trajectories", more, tmp_path / "cache")) == 2


def test_columns_that_older_files_lack_are_null(tmp_path):
    rows = arrow_rows("trajectories", [episode(0)])
    old = rows.drop_columns(["build", "use", "train_on", "group"])
    parquet.write_table(old, tmp_path / "old.parquet")
    parquet.write_table(rows.drop_columns(["build", "use"]), tmp_path / "new.parquet")
    files = [str(tmp_path / "old.parquet"), str(tmp_path / "new.parquet")]
    dataset = load_rows("trajectories", files, tmp_path / "cache")
    assert dataset["train_on"][:] == [None, [False, True]]
    assert dataset["group"][:] == [None, 0]


def test_files_with_other_names_of_list_items_are_taken(tmp_path):
    # The engine's own writer names the items of lists `element`.
    rows = arrow_rows("trajectories", [episode(0)]).drop_columns(["build", "use"])
    place = rows.schema.get_field_index("train_on")
    named = pa.list_(pa.field("element", pa.bool_()))
    other = rows.set_column(place, "train_on", rows["train_on"].cast(named))
    parquet.write_table(other, tmp_path / "a.parquet", use_compliant_nested_type=False)
    dataset = load_rows("trajectories", [str(tmp_path / "a.parquet")], tmp_path / "cache")
    assert dataset["train_on"][:] == [[False, True]]


def test_no_files_are_no_rows(tmp_path):
    dataset = load_rows("pairs", [], tmp_path / "cache")
    assert len(dataset) == 0
    assert "chosen" in dataset.features


def test_a_pair_renders_through_a_template_as_objects(tmp_path):
    import msgspec

    from models.chat import to_chat

    said = [Message(role="assistant", tool_calls=[ToolCall(name="f", arguments=ARGUMENTS[0])])]
    pair = Pair(
        build="b", pair_id="p", kind="retry", prompt=said, chosen=said, rejected=said,
        chosen_episode="c", rejected_episode="r", margin=1.0, confidence=1.0,
    )  # fmt: skip
    warehouse = Warehouse(tmp_path / "home")
    warehouse.append("pairs", arrow_rows("pairs", [pair]))
    [row] = load_rows("pairs", warehouse.files("pairs"), tmp_path / "cache")
    [turn] = to_chat(msgspec.convert(row["chosen"], list[Message]))
    assert turn["tool_calls"][0]["function"]["arguments"] == json.loads(ARGUMENTS[0])


def test_a_table_that_is_not_there_is_named():
    with pytest.raises(KeyError, match="pears"):
        columns("pears")
