"""A day of an agent's production in small: short chats in sessions, and what their users did."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.chats import chat

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
RATES = {
    "export": (0.40, 0.15),
    "reask": (0.05, 0.15),
    "complaint": (0.01, 0.06),
    "thumbs": (0.08, 0.04),
    "outcome": (0.05, 0.05),
}
"""Share of right and of wrong answers after which a user, or a verifier, does so."""
RIGHT = 0.7
"""Share of right answers."""
SCENARIOS = 2000
"""Scenarios that a third of the chats are of."""
REPLIES = (
    "Thanks, that is what I needed.", "No, I meant the other quarter.", "And for the week before?",
    "Please show it by region.", "That is wrong, look again.", "谢谢你",
)  # fmt: skip
"""What a user says in a second turn, which a third of the chats have."""


def write_day(folder: Path, count: int, seed: int) -> None:
    """Write `episodes.jsonl` and `feedback.jsonl` of one day.

    Args:
        folder: Made if it is not there.
        count: Chats, three a session on average.
        seed: Seed of everything.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = random.Random(seed)
    with (
        (folder / "episodes.jsonl").open("w", encoding="utf-8") as episodes,
        (folder / "feedback.jsonl").open("w", encoding="utf-8") as feedback,
    ):
        for number in range(count):
            episodes.write(json.dumps(episode(source, number, count)) + "\n")
            for event in events(source, number):
                feedback.write(json.dumps(event) + "\n")


def episode(source: random.Random, number: int, count: int) -> dict[str, Any]:
    """Make up one chat with the columns that production logs have."""
    messages = chat(source)
    if source.random() < 1 / 3:
        messages += [
            {"role": "user", "content": source.choice(REPLIES)},
            {"role": "assistant", "content": f"It was {source.randrange(100000)}."},
        ]
    began = BEGAN + timedelta(seconds=86400 * number / count)
    record: dict[str, Any] = {
        "id": f"e{number:08d}",
        "timestamp": began.isoformat(),
        "ended_at": (began + timedelta(seconds=source.randint(2, 40))).isoformat(),
        "session_id": f"s{source.randrange(count // 3 + 1):08d}",
        "user_id": f"u{source.randrange(count // 10 + 1):07d}",
        "usage": {"prompt_tokens": source.randint(300, 3000), "completion_tokens": 120},
        "messages": messages,
    }
    if source.random() < 1 / 3:
        record["scenario_id"] = f"q{source.randrange(SCENARIOS)}"
    return record


def events(source: random.Random, number: int) -> list[dict[str, Any]]:
    """Make up what was heard of one chat."""
    right = source.random() < RIGHT
    said = [kind for kind, rates in RATES.items() if source.random() < rates[not right]]
    at = (BEGAN + timedelta(seconds=86400)).isoformat()
    return [
        {"episode_id": f"e{number:08d}", "kind": kind, "value": int(right or kind not in
         ("thumbs", "outcome")), "timestamp": at, "user_id": f"u{number % 9973:07d}"}
        for kind in said
    ]  # fmt: skip
