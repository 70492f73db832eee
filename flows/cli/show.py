"""How results look on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.printed import program
from schemas.config import FlywheelConfig

if TYPE_CHECKING:
    from tasks.promote.night import Night

SHOWN = 50
"""Rows of a query that are printed; --json prints all."""


def counts(title: str) -> Callable[[Console, dict[str, Any]], None]:
    """Make a printer of a stage's counts."""

    def show(console: Console, result: dict[str, Any]) -> None:
        table = _plain(title)
        for key, value in result.items():
            if isinstance(value, int | float | str) and not isinstance(value, bool):
                table.add_row(key.replace("_", " "), _number(value))
            elif isinstance(value, dict) and value:
                inside = ", ".join(f"{k} {_number(v)}" for k, v in value.items())
                table.add_row(key.replace("_", " "), escape(inside))
        console.print(table)
        for alarm in result.get("alarms", []):
            console.print(f"[yellow]alarm[/yellow] {escape(str(alarm))}")

    return show


def candidates(console: Console, result: dict[str, Any]) -> None:
    """Print the candidates that a night trained, what was seen in training, and the choice."""
    from tasks.train.halving import points
    from tasks.train.night import scores

    table = Table("candidate", "stages", "validation", "seconds", "decided", box=box.SIMPLE_HEAD)
    for candidate in result["candidates"]:
        stages = " ".join(stage["name"] for stage in candidate["stages"]) or "-"
        mine = candidate["name"] == result["chosen"]
        table.add_row(
            escape(candidate["name"]), stages, scores(candidate),
            f"{candidate.get('seconds', 0):.1f}",
            "[green]chosen[/green]" if mine else escape(str(candidate.get("decided", ""))),
        )  # fmt: skip
    console.print(table)
    for candidate in result["candidates"]:
        for line in candidate["health"]:
            if line != candidate.get("decided"):
                console.print(f"{escape(candidate['name'])}: {escape(line)}", soft_wrap=True)
    for line in (result.get("diagnosis") or {}).get("lines", ()):
        console.print(f"[dim]start: {escape(line)}[/dim]", soft_wrap=True)
    start = result.get("start_validation")
    if start is not None:
        console.print(f"[dim]start: {points(start)} on validation[/dim]")
    console.print(f"[bold]{escape(result['chosen'])}[/bold]: {escape(result['reason'])}",
                  soft_wrap=True)  # fmt: skip


def contest(console: Console, result: dict[str, Any]) -> None:
    """Print how challenger, champion and logged agent did on the frozen scenarios."""
    from tasks.promote.night import percent

    table = Table(box=box.SIMPLE_HEAD)
    for column in ("policy", "greedy [95%]", "sampled", f"pass@{result['k']}", "calls", "errors"):
        table.add_column(escape(column), no_wrap=True)
    for name, found in result["models"].items():
        low, high = found["ci95"]
        table.add_row(
            escape(name), f"{found['pass_at_1']:.1%} \\[{low:.1%}, {high:.1%}]",
            percent(found["sampled"]), percent(found["pass_at_k"]), f"{found['cost']:.2f}",
            percent(found["tool_error_rate"]),
        )  # fmt: skip
    console.print(table)
    console.print(f"[dim]{result['n']} frozen scenarios, played for real[/dim]")


def decision(console: Console, result: dict[str, Any]) -> None:
    """Print the gates and what they came to."""
    table = Table("gate", "", "in words", box=box.SIMPLE_HEAD)
    for gate in result["gates"]:
        mark = "[green]passed[/green]" if gate["passed"] else "[red]failed[/red]"
        table.add_row(gate["name"], mark, escape(gate["reason"]))
    console.print(table)
    console.print(_verdict(result["decision"], result["reason"], result["champion"]))
    for alarm in result.get("alarms", []):
        console.print(f"[yellow]alarm[/yellow] {escape(alarm)}")
    if result.get("report"):
        console.print(f"[dim]Report:[/dim] {escape(result['report'])}", soft_wrap=True)


def nothing(console: Console, result: dict[str, Any]) -> None:
    """Print nothing: the command has printed as it went."""


def rolled_back(console: Console, result: dict[str, Any]) -> None:
    """Print which version serves now."""
    console.print(
        f"Champion is version [bold]{result['version']}[/bold] again; "
        f"version {result['previous']} has gone."
    )


def status(console: Console, result: dict[str, Any]) -> None:
    """Print what the home holds."""
    console.print(f"[bold]{escape(result['home'])}[/bold]", soft_wrap=True)
    if result["tables"]:
        table = Table("table", "rows", "version", box=box.SIMPLE_HEAD)
        for name, found in result["tables"].items():
            table.add_row(name, f"{found['rows']:,}", str(found["version"]))
        console.print(table)
        champion, challenger = result["champion"], result["challenger"]
        console.print(
            f"champion {_version(champion)}, challenger {_version(challenger)}, "
            f"last night {result['last_night'] or 'none'}"
        )
    for alarm in result["alarms"]:
        console.print(f"[yellow]alarm[/yellow] {escape(alarm)}")
    console.print(escape(result["next"]), soft_wrap=True)


def lineage(console: Console, result: dict[str, Any]) -> None:
    """Print where a version comes from, or where an episode or file went."""
    if "models" in result:
        console.print(f"{escape(result['what'])}: {result['episodes']:,} episode(s)")
        for build in result["builds"]:
            console.print(f"  build {build['digest']} learned from {build['episodes']:,} of them")
        for model in result["models"]:
            console.print(f"    model version {model['version']} {model['learned']}")
        if not result["models"]:
            console.print("  no registered model learned from it")
        return
    decided = result["decision"]
    aliases = f" ({', '.join(result['aliases'])})" if result["aliases"] else ""
    console.print(f"[bold]version {result['version']}[/bold]{aliases}")
    console.print(
        f"  decision  {decided['decision']} in night {decided['night']}: "
        f"{escape(decided['reason'] or '')}", soft_wrap=True,
    )  # fmt: skip
    console.print(f"  candidate {decided['candidate']}, trained from "
                  f"{_version(result['trained_from'], 'a random start')}")  # fmt: skip
    for run in result["runs"]:
        console.print(f"  run       {run}")
    for data in result["datasets"]:
        console.print(f"  dataset   {data['name']} v{data['version']}  {data['digest']}")
    for source in result["sources"]:
        console.print(
            f"  source    {escape(source['file'])}  {source['episodes']:,} episodes  "
            f"[dim]{source['sha256']}[/dim]", soft_wrap=True,
        )  # fmt: skip


def rows(console: Console, result: dict[str, Any]) -> None:
    """Print the first rows of a query."""
    table = Table(*result["columns"], box=box.SIMPLE_HEAD)
    for row in result["rows"][:SHOWN]:
        table.add_row(*(Text("" if value is None else str(value)[:200]) for value in row))
    console.print(table)
    more = len(result["rows"]) - SHOWN
    console.print(f"[dim]{len(result['rows']):,} rows{f', {more:,} not shown' * (more > 0)}[/dim]")


def checks(console: Console, result: dict[str, Any]) -> None:
    """Print what the machine has and lacks."""
    table = Table("", "check", "found", "wanted", box=box.SIMPLE_HEAD)
    for check in result["checks"]:
        sign = "[red]✗[/red]" if check["needed"] else "[yellow]-[/yellow]"
        table.add_row(
            "[green]✓[/green]" if check["ok"] else sign,
            check["name"], escape(check["found"]), check["wanted"],
        )  # fmt: skip
    console.print(table)
    for check in result["checks"]:
        if check["next"]:
            console.print(f"{check['name']}: {check['next']}", soft_wrap=True)
    if result["ok"]:
        console.print(
            f"[green]Ready.[/green] `{escape(program('flywheel'))} demo` runs the loop.",
            soft_wrap=True,
        )


def demo_opening(console: Console, config: FlywheelConfig, nights: int) -> None:
    """Say what is about to happen."""
    console.print(
        Panel(
            "logs → ingest → label → build → train → evaluate → promote → [bold]a better agent"
            f"[/bold] → logs\n[dim]{nights} night(s), seed {config.seed}, home "
            f"{escape(str(config.home))}[/dim]",
            title="the flywheel", border_style="cyan", expand=False,
        )
    )  # fmt: skip


def night(console: Console, summary: Night, entry: dict[str, Any]) -> None:
    """Print a night: what went in, what was learned, who won and why."""
    from tasks.promote.night import interval_text, percent

    table = Table(box=box.ROUNDED, show_header=False, title_justify="left", border_style="dim",
                  title=f"[bold]Night {summary.night}[/bold]")  # fmt: skip
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    truth = entry["logged_success"]
    known = f", {percent(truth)} truly solved" if isinstance(truth, float) else ""
    table.add_row("logs in", f"{entry['episodes']:,} episodes{known}")
    labels = entry["labels"]
    table.add_row(
        "labels",
        f"[green]{labels['success']:,} successes[/green]  [red]{labels['failure']:,} failures[/red]"
        f"  [dim]{labels['unlabelled']:,} unlabelled[/dim]",
    )
    sft = summary.build.get("sft", 0)
    table.add_row("training set", f"{sft:,} episodes, {entry['pairs']:,} pairs")
    table.add_section()
    for line in summary.candidates:
        mark = "  [green]← chosen on validation[/green]" if line["chosen"] else ""
        if not line["chosen"] and line["decided"]:
            mark = f"  [dim]{escape(line['decided'])}[/dim]"
        table.add_row(f"candidate {escape(line['name'])}", f"{percent(line['validation'])}{mark}")
    table.add_section()
    for title, name in summary.contestants():
        table.add_row(f"frozen: {escape(title)}", interval_text(summary.models[name]))
    table.add_section()
    table.add_row("decision", _verdict(summary.decision, summary.reason, summary.champion))
    if entry["on_policy_gain"]:
        table.add_row("on-policy gain", _gain(entry["on_policy_gain"]))
    seconds = entry["seconds"]
    parts = ", ".join(f"{stage} {value:.1f}" for stage, value in seconds.items())
    table.add_row("seconds", f"[dim]{sum(seconds.values()):.0f}: {parts}[/dim]")
    console.print(table)


def demo_end(
    console: Console, result: dict[str, Any], pages: dict[str, str], following: list[str]
) -> None:
    """Say what came of it, where to look, and what to try next."""
    last = result["nights"][-1]
    who = "the last champion" if last["champion_version"] else "whoever serves (no champion yet)"
    lines = []
    for name, found in last["frozen"].items():
        low, high = found["ci95"]
        lines.append(
            f"unseen {name:<12} [bold]{found['champion']:.1%}[/bold] solved by {who}, "
            f"{found['logged_agent']:.1%} by the logged agent  [dim]({low:+.1%} to {high:+.1%}, "
            f"{found['n']} scenarios)[/dim]"
        )
    if result["on_policy_gain"]:
        lines.append(f"on-policy gain      {_gain(result['on_policy_gain'])}")
    lines += ["", f"[bold]Report[/bold]    {escape(result['report'])}"]
    lines += [f"[bold]{name:<9}[/bold] {escape(line)}" for name, line in pages.items()]
    lines += ["", "[bold]Next[/bold]", *(escape(line) for line in following)]
    console.rule(f"[green]done in {result['seconds']:.0f} s", style="green")
    console.print("\n".join(lines), soft_wrap=True)


def _gain(gain: dict[str, Any]) -> str:
    low, high = gain["ci95"]
    return (
        f"{gain['candidate']} over {gain['baseline']}: {gain['difference']:+.1%} "
        f"[{low:+.1%}, {high:+.1%}]"
    ).replace("[", "\\[")


def _verdict(decision: str, reason: str, champion: str | None) -> str:
    if decision == "promoted":
        return f"[bold green]promoted[/bold green] as v{champion}: {escape(reason)}"
    return f"[bold]kept[/bold] {_version(champion, 'the logged agent')}: {escape(reason)}"


def _version(version: str | None, none: str = "none") -> str:
    return f"v{version}" if version else none


def _plain(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, show_header=False)
    table.add_column(style="cyan")
    table.add_column()
    return table


def _number(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
