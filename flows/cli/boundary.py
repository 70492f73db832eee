"""The edge between the loop and the terminal: configuration in; result, error and status out."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import typer
from rich.console import Console

from flows.cli.bars import Bars, drawn
from flows.settings import load_config
from schemas.config import FlywheelConfig
from schemas.errors import FlywheelError

ALARM = 3
"""Exit status of what is done and committed, with something a person must look at."""


class Call(NamedTuple):
    """How a command was called."""

    config: Path | None
    home: Path | None
    as_json: bool
    changes: dict[str, Any] | None = None
    """Top-level configuration values given on the command line."""


class Session(NamedTuple):
    """What a command works with."""

    config: FlywheelConfig
    out: Console
    """Where a person reads results: stdout, or stderr when stdout is for JSON."""
    bars: Bars


Work = Callable[[Session], dict[str, Any]]
Show = Callable[[Console, dict[str, Any]], None]


def act(call: Call, work: Work, show: Show) -> None:
    """Run a command and leave with its exit status.

    Args:
        call: The options that every command has.
        work: Does it and returns what `--json` prints.
        show: Prints that for a person.
    """
    out = Console(stderr=call.as_json, highlight=False)
    try:
        config = load_config(call.config, home=call.home, changes=call.changes)
        with drawn(Console(stderr=True)) as bars:
            result = work(Session(config, out, bars))
    except FlywheelError as error:
        fail(error.kind, error.message, error.next_step, as_json=call.as_json)
    except OSError as error:
        what = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ") + "."
        fail(type(error).__name__, what, "Check the path and its permissions.", call.as_json)
    except KeyboardInterrupt:
        fail("Interrupted", "Stopped.", "Run the same command to take it up again.", call.as_json)
    if call.as_json:
        sys.stdout.write(as_text(result) + "\n")
    else:
        show(out, result)
    if result.get("error"):
        raise typer.Exit(1)
    if result.get("alarms") and "last_night" not in result:
        raise typer.Exit(ALARM)


def fail(kind: str, message: str, next_step: str, as_json: bool) -> NoReturn:
    """Say a known error in one line and leave with status 1."""
    line = " ".join(f"{message} {next_step}".split())
    sys.stderr.write(f"flywheel: {line}\n")
    if as_json:
        error = {"kind": kind, "message": message, "next": next_step}
        sys.stdout.write(as_text({"error": error}) + "\n")
    raise typer.Exit(1)


def as_text(value: Any) -> str:
    """Write JSON on one line; what is not a finite number becomes null."""
    return json.dumps(_finite(value), default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value
