"""Logs to measure with: OpenAI chat records of a tool-calling agent, and feedback on some of them.

They are made to have the shape of real ones (a few calls an episode, results of some hundred
characters, scenarios that come several times), not to be learnt from.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 1, 1, tzinfo=UTC)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "run_sql",
            "description": "Run one SELECT.",
            "parameters": {
                "type": "object",
                "properties": {"query": {"type": "string"}},
                "required": ["query"],
            },
        },
    }
]
WORDS = [
    "orders",
    "revenue",
    "region",
    "quarter",
    "customer",
    "margin",
    "refund",
    "product",
    "store",
    "week",
    "total",
    "share",
]


def write_logs(folder: Path, size_mb: int, seed: int, day: int = 0) -> int:
    """Write `episodes.jsonl` of about `size_mb` megabytes and its `feedback.jsonl`.

    Args:
        folder: Made if missing.
        size_mb: Megabytes of episodes.
        seed: Seed of everything.
        day: Days after the first of January 2026; other days hold other episodes.

    Returns:
        How many episodes were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = random.Random(f"{seed}/{day}")
    written = episodes = 0
    with (
        (folder / "episodes.jsonl").open("w", encoding="utf-8") as log,
        (folder / "feedback.jsonl").open("w", encoding="utf-8") as feedback,
    ):
        while written < size_mb * 1_000_000:
            record, event = episode(source, f"d{day}-e{episodes}", day)
            written += log.write(json.dumps(record) + "\n")
            if event:
                feedback.write(json.dumps(event) + "\n")
            episodes += 1
    return episodes


def episode(
    source: random.Random, name: str, day: int
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Make up one episode, and for two in five a feedback event."""
    scenario = source.randrange(5000)
    question = f"What was the {' '.join(source.choices(WORDS, k=4))} of customer {scenario}?"
    calls = source.randint(1, 5)
    messages = [
        {"role": "system", "content": "You answer questions about the data. " * 5},
        {"role": "user", "content": question},
        *(message for call in range(calls) for message in turn(source, f"call_{call}")),
        {"role": "assistant", "content": f"It was {source.randrange(100000)}."},
    ]
    time = START + timedelta(days=day, seconds=source.randrange(86400))
    record = {
        "id": name,
        "messages": messages,
        "tools": TOOLS,
        "model": "production",
        "session_id": f"s{name}",
        "user_id": f"u{source.randrange(500)}",
        "scenario_id": f"q{scenario}",
        "timestamp": time.isoformat(),
        "usage": {"prompt_tokens": 200 * calls, "completion_tokens": 30 * calls},
    }
    return record, event(source, name, time)


def turn(source: random.Random, call: str) -> Iterator[dict[str, Any]]:
    """Make up a call and its result; one in ten fails."""
    query = f"SELECT {', '.join(source.choices(WORDS, k=3))} FROM t WHERE id = {source.random()}"  # noqa: S608  (never run)
    function = {"name": "run_sql", "arguments": json.dumps({"query": query})}
    yield {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call, "type": "function", "function": function}],
    }
    rows = "; ".join(", ".join(source.choices(WORDS, k=4)) for _ in range(source.randint(1, 20)))
    failed = source.random() < 0.1
    content = 'Error: Binder Error: no column "totl"' if failed else rows
    yield {"role": "tool", "tool_call_id": call, "content": content}


def event(source: random.Random, name: str, time: datetime) -> dict[str, Any] | None:
    """Make up a feedback event for two episodes in five; one in twenty is a verified outcome."""
    kind = source.choices(
        ["", "thumbs", "reask", "export", "outcome"], weights=[60, 15, 10, 10, 5]
    )[0]
    if not kind:
        return None
    return {
        "episode_id": name,
        "timestamp": (time + timedelta(minutes=3)).isoformat(),
        "kind": kind,
        "value": source.randint(0, 1) if kind in {"thumbs", "outcome"} else 1,
        "source": "verifier" if kind == "outcome" else "user",
    }
