"""Small logs of a made-up agent, and a home of its own for every test."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.config import FlywheelConfig

TOOLS = [{"type": "function", "function": {"name": "run_sql", "parameters": {}}}]

Chat = Callable[..., dict[str, Any]]
Write = Callable[..., str]


@pytest.fixture
def config(tmp_path: Path) -> FlywheelConfig:
    return FlywheelConfig(home=tmp_path / "home")


@pytest.fixture
def clock() -> Callable[[], datetime]:
    return lambda: datetime(2026, 1, 2, 3, tzinfo=UTC)


@pytest.fixture
def chat() -> Chat:
    """Make one record: a question, calls with their results, and an answer."""

    def make(
        name: str,
        *,
        question: str = "how many rows?",
        calls: tuple[tuple[str, str], ...] = (("select 1", "1"),),
        answer: str = "one",
        **keys: Any,
    ) -> dict[str, Any]:
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": "You answer with SQL."},
            {"role": "user", "content": question},
        ]
        for number, (query, result) in enumerate(calls):
            call_id = f"call_{number}"
            arguments = json.dumps({"query": query})
            function = {"name": "run_sql", "arguments": arguments}
            call = {"id": call_id, "type": "function", "function": function}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": call_id, "content": result})
        messages.append({"role": "assistant", "content": answer})
        return {"id": name, "messages": messages, "tools": TOOLS, "model": "m", **keys}

    return make


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write records (or raw lines) as a JSON-lines file and give its path."""

    def lines(name: str, *records: dict[str, Any] | str) -> str:
        path = tmp_path / name
        texts = [r if isinstance(r, str) else json.dumps(r) for r in records]
        path.write_text("".join(f"{text}\n" for text in texts))
        return str(path)

    return lines
