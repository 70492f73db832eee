"""The demo's traffic: files as anybody's production writes them, and no truth in them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.config import FlywheelConfig, TrafficConfig
from schemas.episode import Message, ToolCall
from tasks.rollout.scenarios import draw
from tasks.rollout.traffic import wire, write_night

NIGHT = "2026-06-02"


def written(
    config: FlywheelConfig, out: Path, night: str = NIGHT
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    out.mkdir()
    small = config.model_copy(update={"traffic": TrafficConfig(first_night=120)})

    def clock() -> datetime:
        return datetime(2026, 6, 2, 1, tzinfo=UTC)

    told = write_night(small, night=night, champion=None, out=out, clock=clock)
    episodes, feedback = (
        [json.loads(line) for line in (out / name).read_text().splitlines()]
        for name in ("episodes.jsonl", "feedback.jsonl")
    )
    return episodes, feedback, told


@pytest.fixture(scope="module")
def day(shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Episodes, feedback and the account of one day."""
    return written(FlywheelConfig(home=shared_home), tmp_path_factory.mktemp("traffic") / "day")


def test_what_is_told_is_what_is_written(day: Any) -> None:
    episodes, feedback, told = day
    assert told["episodes"] == len(episodes)
    assert told["feedback"] == len(feedback)
    assert 100 <= len(episodes) <= 120
    assert 0.35 < told["success"] < 0.7


def test_episodes_are_openai_chat(day: Any) -> None:
    episodes, _, _ = day
    for episode in episodes:
        messages = episode["messages"]
        assert messages[0]["role"] == "user"
        assert messages[-1]["role"] == "assistant"
        assert messages[-1]["content"]
        assert {t["type"] for t in episode["tools"]} == {"function"}
        waiting: list[str] = []
        for message in messages:
            for call in message.get("tool_calls", []):
                assert isinstance(json.loads(call["function"]["arguments"]), dict)
                waiting.append(call["id"])
            if message["role"] == "tool":
                assert message["tool_call_id"] == waiting.pop(0)
        assert not waiting
    assert len({e["id"] for e in episodes}) == len(episodes)


def test_episodes_hold_no_truth(day: Any) -> None:
    episodes, _, _ = day
    for episode in episodes:
        assert set(episode) == {
            "id", "timestamp", "model", "policy_version", "session_id", "user_id", "scenario_id",
            "messages", "tools", "usage",
        }  # fmt: skip
        assert "gold" not in json.dumps(episode)
        assert "reward" not in json.dumps(episode)


def test_feedback_is_about_episodes_that_there_are(day: Any) -> None:
    episodes, feedback, _ = day
    session = {e["id"]: e["session_id"] for e in episodes}
    when = {e["id"]: e["timestamp"] for e in episodes}
    assert feedback
    for event in feedback:
        assert session[event["episode_id"]] == event["session_id"]
        assert event["timestamp"] > when[event["episode_id"]]
    assert {e["kind"] for e in feedback} <= {"export", "reask", "complaint", "thumbs", "outcome"}


def test_only_a_small_share_is_verified(day: Any) -> None:
    episodes, feedback, _ = day
    verified = [e for e in feedback if e["kind"] == "outcome"]
    assert len(verified) < 0.2 * len(episodes)
    assert {e["source"] for e in verified} <= {"verifier"}


def test_a_user_who_asks_again_comes_back_in_the_same_session(day: Any) -> None:
    episodes, feedback, _ = day
    by_session: dict[str, list[Any]] = {}
    for episode in episodes:
        by_session.setdefault(episode["session_id"], []).append(episode)
    twice = [found for found in by_session.values() if len(found) > 1]
    assert twice
    asked_again = {e["episode_id"] for e in feedback if e["kind"] == "reask"}
    for first, second in twice:
        assert first["id"] in asked_again
        assert first["messages"][0] == second["messages"][0]
        assert first["timestamp"] < second["timestamp"]


def test_traffic_lies_in_the_day_before_the_night(day: Any) -> None:
    episodes, _, _ = day
    assert episodes[0]["timestamp"].startswith("2026-06-01T01:00:00")
    assert all(e["timestamp"] < "2026-06-02T01:00:00" for e in episodes)


def test_the_same_night_is_written_the_same_and_another_otherwise(
    config: FlywheelConfig, tmp_path: Path
) -> None:
    written(config, tmp_path / "a")
    written(config, tmp_path / "b")
    written(config, tmp_path / "c", night="2026-06-03")
    for name in ("episodes.jsonl", "feedback.jsonl"):
        one, two, other = ((tmp_path / d / name).read_text() for d in "abc")
        assert one == two
        assert one != other


def test_traffic_asks_nothing_that_is_held_out(day: Any, config: FlywheelConfig) -> None:
    episodes, _, _ = day
    held_out = {
        s.scenario_id
        for split in ("validation", "frozen_params", "frozen_compositions")
        for s in draw(config.seed, config.build.split_salt, split, 1500, 1)
    }
    assert not held_out & {e["scenario_id"] for e in episodes}


def test_a_call_goes_on_the_wire_with_its_arguments_as_text() -> None:
    call = ToolCall(id="c1", name="count", arguments='{"of": "tea"}')
    assert wire(Message(role="assistant", tool_calls=[call])) == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "count", "arguments": '{"of": "tea"}'},
            }
        ],
    }
    assert wire(Message(role="tool", content="3", tool_call_id="c1", name="count")) == {
        "role": "tool", "content": "3", "tool_call_id": "c1", "name": "count",
    }  # fmt: skip
