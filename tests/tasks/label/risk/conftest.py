"""Hand-made episodes as a block."""

import json

import pyarrow as pa
import pytest

from schemas.tables import SCHEMAS
from tasks.label.block import Block

MESSAGES = SCHEMAS["episodes"].field("messages").type


def make(*episodes, tools=None):
    """Make a block of lists of messages; `tools` is one text for all, or a list of one each."""
    each = tools if isinstance(tools, list) else [tools] * len(episodes)
    return Block(pa.array(list(episodes), MESSAGES), pa.array(each, pa.string()))


def said(role, content):
    return {"role": role, "content": content}


def calls(*made, content=None):
    """Make an assistant message of calls: (name, arguments), arguments as text or as values."""
    return {
        "role": "assistant",
        "content": content,
        "tool_calls": [
            {
                "name": name,
                "arguments": given if isinstance(given, str) else json.dumps(given),
                "malformed": given == "not json",
            }
            for name, given in made
        ],
    }


def result(content="ok", error=False):
    return {"role": "tool", "content": content, "error": error}


@pytest.fixture
def block():
    return make


@pytest.fixture
def of():
    """Give the three makers of messages."""

    class Of:
        said = staticmethod(said)
        calls = staticmethod(calls)
        result = staticmethod(result)

        user = staticmethod(lambda text: said("user", text))
        agent = staticmethod(lambda text: said("assistant", text))

    return Of
