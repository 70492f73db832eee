"""Homes whose logs can be replayed: tau-bench's, and a made-up shop's."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.config import BuildConfig, EnvironmentConfig, FlywheelConfig, TrainConfig
from schemas.training_config import TinyPolicy
from tasks.build.build import build
from tasks.ingest.ingest import ingest
from tasks.label.label import label

NIGHT = "2026-06-02"
Made = Callable[..., FlywheelConfig]


def night(config: FlywheelConfig, *paths: str, night: str = NIGHT) -> str:
    """Ingest, label and build; gives the build's digest."""

    def clock() -> datetime:
        return datetime(2026, 6, int(night[-2:]), 1, tzinfo=UTC)

    ingest(config, list(paths), night=night, clock=clock)
    label(config, night=night, clock=clock)
    return str(build(config, night=night, clock=clock)["digest"])


@pytest.fixture(scope="session")
def at_night() -> Callable[..., str]:
    return night


@pytest.fixture(scope="session")
def tau(tmp_path_factory: pytest.TempPathFactory, real_logs: Path) -> FlywheelConfig:
    """A home with tau-bench's 48 airline episodes, of 12 scenarios, and a build of them."""
    tiny = TinyPolicy(hidden_size=32, layers=1, heads=2, vocabulary=700, context=4096)
    config = FlywheelConfig(
        home=tmp_path_factory.mktemp("tau"), build=BuildConfig(held_out_share=0.4),
        environment=EnvironmentConfig(use="replay"), train=TrainConfig(policy=tiny),
    )  # fmt: skip
    night(config, str(real_logs / "tau-bench" / "gpt-4o-airline.12tasks.json"))
    return config


@pytest.fixture
def shop_log() -> Callable[..., dict[str, Any]]:
    """Make a record of a shop's agent: one scenario, one call, an answer and its outcome."""

    def made(name: str, scenario: str, sold: str, reward: float, **keys: Any) -> dict[str, Any]:
        call = {
            "id": "c", "type": "function",
            "function": {"name": "sell", "arguments": f'{{"what": "{sold}"}}'},
        }  # fmt: skip
        return {
            "id": name, "scenario_id": scenario, "session_id": name, "reward": reward,
            "messages": [
                {"role": "user", "content": f"I want {scenario}"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": f"sold {sold}"},
                {"role": "assistant", "content": f"Here is {sold}."},
            ],
            **keys,
        }  # fmt: skip

    return made
