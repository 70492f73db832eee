"""The demo's production: a day of questions, the agent's episodes, and what its users did.

Written as anybody's logs are: OpenAI-chat JSON lines and feedback events apart. On the first day
the scripted agent answers, later the champion, sampled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from schemas.config import FlywheelConfig
from schemas.dataset import Scenario
from schemas.episode import Message
from schemas.progress import report
from schemas.rollout import Rollout
from tasks.rollout import scripted
from tasks.rollout.play import SCRIPTED, play_policy
from tasks.rollout.scenarios import draw
from tasks.rollout.tools import tool_schemas
from tasks.rollout.users import react


def write_night(
    config: FlywheelConfig,
    *,
    night: str,
    champion: str | None,
    out: Path,
    clock: Callable[[], datetime],
    version: str | None = None,
) -> dict[str, Any]:
    """Write one day's `episodes.jsonl` and `feedback.jsonl`.

    Args:
        config: How much traffic, and of what environment.
        night: The night that will learn from it, `YYYY-MM-DD`; the day before is the traffic's.
        champion: Folder of the serving policy; None serves the scripted agent.
        out: Folder of the two files.
        clock: Gives the night's time; the traffic lies in the day before it.
        version: The serving policy's version for the logs; None takes its folder's name.

    Returns:
        `episodes`, `feedback` and `success`, the true share of right answers, which the logs do
        not hold.
    """
    count = config.traffic.later_nights if champion else config.traffic.first_night
    seed = int(night.replace("-", ""))
    rng = np.random.default_rng([config.seed, seed])
    # Some users ask again: their second episodes are played after, and counted in.
    first = draw(config.seed, config.build.split_salt, "train", int(count / 1.2), seed)
    rollouts = _serve(config, champion, first, seed)
    reactions = [react(bool(r.reward), rng) for r in rollouts]
    again = [i for i, events in enumerate(reactions) if any(e["kind"] == "reask" for e in events)]
    again = again[: count - len(first)]
    second = _serve(config, champion, [first[i] for i in again], seed + 1)
    sessions = [*range(len(first)), *again]
    reactions += [react(bool(r.reward), rng) for r in second]
    rollouts += second
    scenarios = [*first, *(first[i] for i in again)]
    began = clock() - timedelta(days=1)
    served = _Serving(night, version or (Path(champion).name if champion else None), began)
    with (
        (out / "episodes.jsonl").open("w") as episodes,
        (out / "feedback.jsonl").open("w") as events,
    ):
        for number, (scenario, rollout) in enumerate(zip(scenarios, rollouts, strict=True)):
            record = served.episode(number, sessions[number], scenario, rollout)
            episodes.write(json.dumps(record) + "\n")
            for event in reactions[number]:
                events.write(json.dumps(served.event(number, sessions[number], event)) + "\n")
    return {
        "episodes": len(rollouts),
        "feedback": sum(map(len, reactions)),
        "success": float(np.mean([r.reward or 0.0 for r in rollouts])),
    }


def _serve(
    config: FlywheelConfig, champion: str | None, scenarios: Sequence[Scenario], seed: int
) -> list[Rollout]:
    def progress(stage: str, done: int, total: int, note: str = "") -> None:  # noqa: ARG001 - Progress
        report("traffic", done, total, note)

    return play_policy(
        config, champion or SCRIPTED, scenarios, samples=1, greedy=False, seed=seed,
        progress=progress, temperature=config.traffic.temperature,
    )  # fmt: skip


class _Serving:
    """Names episodes, sessions and times of one day.

    Args:
        night: The night after the day.
        version: The serving policy; None is the scripted agent.
        began: When the day began.
    """

    def __init__(self, night: str, version: str | None, began: datetime) -> None:
        self._night = night
        self._version = version
        self._began = began

    def episode(
        self, number: int, session: int, scenario: Scenario, rollout: Rollout
    ) -> dict[str, Any]:
        asked = {"role": "user", "content": scenario.question}
        return {
            "id": f"{self._night}-{number:06d}",
            "timestamp": self._time(number),
            "model": scripted.NAME if self._version is None else "agent-policy",
            "policy_version": self._version,
            "session_id": f"{self._night}-s{session:06d}",
            "user_id": f"user{session % 997:03d}",
            "scenario_id": scenario.scenario_id,
            "messages": [asked, *(wire(m) for m in rollout.messages)],
            "tools": tool_schemas(),
            "usage": {
                "prompt_tokens": len(rollout.prompt_ids),
                "completion_tokens": sum(rollout.agent_mask),
            },
        }

    def event(self, number: int, session: int, event: dict[str, Any]) -> dict[str, Any]:
        return {
            "episode_id": f"{self._night}-{number:06d}",
            "session_id": f"{self._night}-s{session:06d}",
            "user_id": f"user{session % 997:03d}",
            "timestamp": self._time(number + 60),
            **event,
        }

    def _time(self, number: int) -> str:
        return (self._began + timedelta(seconds=2 * number)).isoformat()


def wire(message: Message) -> dict[str, Any]:
    """Write a message as OpenAI's chat format has it on the wire: arguments as a JSON string."""
    written: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        written["tool_call_id"] = message.tool_call_id
        written["name"] = message.name
    return written
