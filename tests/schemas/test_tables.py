"""One declaration of a record gives its Arrow schema, and rows survive the way through it."""

from datetime import UTC, datetime

import msgspec
import pyarrow as pa
import pytest

from schemas.episode import Message, ToolCall
from schemas.label import Evidence, Label
from schemas.tables import PARTITIONS, RECORDS, SCHEMAS, arrow_rows, arrow_type


def test_every_partition_column_is_a_column_of_its_table():
    for table, columns in PARTITIONS.items():
        assert set(columns) <= set(SCHEMAS[table].names)


def test_columns_stand_in_the_order_of_the_fields():
    for table, record in RECORDS.items():
        assert tuple(SCHEMAS[table].names) == record.__struct_fields__


def test_tool_arguments_are_text_so_that_no_key_of_one_call_enters_another():
    calls = SCHEMAS["episodes"].field("messages").type.value_type.field("tool_calls").type
    assert calls.value_type.field("arguments").type == pa.string()


def test_times_are_utc_microseconds():
    assert SCHEMAS["episodes"].field("started_at").type == pa.timestamp("us", tz="UTC")


def test_an_annotation_without_an_arrow_type_is_refused():
    with pytest.raises(TypeError, match="no Arrow type"):
        arrow_type(dict[str, str])


def test_nested_rows_come_back_as_they_went_in():
    row = Label(
        episode_id="e",
        label_version="v",
        labelled_at=datetime(2026, 1, 2, tzinfo=UTC),
        state="success",
        success=0.9,
        evidence=[Evidence(kind="export", value=1.0, weight=1.1)],
        step_returns=[0.5, 1.0],
    )
    [back] = arrow_rows("labels", [row]).to_pylist()
    assert msgspec.convert(back, Label) == row


def test_messages_with_different_arguments_keep_only_their_own_keys():
    first = Message(role="assistant", tool_calls=[ToolCall(name="a", arguments='{"q":1}')])
    second = Message(role="assistant", tool_calls=[ToolCall(name="b", arguments='{"n":2}')])
    kind = SCHEMAS["episodes"].field("messages").type
    column = pa.array([msgspec.to_builtins([first, second])], type=kind)
    assert [c["arguments"] for m in column[0].as_py() for c in m["tool_calls"]] == [
        '{"q":1}',
        '{"n":2}',
    ]
