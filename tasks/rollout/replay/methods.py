"""Logged tools as real methods: what TRL's loop, ours, and a chat template take tools from."""

from __future__ import annotations

import inspect
import json
import keyword
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

TYPES: dict[str, Any] = {
    "string": str, "integer": int, "number": float, "boolean": bool, "array": list,
    "object": dict, "null": type(None),
}  # fmt: skip
"""What a JSON Schema calls a type, and what a signature does."""
SEEN = {
    "VARCHAR": "string", "BIGINT": "integer", "UBIGINT": "integer", "HUGEINT": "integer",
    "DOUBLE": "number", "BOOLEAN": "boolean", "ARRAY": "array", "OBJECT": "object",
}  # fmt: skip
"""What DuckDB calls the type of a JSON value, and what a JSON Schema does."""
TAKEN = {"reset", "get_reward"}
"""Names of the environment's contract that are no tools."""

Schema = dict[str, Any]
Answer = Callable[[Any, str, dict[str, Any]], str]


def schemas_of(tools: str | None) -> list[Schema]:
    """Read logged tool schemas; what is none is left out.

    Args:
        tools: JSON text: a list of OpenAI's tool objects, or of the functions in them.
    """
    try:
        said = msgspec.json.decode(tools) if tools else []
    except (msgspec.DecodeError, RecursionError):
        return []
    found = []
    for one in said if isinstance(said, list) else []:
        function = one.get("function", one) if isinstance(one, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            found.append({"type": "function", "function": function})
    return found


def schemas_seen(rows: Iterable[Mapping[str, Any]]) -> list[Schema]:
    """Make schemas of the calls that were seen, for logs that have none.

    Args:
        rows: `name`, `argument` (None for the call itself), `kind` (DuckDB's word for the value's
            type) and `calls`, as `replay_tools` gives them.
    """
    calls: dict[str, int] = {}
    seen: dict[str, dict[str, dict[str, int]]] = {}
    for row in rows:
        name, argument, count = row["name"], row["argument"], int(row["calls"])
        if argument is None:
            calls[name] = count
        else:
            kinds = seen.setdefault(name, {}).setdefault(argument, {})
            kind = SEEN.get(row["kind"], "null")
            kinds[kind] = kinds.get(kind, 0) + count
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": f"{name}, as it was called in the logs.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        argument: {"type": sorted(kinds) if len(kinds) > 1 else next(iter(kinds))}
                        for argument, kinds in sorted(seen.get(name, {}).items())
                    },
                    "required": [
                        argument
                        for argument, kinds in sorted(seen.get(name, {}).items())
                        if sum(kinds.values()) == count
                    ],
                },
            },
        }
        for name, count in sorted(calls.items())
    ]


def joined(sets: Iterable[list[Schema]]) -> list[Schema]:
    """Join sets of schemas by name; an argument is required where every set requires it."""
    found: dict[str, Schema] = {}
    for schema in (one for schemas in sets for one in schemas):
        function = schema["function"]
        known = found.setdefault(function["name"], schema)
        if known is not schema:
            found[function["name"]] = _both(known, function)
    return list(found.values())


def _both(known: Schema, other: Schema) -> Schema:
    one, two = _parameters(known["function"]), _parameters(other)
    both = {
        "type": "object",
        "properties": {**two["properties"], **one["properties"]},
        "required": [name for name in one["required"] if name in two["required"]],
    }
    return {"type": "function", "function": {**known["function"], "parameters": both}}


def _parameters(function: Schema) -> dict[str, Any]:
    """Give a function's properties and the names of those that are required, whatever it says."""
    said = function.get("parameters") or function.get("input_schema")
    said = said if isinstance(said, dict) else {}
    properties, required = said.get("properties"), said.get("required")
    return {
        "properties": properties if isinstance(properties, dict) else {},
        "required": required if isinstance(required, list) else [],
    }


def methods(schemas: Iterable[Schema], answer: Answer) -> dict[str, Callable[..., str]]:
    """Make a typed and documented method of each schema.

    Args:
        schemas: One a tool, under OpenAI's `function`.
        answer: Called with the environment, the tool's name and the arguments that were given.
    """
    made = (method(schema["function"], answer) for schema in schemas)
    return {m.__name__: m for m in made if not m.__name__.startswith("_")}


def method(function: Schema, answer: Answer) -> Callable[..., str]:
    """Make the method of one tool; arguments that its schema does not name reach it all the same.

    A name that the environment's contract has taken gets an underscore, so that it is no tool.
    """
    name = str(function["name"])

    def tool(self: Any, /, **given: Any) -> str:
        return answer(self, name, given)

    said = _parameters(function)
    properties = {n: p if isinstance(p, dict) else {} for n, p in said["properties"].items()}
    usable = {n: p for n, p in properties.items() if n.isidentifier() and not keyword.iskeyword(n)}
    tool.__name__ = tool.__qualname__ = f"_{name}" if name in TAKEN else name
    tool.__doc__ = _documented(_line(function.get("description")) or f"{name}.", usable)
    parameters = [
        _parameter(n, p, required=n in said["required"]) for n, p in usable.items() if n != "self"
    ]
    tool.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": str}
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    tool.__signature__ = inspect.Signature([own, *parameters], return_annotation=str)  # type: ignore[attr-defined]
    return tool


def _parameter(name: str, said: Schema, *, required: bool) -> inspect.Parameter:
    kinds = said.get("type", "string")
    listed = kinds if isinstance(kinds, list) else [kinds]
    types = [TYPES.get(k, str) if isinstance(k, str) else str for k in listed] or [str]
    annotation = types[0]
    for more in types[1:] if required else [*types[1:], type(None)]:
        annotation = annotation | more
    default = inspect.Parameter.empty if required else None
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _documented(about: str, properties: Mapping[str, Schema]) -> str:
    """Write a docstring of Google's shape, which is where transformers reads descriptions."""
    if not properties:
        return about
    lines = [f"{about}\n", "Args:"]
    for name, said in properties.items():
        told = _line(said.get("description")) or f"The {name}."
        choices = said.get("enum")
        if isinstance(choices, list):
            told += f" (choices: {json.dumps(choices)})"
        lines.append(f"    {name}: {told}")
    return "\n".join(lines)


def _line(text: Any) -> str:
    """Put a description on one line, without what would begin a section of a docstring."""
    words = " ".join(str(text or "").split())
    return words.replace("Args:", "Arguments:").replace("Returns:", "Gives:")
