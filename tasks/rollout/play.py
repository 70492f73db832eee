"""Play scenarios with a policy, or with the scripted production agent, and bring back rollouts."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from schemas.config import FlywheelConfig
from schemas.dataset import Scenario
from schemas.episode import Message
from schemas.progress import Progress, report
from schemas.rollout import Rollout
from tasks.rollout.environment import World, open_world

SCRIPTED = "scripted"
"""Names the logged production agent where a policy's folder is asked for."""


def play_policy(
    config: FlywheelConfig,
    policy: str,
    scenarios: Sequence[Scenario],
    *,
    samples: int,
    greedy: bool,
    seed: int,
    progress: Progress = report,
    temperature: float = 1.0,
) -> list[Rollout]:
    """Play every scenario.

    Args:
        config: Names the environment.
        policy: Folder of a saved policy, or `scripted`.
        scenarios: What is played.
        samples: Attempts a scenario.
        greedy: Take the likeliest token each time; the scripted agent has no such mode.
        seed: Seed of the sampling, or of the scripted agent's moods.
        progress: Told how many episodes are done.
        temperature: Sampling temperature where it is not greedy.

    Returns:
        Rollouts in the order of the scenarios, all attempts of one beside each other.
    """
    world = open_world(config)
    try:
        if policy == SCRIPTED:
            return _play_scripted(world, scenarios, samples, seed, progress)
        return play_loaded(
            config, world, _load(config, policy), scenarios, samples=samples,
            temperature=0.0 if greedy else temperature, seed=seed, progress=progress,
        )  # fmt: skip
    finally:
        world.close()


def _load(config: FlywheelConfig, policy: str) -> Any:
    from models.policy import load_policy

    return load_policy(policy, config.train.device)


def play_loaded(
    config: FlywheelConfig,
    world: World,
    policy: Any,
    scenarios: Sequence[Scenario],
    *,
    samples: int,
    temperature: float,
    seed: int,
    progress: Progress = report,
) -> list[Rollout]:
    """Play scenarios with a `models.policy.LoadedPolicy` that is in memory already.

    Args:
        config: Gives the length limits.
        world: Where the environments come from.
        policy: The policy.
        scenarios: What is played.
        samples: Attempts a scenario.
        temperature: 0 is greedy.
        seed: Seed of the sampling.
        progress: Told how many episodes are done.
    """
    from models.generation import Player

    environments, prompts, of = [], [], []
    for scenario in scenarios:
        for attempt in range(samples):
            environment = world.environment()
            opened = environment.reset(**json.loads(scenario.row))
            environments.append(environment)
            prompts.append(opening(scenario, opened))
            of.append((scenario, attempt))
    player = Player(policy.model, policy.tokenizer, sampling(config, temperature), seed)
    total = len(environments)
    rollouts = player.play(environments, prompts, lambda done: progress("play", done, total))
    for rollout, (scenario, attempt) in zip(rollouts, of, strict=True):
        rollout.scenario_id, rollout.attempt = scenario.scenario_id, attempt
    return rollouts


def sampling(config: FlywheelConfig, temperature: float) -> Any:
    """Derive how a policy acts from its configuration; a `models.generation.Sampling`."""
    from models.generation import Sampling

    context = config.train.policy.context
    return Sampling(
        temperature=temperature,
        turn_tokens=max(1, int(context * config.train.turn_share)),
        episode_tokens=context * 3 // 4,
        batch_size=config.train.play_batch,
    )


def opening(scenario: Scenario, opened: str | None) -> list[dict[str, Any]]:
    """Open the conversation: with the question, or with the `prompt` that a scenario's row has.

    What `reset` returned is glued to the last message, as TRL does.
    """
    asked = [{"role": "user", "content": scenario.question}]
    told: list[dict[str, Any]] = json.loads(scenario.row).get("prompt") or asked
    last = {**told[-1], "content": told[-1]["content"] + (opened or "")}
    return [*told[:-1], last]


def _play_scripted(
    world: World,
    scenarios: Sequence[Scenario],
    samples: int,
    seed: int,
    progress: Progress,
) -> list[Rollout]:
    rng = np.random.default_rng([seed, 3])
    rollouts = []
    for done, scenario in enumerate(scenarios):
        for attempt in range(samples):
            began = time.perf_counter()
            environment = world.environment()
            environment.reset(**json.loads(scenario.row))
            messages = world.act(scenario, environment, rng)
            if hasattr(environment, "_finish"):
                environment._finish(messages[-1].content)  # noqa: SLF001 - TRL takes public names for tools
            rollouts.append(_scripted_rollout(scenario, attempt, messages, environment, began))
        if done % 500 == 0:
            progress("play", done, len(scenarios))
    progress("play", len(scenarios), len(scenarios))
    return rollouts


def _scripted_rollout(
    scenario: Scenario, attempt: int, messages: list[Message], environment: Any, began: float
) -> Rollout:
    return Rollout(
        scenario_id=scenario.scenario_id,
        attempt=attempt,
        messages=messages,
        reward=environment.get_reward(),
        turns=sum(m.role == "assistant" for m in messages),
        tool_calls=sum(len(m.tool_calls) for m in messages),
        tool_errors=sum(bool(m.error) for m in messages),
        seconds=time.perf_counter() - began,
    )
