"""Open the environment that the configuration names.

An environment is a world (shared state: databases, a sandbox) that makes objects of TRL's
environment contract. The built-in one is `sql_agent`; any other is `package.module:attribute`,
called with `root` (a folder of its own), `seed`, `salt` (of the split) and the configured options.
A world also draws the scenarios and plays the agent in production, so that a first night has
something to be better than.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast

import numpy as np

from schemas.config import FlywheelConfig
from schemas.dataset import Scenario, Split
from schemas.episode import Message
from schemas.errors import ConfigurationError

BUILT_IN = {
    "sql_agent": "tasks.rollout.sql_agent:SqlWorld",
    "replay": "tasks.rollout.replay.world:ReplayWorld",
}


class Environment(Protocol):
    """One episode, as TRL's `environment_factory` makes it; public methods are the tools."""

    def reset(self, **row: Any) -> str | None:
        """Start an episode from a scenario's row."""
        ...

    def get_reward(self) -> float | None:
        """Judge the finished episode, fraction in [0, 1]; None abstains."""
        ...


class World(Protocol):
    """What all environments of one process share."""

    def environment(self) -> Environment:
        """Make one environment."""
        ...

    def draw(self, split: Split, count: int, seed: int) -> list[Scenario]:
        """Draw scenarios of one split; held-out splits are the same for the same seed, always.

        The four splits are disjoint by specification: that is the world's promise.
        """
        ...

    def act(
        self, scenario: Scenario, environment: Environment, rng: np.random.Generator
    ) -> list[Message]:
        """Let the agent in production play one episode; the environment was reset.

        Returns:
            The messages after the question, the answer last.
        """
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


def open_world(config: FlywheelConfig) -> World:
    """Open the configured environment.

    Raises:
        ConfigurationError: It is neither built in nor importable, or refuses its options.
    """
    use = BUILT_IN.get(config.environment.use, config.environment.use)
    module, _, attribute = use.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"environment.use = {config.environment.use!r} cannot be loaded: {error}.",
            f"Use one of {', '.join(BUILT_IN)}, or package.module:attribute that can be imported.",
        ) from error
    try:
        world = factory(
            root=config.home / "environment",
            seed=config.seed,
            salt=config.build.split_salt,
            **config.environment.options,
        )
    except TypeError as error:
        raise ConfigurationError(
            f"environment.options do not fit {config.environment.use}: {error}.",
            "Remove or correct the option.",
        ) from error
    return cast(World, world)


def frozen(config: FlywheelConfig) -> list[Scenario]:
    """Draw the frozen evaluation set: the same scenarios every night.

    Raises:
        ConfigurationError: The environment has fewer than are asked for.
    """
    return [
        *_held_out(config, "frozen_params", config.evaluate.params, 11),
        *_held_out(config, "frozen_compositions", config.evaluate.compositions, 12),
    ]


def validation(config: FlywheelConfig) -> list[Scenario]:
    """Draw the validation set that chooses among candidates: the same scenarios every night.

    Raises:
        ConfigurationError: The environment has fewer than are asked for.
    """
    return _held_out(config, "validation", config.train.validation_scenarios, 13)


def _held_out(config: FlywheelConfig, split: Split, count: int, seed: int) -> list[Scenario]:
    world = open_world(config)
    try:
        drawn = world.draw(split, count, seed)
    finally:
        world.close()
    if len(drawn) < count:
        raise ConfigurationError(
            f"The environment has {len(drawn)} {split} scenarios, {count} are asked for.",
            "Lower evaluate.params, evaluate.compositions or train.validation_scenarios.",
        )
    return drawn
