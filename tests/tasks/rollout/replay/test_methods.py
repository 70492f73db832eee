"""Tools made of logged schemas: typed and documented, as transformers and TRL read them."""

import inspect
import json
from typing import Any

import pytest
from transformers.utils.chat_template_utils import get_json_schema

from tasks.rollout.replay.methods import joined, methods, schemas_of, schemas_seen

SEARCH = {
    "name": "search",
    "description": "Find  flights.\nArgs: none here",
    "parameters": {
        "type": "object",
        "properties": {
            "origin": {"type": "string", "description": "Where from."},
            "stops": {"type": "integer"},
            "cabin": {"type": "string", "enum": ["economy", "business"]},
            "flags": {"type": ["boolean", "null"]},
            "bags": {"type": "array"},
        },
        "required": ["origin", "bags"],
    },
}


def told(*functions: dict[str, Any]) -> str:
    return json.dumps([{"type": "function", "function": f} for f in functions])


def answer(own: Any, name: str, given: dict[str, Any]) -> str:
    return f"{name} {json.dumps(given, sort_keys=True)}"


def made(*functions: dict[str, Any]) -> Any:
    tools = methods(schemas_of(told(*functions)), answer)
    return type("Made", (), dict(tools))()


def test_a_chat_template_sees_the_logged_schema() -> None:
    shown = get_json_schema(made(SEARCH).search)["function"]
    assert shown["name"] == "search"
    assert shown["description"] == "Find flights. Arguments: none here"
    properties = shown["parameters"]["properties"]
    assert properties["origin"] == {"type": "string", "description": "Where from."}
    assert properties["stops"]["type"] == "integer"
    assert properties["stops"]["nullable"] is True  # it may be left out
    assert properties["cabin"]["enum"] == ["economy", "business"]
    assert properties["flags"]["type"] == "boolean"
    assert properties["bags"]["type"] == "array"
    assert shown["parameters"]["required"] == ["origin", "bags"]


def test_a_method_gets_what_was_given_and_nothing_else() -> None:
    tool = made(SEARCH).search
    assert tool(origin="SFO", bags=[]) == 'search {"bags": [], "origin": "SFO"}'
    assert tool(unknown=1) == 'search {"unknown": 1}'


def test_methods_are_functions_of_the_class_as_trl_lists_them() -> None:
    found = inspect.getmembers(type(made(SEARCH)), predicate=inspect.isfunction)
    assert [name for name, _ in found] == ["search"]
    signature = inspect.signature(made(SEARCH).search)
    assert signature.parameters["origin"].default is inspect.Parameter.empty
    assert signature.parameters["stops"].default is None


def test_names_that_python_has_taken_do_not_break_a_tool() -> None:
    odd = {"name": "get.user-1", "parameters": {"properties": {"from": {}, "a b": {}, "self": {}}}}
    tool = getattr(made(odd), "get.user-1")
    assert tool(**{"from": 1, "a b": 2, "self": 3}) == 'get.user-1 {"a b": 2, "from": 1, "self": 3}'
    assert get_json_schema(tool)["function"]["name"] == "get.user-1"


def test_a_tool_called_as_the_contract_is_none() -> None:
    assert methods(schemas_of(told({"name": "reset"}, {"name": "_own"})), answer) == {}


@pytest.mark.parametrize("text", [None, "", "{", "3", "[3, {}]", '[{"name": 3}]', "[" * 100_000])
def test_what_is_no_schema_is_left_out(text: str | None) -> None:
    assert schemas_of(text) == []


def test_functions_without_a_wrapper_are_read_too() -> None:
    assert schemas_of(json.dumps([SEARCH])) == schemas_of(told(SEARCH))


def test_calls_that_were_seen_make_a_schema() -> None:
    rows = [
        {"name": "book", "argument": None, "kind": None, "calls": 3},
        {"name": "book", "argument": "seat", "kind": "UBIGINT", "calls": 2},
        {"name": "book", "argument": "seat", "kind": "VARCHAR", "calls": 1},
        {"name": "book", "argument": "note", "kind": "VARCHAR", "calls": 1},
        {"name": "look", "argument": None, "kind": None, "calls": 1},
    ]
    book, look = schemas_seen(rows)
    parameters = book["function"]["parameters"]
    assert parameters["properties"]["seat"] == {"type": ["integer", "string"]}
    assert parameters["required"] == ["seat"]  # in all three calls; `note` was in one
    assert look["function"]["parameters"]["properties"] == {}
    shown = get_json_schema(type("M", (), dict(methods([book, look], answer)))().book)
    assert shown["function"]["parameters"]["properties"]["seat"]["type"] == ["integer", "string"]


def test_sets_of_tools_are_joined_by_name() -> None:
    other = {"name": "search", "parameters": {"properties": {"to": {"type": "string"}}}}
    (both,) = joined([schemas_of(told(SEARCH)), schemas_of(told(other))])
    parameters = both["function"]["parameters"]
    assert set(parameters["properties"]) == {"origin", "stops", "cabin", "flags", "bags", "to"}
    assert parameters["required"] == []  # the second set requires nothing
