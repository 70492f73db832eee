"""A bench for stages: ten successes of one tiny agent, and no environment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.config import FlywheelConfig
from schemas.dataset import Scenario, Trajectory
from schemas.episode import Message, ToolCall
from schemas.rollout import Rollout
from schemas.training_config import TinyPolicy, TrainConfig

MakeBench = Callable[..., Any]
MakeRollout = Callable[..., Rollout]


def told(question: str, answer: str) -> list[Message]:
    """Tell an episode of one call and its answer."""
    call = ToolCall(name="run_sql", arguments='{"query": "SELECT 1"}')
    return [
        Message(role="user", content=question),
        Message(role="assistant", tool_calls=[call]),
        Message(role="tool", content="41"),
        Message(role="assistant", content=answer),
    ]


@pytest.fixture
def make_bench(tmp_path: Path) -> MakeBench:
    """Make a bench with ten successes that are all the same."""

    def made(*, start: str | None = None, context: int = 256, **train: Any) -> Any:
        from tasks.train.stages.bench import Bench

        tiny = TinyPolicy(hidden_size=16, layers=1, heads=1, vocabulary=320, context=context)
        config = FlywheelConfig(home=tmp_path, train=TrainConfig(policy=tiny, **train))
        successes = [
            Trajectory(
                build="b", use="sft", episode_id=str(i), desirable=True, weight=1.0, total=1.0,
                messages=told("how many orders?", "It is 41."),
            )
            for i in range(10)
        ]  # fmt: skip
        return Bench(
            config=config, world=None, successes=successes, pairs=[], unpaired=[], start=start,
            seed=0, folder=tmp_path / "candidate", progress=lambda stage, done, total: None,
        )  # fmt: skip

    return made


@pytest.fixture
def make_rollout() -> MakeRollout:
    """Make a rollout whose agent says every token but the tool's 99."""

    def made(scenario: str, tokens: list[int], reward: float | None, **how: Any) -> Rollout:
        return Rollout(
            scenario_id=scenario, attempt=0, messages=[], reward=reward, turns=1, tool_calls=1,
            tool_errors=how.pop("errors", 0), prompt_ids=[1, 2], completion_ids=tokens,
            agent_mask=[int(t != 99) for t in tokens], **how,
        )  # fmt: skip

    return made


@pytest.fixture
def make_scenario() -> Callable[[str], Scenario]:
    """Make a scenario out of its name."""

    def made(name: str) -> Scenario:
        return Scenario(
            scenario_id=name, split="train", slice="count", specification=name, composition=name,
            question=f"how many {name}?", environment="sql_agent", row="{}",
        )  # fmt: skip

    return made
