"""The embedded environment, opened once for all tests of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.config import FlywheelConfig
from tasks.rollout.sql_agent import SqlAgent, SqlWorld

SEED = 0


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rollout")


@pytest.fixture
def config(shared_home: Path) -> FlywheelConfig:
    """The defaults, in a home whose databases are made once."""
    return FlywheelConfig(home=shared_home, seed=SEED)


@pytest.fixture(scope="session")
def world(shared_home: Path) -> Iterator[SqlWorld]:
    made = SqlWorld(root=shared_home / "environment", seed=SEED)
    yield made
    made.close()


@pytest.fixture
def at(world: SqlWorld) -> Callable[..., Any]:
    """Start an episode at a tenant; gives the environment and the tenant."""

    def opened(moved: bool = False, gold_sql: str = "SELECT 1") -> tuple[SqlAgent, Any]:
        tenant = next(t for t in world.tenants.values() if t.moved == moved)
        environment = world.environment()
        environment.reset(tenant=tenant.name, gold_sql=gold_sql)
        return environment, tenant

    return opened
