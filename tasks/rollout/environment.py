"""Open the environment that the configuration names.

An environment is a world (shared state: databases, a sandbox) that makes objects of TRL's
environment contract. The built-in one is `sql_agent`; any other is `package.module:attribute`,
called with `root`, `seed` and the configured options.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast

from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError

BUILT_IN = {"sql_agent": "tasks.rollout.sql_agent:SqlWorld"}


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
            root=config.home / "environment", seed=config.seed, **config.environment.options
        )
    except TypeError as error:
        raise ConfigurationError(
            f"environment.options do not fit {config.environment.use}: {error}.",
            "Remove or correct the option.",
        ) from error
    return cast(World, world)
