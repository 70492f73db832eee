"""Calls are held against the tools that were offered, in whatever shape these were logged."""

import json

import numpy as np
import pytest

from tasks.label.risk.not_offered import not_offered, tools_of

OPENAI = json.dumps([{"type": "function", "function": {"name": "run_sql", "parameters": {}}}])


def test_the_share_is_of_calls_and_abstains_where_nothing_was_offered(block, of):
    made = block(
        [of.calls(("run_sql", {}), ("guess", {}), ("run_sql", {}), ("Run_SQL", {}))],
        [of.agent("hi")],
        [of.calls(("run_sql", {}))],
        [of.calls(("guess", {}))],
        [of.calls(("guess", {}))],
        [],
        tools=[OPENAI, OPENAI, OPENAI, None, "[]", None],
    )
    # Two of four: names are compared as they are, since another case is another tool.
    expected = [0.5, 0.0, 0.0, np.nan, np.nan, np.nan]
    assert not_offered(made) == pytest.approx(expected, nan_ok=True)


def test_what_another_episode_was_offered_does_not_count(block, of):
    other = json.dumps([{"name": "guess"}])
    made = block(
        [of.calls(("guess", {}))], [of.calls(("guess", {}))], [], tools=[OPENAI, other, other]
    )
    assert not_offered(made).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "schemas",
    [
        [{"type": "function", "function": {"name": "a"}}, {"name": "b", "input_schema": {}}],
        [{"function_declarations": [{"name": "a"}, {"name": "b"}]}],
        {"tools": [{"toolSpec": {"name": "a"}}, {"toolSpec": {"name": "b"}}]},
        ["a", "b"],
        {"a": {"description": "x"}, "b": {}},
        [{"type": "custom", "custom": {"name": "a"}}, {"type": "custom", "name": "b"}],
    ],
    ids=str,
)
def test_shapes_of_schemas(schemas):
    assert tools_of(json.dumps(schemas)) == {"a", "b"}


@pytest.mark.parametrize("text", ["", "no json", "null", "3", "{}", "[[[]]]", '[{"type": "x"}]'])
def test_texts_that_name_no_tool_offer_nothing(text):
    assert tools_of(text) == set()


def test_a_text_nested_deeper_than_can_be_read_offers_nothing():
    assert tools_of("[" * 100_000 + "]" * 100_000) == set()
