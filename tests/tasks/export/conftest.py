"""A home with a build's rows, made from records without a run of the stages before."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.dataset import LoggedScenario, Pair, Trajectory
from schemas.episode import Message, ToolCall
from schemas.tables import arrow_rows
from warehouse.tables import Warehouse

BUILD = "b" * 16
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {key: {"type": kind}}},
        },
    }
    for name, key, kind in (("run_sql", "query", "string"), ("mail", "to", "array"))
]


def say(role: str, content: str | None = None, *calls: ToolCall, **keys: Any) -> Message:
    return Message(role=role, content=content, tool_calls=list(calls), **keys)


def call(name: str, arguments: str, id_: str | None = None, **keys: Any) -> ToolCall:
    return ToolCall(id=id_, name=name, arguments=arguments, **keys)


PROMPT = [say("system", "You answer with SQL."), say("user", "Wie viele? 几个\u2028?")]
WORK = [
    # One turn that speaks and calls twice, with results in the order of the calls; ids come twice.
    say(
        "assistant", "Let me look.",
        call("run_sql", '{"query": "select \\"a\\"", "limit": 3}', "call_0"),
        call("mail", '{"to": ["x", null], "deep": {"a": [1, 2.5, true]}}', "call_0"),
    ),
    say("tool", "Error: no a", tool_call_id="call_0", error=True),
    say("tool", "", tool_call_id="call_0"),
    say("assistant", None, call("run_sql", "{}", "call_0")),
    say("tool", "3", tool_call_id="call_0"),
    say("assistant", "It is 3."),
]  # fmt: skip
"""What an agent does, in eight messages with the prompt."""


def trajectory(name: str, messages: list[Message] | None = None, **keys: Any) -> Trajectory:
    given = {
        "build": BUILD, "use": "sft", "episode_id": name, "scenario_id": "s",
        "messages": messages or [*PROMPT, *WORK], "tools": json.dumps(TOOLS), "desirable": True,
        "weight": 0.75, "total": 0.5, **keys,
    }  # fmt: skip
    return Trajectory(**given)


def pair(name: str, chosen: list[Message], rejected: list[Message], **keys: Any) -> Pair:
    given = {
        "build": BUILD, "pair_id": name, "kind": "episode", "prompt": PROMPT, "chosen": chosen,
        "rejected": rejected, "tools": json.dumps(TOOLS), "chosen_episode": "c",
        "rejected_episode": "r", "margin": 1.0, "confidence": 0.5, **keys,
    }  # fmt: skip
    return Pair(**given)


def scenario(name: str, **keys: Any) -> LoggedScenario:
    given = {
        "build": BUILD, "key": f"{BUILD}:{name}", "scenario_id": name, "prompt": PROMPT,
        "tools": json.dumps(TOOLS),
        "episodes": 4, "pass_rate": 0.25, "difficulty": "mixed", "logged": ["e1", "e2"], **keys,
    }  # fmt: skip
    return LoggedScenario(**given)


TABLES = {Trajectory: "trajectories", Pair: "pairs", LoggedScenario: "scenarios"}


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., Path]:
    """Commit records of one build, with its manifest, and give the home."""

    def made(*rows: Any, digest: str = BUILD, built_at: str = "2026-01-02T03:00:00+00:00") -> Path:
        home = tmp_path / "home"
        for record, table in TABLES.items():
            mine = [row for row in rows if isinstance(row, record)]
            Warehouse(home).append(table, arrow_rows(table, mine))
        manifest = {"digest": digest, "night": "2026-01-02", "built_at": built_at}
        (home / "builds").mkdir(parents=True, exist_ok=True)
        (home / "builds" / f"{digest}.json").write_text(json.dumps(manifest))
        return home

    return made


@pytest.fixture
def make() -> Any:
    """Give the makers of records, which test modules cannot import from here."""

    class Make:
        pass

    for maker in (say, call, trajectory, pair, scenario):
        setattr(Make, maker.__name__, staticmethod(maker))
    for name, value in {"prompt": PROMPT, "work": WORK, "tools": TOOLS, "build": BUILD}.items():
        setattr(Make, name, value)
    return Make
