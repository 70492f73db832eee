"""Blocks of hand-made messages, through the schema of the episodes table."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from schemas.tables import SCHEMAS
from tasks.label.block import Block

Message = dict[str, Any]
Made = Callable[..., Block]


@pytest.fixture(scope="session")
def user() -> Callable[[str | None], Message]:
    return lambda text: {"role": "user", "content": text}


@pytest.fixture(scope="session")
def agent() -> Callable[..., Message]:
    """Make a message of the agent's: what it says, and calls as (name, arguments)."""

    def say(text: str | None = None, *calls: tuple[str, str]) -> Message:
        made = [{"name": name, "arguments": arguments} for name, arguments in calls]
        return {"role": "assistant", "content": text, "tool_calls": made}

    return say


@pytest.fixture(scope="session")
def result() -> Callable[..., Message]:
    return lambda text="1", error=False: {"role": "tool", "content": text, "error": error}


@pytest.fixture(scope="session")
def blocks() -> Made:
    """Make a block of episodes, each a list of messages; `tools` are offered to all."""

    def make(*episodes: list[Message], tools: str | None = None) -> Block:
        schema = SCHEMAS["episodes"]
        return Block(
            pa.array(list(episodes), schema.field("messages").type),
            pa.array([tools] * len(episodes), schema.field("tools").type),
        )

    return make
