"""Rule `not_offered`: calls of tools that the agent was not offered."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import pyarrow.compute as pc

from tasks.label.block import Block, Floats, strings
from tasks.label.risk.membership import among

LISTS = ("tools", "functions", "function_declarations", "functionDeclarations")
"""Keys under which a schema holds more schemas."""
SINGLE = ("function", "toolSpec", "custom")
"""Keys under which a schema holds its own body."""


def not_offered(block: Block) -> Floats:
    """Give the share of calls whose tool was not offered, `(episodes,)`.

    NaN where nothing was offered, or nothing that names a tool; 0 where none was called.
    """
    offers = strings(block.offered).dictionary_encode()
    names = block.call_name.dictionary_encode()
    number = {name: code for code, name in enumerate(names.dictionary.to_pylist())}
    width = len(number) + 1
    allowed = [list[int]() for _ in range(len(offers.dictionary))]
    told = np.zeros(len(allowed) + 1, np.bool_)  # its last place stands for null
    for code, text in enumerate(offers.dictionary.to_pylist()):
        offered = tools_of(text)
        told[code] = bool(offered)
        allowed[code] = [code * width + number[name] for name in offered if name in number]
    pairs = np.array([pair for found in allowed for pair in found], np.int64)
    offer = pc.fill_null(offers.indices, -1).to_numpy().astype(np.int64)
    name = pc.fill_null(names.indices, len(number)).to_numpy().astype(np.int64)
    strange = ~among(offer[block.call_owner] * width + name, pairs)
    wrong = block.per_episode(block.call_owner[strange])
    calls = block.per_episode(block.call_owner)
    return np.where(told[offer], wrong / np.maximum(calls, 1), np.nan)


@lru_cache(maxsize=256)
def tools_of(text: str) -> frozenset[str]:
    """Name the tools that a text of schemas offers; none where it is no JSON of schemas."""
    try:
        return frozenset(names_in(msgspec.json.decode(text)))
    except (msgspec.DecodeError, RecursionError):
        return frozenset()


def names_in(schema: Any) -> Iterator[str]:
    """Find the names in tool schemas: of OpenAI, Anthropic, Gemini, Bedrock, or plain names."""
    if isinstance(schema, str):
        yield schema
    elif isinstance(schema, list):
        for one in schema:
            yield from names_in(one)
    elif isinstance(schema, dict):
        inner = [schema[key] for key in LISTS if isinstance(schema.get(key), list)]
        inner += [schema[key] for key in SINGLE if isinstance(schema.get(key), dict)]
        if inner:
            yield from names_in(inner)
        elif isinstance(name := schema.get("name"), str):
            yield name
        elif schema and all(isinstance(body, dict) for body in schema.values()):
            yield from schema  # by name
