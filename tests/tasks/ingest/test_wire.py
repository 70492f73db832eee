"""Records of a block are decoded together, and each comes to the same as it would alone."""

import json

import pytest

from tasks.ingest.dialects.messages import is_object
from tasks.ingest.wire import are_objects, read_wire

ODD = [
    ['{"a": 1}', "{}"],
    ["{}{}", "{}", ""],  # two and none are two as well
    ["{}\n{}", "{}", " "],
    ['{"a": {}', '"b": 1}'],  # one object in two texts
    ['{"a": "x', '{y"}'],
    ['{"a": [{}', "{}]}"],
    ['{"a": "x\ny"}', "{}"],
    [' {"a": 1}', '{"a": 1}\n'],
    ["{" * 3000, "{}"],
    ['{"a": 1e999}', '{"a": [1e999]}'],
    ["[]", "null", '{"a": NaN}', '{"a": "\\ud800"}', "{}"],
    [],
]


@pytest.mark.parametrize("texts", ODD)
def test_texts_are_objects_together_as_they_are_alone(texts):
    assert are_objects(texts).tolist() == [is_object(text) for text in texts]


def chat(**beside) -> bytes:
    answer = {"role": "assistant", "content": "yes", **beside}
    return json.dumps({"messages": [{"role": "user", "content": "so?"}, answer]}).encode()


def test_a_name_and_reasoning_are_kept_beside_messages_that_have_none():
    wire = read_wire([chat(), chat(name="n", reasoning_content="r"), chat(refusal=None), chat()])
    assert wire.taken.all()
    messages = wire.flat.messages
    assert messages["name"].to_pylist() == [None, None, None, "n", None, None, None, None]
    assert messages["reasoning"].to_pylist() == [None, None, None, "r", None, None, None, None]
    assert read_wire([chat(), chat()]).flat.messages["name"].null_count == 4


def test_a_block_of_views_reads_as_its_bytes_do():
    raws = [chat(), chat(tool_calls=[]), b'{"messages": "none"}', chat(name="n")]
    whole = memoryview(b"".join(raws))
    ends = [sum(map(len, raws[: number + 1])) for number in range(len(raws))]
    views = [whole[end - len(raw) : end] for raw, end in zip(raws, ends, strict=True)]
    assert read_wire(views).taken.tolist() == [True, True, False, True]
    assert (
        read_wire(views).flat.messages["content"].equals(read_wire(raws).flat.messages["content"])
    )
