"""Command lines that are printed for a person: they work as they stand, whatever the PATH is."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from flows.settings import load_config
from schemas.config import FlywheelConfig


def program(name: str) -> str:
    """Give a program of this environment by its full path, quoted for a shell."""
    path = Path(sys.executable).parent / name
    return shlex.quote(str(path) if path.exists() else name)


def flywheel(config: FlywheelConfig, words: str) -> str:
    """Write a `flywheel` command on a home; the home is left out where a bare command means it.

    Args:
        config: Its home is meant.
        words: Verb, arguments and options, as a shell takes them.
    """
    bare = load_config().home == config.home
    home = "" if bare else f" --home {shlex.quote(str(config.home))}"
    return f"{program('flywheel')} {words}{home}"


def pages(config: FlywheelConfig) -> dict[str, str]:
    """Say how to open the pages that a run left."""
    prefect = shlex.quote(str(config.home / "prefect"))
    store = shlex.quote(f"sqlite:///{config.home / 'mlflow' / 'mlflow.db'}")
    return {
        "Prefect": f"PREFECT_HOME={prefect} {program('prefect')} server start",
        "MLflow": f"{program('mlflow')} ui --backend-store-uri {store}",
    }


def after_demo(config: FlywheelConfig) -> list[str]:
    """List what to try next, a comment behind each command."""
    count = "sql 'SELECT state, count(*) FROM labels GROUP BY state'"
    own = FlywheelConfig(home=Path(".my-flywheel"))
    return [
        f"{flywheel(config, 'lineage champion')}  # where the champion comes from",
        flywheel(config, count),
        f"{flywheel(own, 'ingest YOUR_LOGS')}  # your own logs",
        f"{flywheel(own, 'run nightly')}  # and a night on them",
    ]
