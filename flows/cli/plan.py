"""The command that says what a night's training will do."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.cli.boundary import Call, Session, act
from flows.cli.options import ConfigOption, HomeOption, JsonOption, NightOption


def plan(
    config: ConfigOption = None, home: HomeOption = None, night: NightOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Say what a night's training will do: candidates, memory and time. Starts and writes nothing.

    Without --night it is that of the latest build. Leaves with status 1 where memory is too little
    or the data supports no candidate.

    Example: flywheel plan --config gpu
    """

    def work(session: Session) -> dict[str, Any]:
        from flows.cli.stages import checked, today
        from tasks.ledger import Ledger, nights
        from tasks.train.plan import plan as planned

        when = checked(night)
        if when is None:
            built = [n for n in nights(session.config) if Ledger(session.config, n).get("build")]
            when = built[-1] if built else today()
        return planned(session.config, when)

    act(Call(config, home, as_json), work, shown)


def shown(console: Console, result: dict[str, Any]) -> None:
    """Print a plan."""
    policy, start = result["policy"], result["start"]
    trained = policy["trained_parameters"]
    how = f", LoRA rank {policy['lora_rank']} ({_count(trained)})" if policy["lora_rank"] else ""
    console.print(
        f"[bold]Night {result['night']}[/bold] from {escape(start['from'])}: "
        f"{_count(policy['parameters'])} parameters, {policy['dtype']}{how}, "
        f"context {policy['context']:,}", soft_wrap=True,
    )  # fmt: skip
    table = Table(
        "candidate", "steps", "rollouts", "memory", "time", "", box=box.SIMPLE_HEAD
    )  # fmt: skip
    for one in result["candidates"]:
        steps = " + ".join(_steps(stage) for stage in one["stages"])
        rollouts = sum(stage["rollouts"] for stage in one["stages"])
        why = "" if one["supported"] else f"[yellow]left out:[/yellow] {escape(one['why'])}"
        table.add_row(
            escape(one["name"]), steps, f"{rollouts:,}" if rollouts else "",
            _size(one["memory_bytes"]), _time(one["seconds"]), why,
        )  # fmt: skip
    console.print(table)
    for place, one in enumerate(result["rounds"], 1):
        console.print(
            f"round {place}: {one['candidates']} candidate(s) to {one['until']:.0%} of their "
            f"steps, {_time(one['seconds'])}"
        )
    memory, device = result["memory"], result["device"]
    free = f"{_size(memory['free_bytes'])} free" if memory["free_bytes"] else "none here"
    console.print(
        f"memory about {_size(memory['needed_bytes'])} ({result['processes']} candidate(s) at a "
        f"time), {escape(device['name'] or device['kind'])}: {free}"
    )
    console.print(
        f"time at most {_time(result['seconds'])}, budget {_time(result['budget_seconds'])}"
    )
    for note in result["notes"]:
        console.print(f"[dim]{escape(note)}[/dim]", soft_wrap=True)
    if result.get("error"):
        error = result["error"]
        console.print(
            f"[red]{escape(error['message'])}[/red] {escape(error['next'])}", soft_wrap=True
        )


def _steps(stage: dict[str, Any]) -> str:
    return "?" if stage["steps"] is None else f"{stage['steps']:,}"


def _count(number: int) -> str:
    return f"{number / 1e9:.1f}B" if number >= 1e9 else f"{number / 1e6:.1f}M"


def _size(amount: int) -> str:
    return f"{amount / 1e9:.1f} GB"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
