"""What this machine has and lacks for the flywheel."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from schemas.config import FlywheelConfig

BELOW = {"fastapi": (0, 151), "sqlalchemy": (2, 1), "prefect": (3, 9), "mlflow": (3, 18),
         "trl": (1, 17)}  # fmt: skip
"""First version of a package that breaks the flywheel (docs/decisions.md says how)."""
FROM = {"duckdb": (2, 0), "deltalake": (1, 6), "transformers": (5, 15), "trl": (1, 16),
        "prefect": (3, 7), "polars": (2, 0)}  # fmt: skip
"""First version of a package that works."""
PACKAGES = ("torch", "transformers", "trl", "peft", "prefect", "fastapi", "sqlalchemy", "mlflow",
            "duckdb", "deltalake", "polars", "pyarrow")  # fmt: skip
SET_UP = "Run `make setup`, which installs the versions of constraints.txt."


def examine(config: FlywheelConfig) -> dict[str, Any]:
    """Check Python, packages, machine and home.

    Args:
        config: Home, and whether a GPU is asked for.

    Returns:
        `ok` and `checks`, each `name, ok, needed, found, wanted, next`; with `error` when
        something needed is missing.
    """
    checks = [_python(), *(_package(name) for name in PACKAGES), *_machine(config), _home(config)]
    checks += [_threads(), _gpu(config)]
    missing = [c for c in checks if c["needed"] and not c["ok"]]
    result: dict[str, Any] = {"ok": not missing, "checks": checks}
    if missing:
        names = ", ".join(c["name"] for c in missing)
        result["error"] = {
            "kind": "MissingStateError", "message": f"Not ready: {names}.",
            "next": missing[0]["next"],
        }  # fmt: skip
    return result


def _check(
    name: str, ok: bool, found: str, wanted: str, next_step: str, needed: bool = True
) -> dict[str, Any]:
    """Put one finding down."""
    return {
        "name": name, "ok": ok, "needed": needed, "found": found, "wanted": wanted,
        "next": "" if ok else next_step,
    }  # fmt: skip


def _python() -> dict[str, Any]:
    found = platform.python_version()
    return _check(
        "python", sys.version_info >= (3, 11), found, "3.11 or newer",
        "Run `make setup PYTHON=python3.12` with a newer one.",
    )  # fmt: skip


def _package(name: str) -> dict[str, Any]:
    """Check that a package is there and within its pins."""
    low, high = FROM.get(name), BELOW.get(name)
    bounds = [f">= {_text(low)}"] if low else []
    bounds += [f"< {_text(high)}"] if high else []
    wanted = ", ".join(bounds) or "any version"
    try:
        found = version(name)
    except PackageNotFoundError:
        return _check(name, False, "not installed", wanted, SET_UP)
    numbers = _numbers(found)
    fits = (low is None or numbers >= low) and (high is None or numbers < high)
    return _check(name, fits, found, wanted, SET_UP)


def _machine(config: FlywheelConfig) -> list[dict[str, Any]]:
    """Check cores, memory and disk."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    free = shutil.disk_usage(_existing(config.home)).free / 2**30
    return [
        _check("cores", (cores or 1) >= 2, str(cores), "2 or more",
               "It runs on one core, in twice the time.", needed=False),
        _check("memory", memory >= 4, f"{memory:.1f} GiB", "4 GiB or more",
               "Choose a machine with more memory."),
        _check("disk", free >= 3, f"{free:.1f} GiB free", "3 GiB free or more",
               "Free some space, or put the home elsewhere with --home."),
    ]  # fmt: skip


def _home(config: FlywheelConfig) -> dict[str, Any]:
    """Check that the home can be written, without leaving anything there."""
    folder = _existing(config.home)
    try:
        with tempfile.TemporaryFile(dir=folder):
            writable = True
    except OSError:
        writable = False
    found = "writable" if writable else "not writable"
    return _check(
        "home", writable, f"{config.home}: {found}", "a writable folder",
        "Choose another with --home or FLYWHEEL_HOME.",
    )  # fmt: skip


def _threads() -> dict[str, Any]:
    """Check that idle OpenMP threads sleep: spinning ones take ten times as long on two cores."""
    policy = os.environ.get("OMP_WAIT_POLICY", "unset")
    return _check(
        "threads", policy.upper() == "PASSIVE", f"OMP_WAIT_POLICY={policy}", "PASSIVE",
        "Run through `flywheel`, or export OMP_WAIT_POLICY=PASSIVE.", needed=False,
    )  # fmt: skip


def _gpu(config: FlywheelConfig) -> dict[str, Any]:
    """Check for a CUDA device; it is needed only when the configuration asks for one."""
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"))
    return _check(
        "gpu", bool(devices), f"{len(devices)} CUDA device(s)", "none for the embedded default",
        "Train with `--config gpu` on a machine that has one.",
        needed=config.train.device == "cuda",
    )  # fmt: skip


def _existing(folder: Path) -> Path:
    """Find the folder, or the closest one above it that exists."""
    return next(p for p in (folder, *folder.parents) if p.exists())


def _numbers(text: str) -> tuple[int, ...]:
    """Read the leading numbers of a version."""
    parts = []
    for part in text.split("+", maxsplit=1)[0].split("."):
        digits = "".join(c for c in part if c.isdigit())
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)


def _text(numbers: tuple[int, ...] | None) -> str:
    return ".".join(map(str, numbers or ()))
