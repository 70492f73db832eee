"""How labels look on a terminal: the account of a run, and why an episode has its label."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

STATES = {"success": "green", "failure": "red", "unlabelled": "dim"}


def labelled(console: Console, result: dict[str, Any]) -> None:
    """Print what a run of the label stage came to."""
    console.print(
        f"[bold]Labelled {result['labelled']:,}[/bold] episodes; of all {result['episodes']:,}: "
        f"[green]{result['success']:,} success[/green], [red]{result['failure']:,} failure[/red], "
        f"[dim]{result['unlabelled']:,} unlabelled, "
        f"{result['infrastructure_errors']:,} broken[/dim]"
    )
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    by_source = ", ".join(
        f"{k.replace('_', ' ')} {v:,}" for k, v in result["by_source"].items() if v
    )
    table.add_row("decided by", by_source or "nothing")
    terms = result["terms"]
    if terms["total"] is not None:
        means = ", ".join(f"{name} {value:.2f}" for name, value in terms.items())
        table.add_row("mean terms", means)
    calibration = result["calibration"]
    if calibration["n"]:
        told = f"error {calibration['ece']:.1%} on {calibration['n']:,} verified episodes"
        table.add_row("calibration", told)
    points = f"{result['decision_points']:,}, {result['decision_points_with_support']:,} supported"
    table.add_row("decision points", points)
    if judge := result.get("judge"):
        table.add_row("judge", escape(judge_line(judge)))
    console.print(table)
    if result["reliability"]:
        console.print(reliability_table(result["reliability"]))
    for failed in result["failed"]:
        said = f"{failed['use']} failed on {failed['count']:,} episodes: {failed['message']}"
        console.print(f"[yellow]plug-in[/yellow] {escape(said)}")
    for wire in result["tripwires"]:
        console.print(f"[yellow]tripwire[/yellow] {wire['kind']}: {escape(wire['detail'])}")


def judge_line(judge: dict[str, Any]) -> str:
    """Say in a line what was asked of the judge."""
    abstained = sum(judge["abstained"].values())
    most = max(judge["abstained"], key=judge["abstained"].__getitem__, default="")
    reason = f" (mostly: {most})" if most else ""
    return (
        f"{judge['source']}: {judge['groups']:,} groups, {judge['asked']:,} requests, "
        f"{judge['cached']:,} from cache, {abstained:,} abstained{reason}, "
        f"{judge['over_budget']:,} over budget"
    )


def reliability_table(reliability: dict[str, dict[str, float]]) -> Table:
    """Tabulate what each kind of evidence has proven to weigh."""
    table = Table("evidence", box=box.SIMPLE_HEAD)
    for title in ("successes", "failures", "default", "weighs"):
        table.add_column(title, justify="right")
    for kind, told in sorted(reliability.items(), key=lambda item: -abs(item[1]["learnt"])):
        table.add_row(
            kind.replace("_", " "), f"{told['successes']:,.0f}", f"{told['failures']:,.0f}",
            f"{told['default']:+.2f}", f"{told['learnt']:+.2f}",
        )  # fmt: skip
    return table


def explained(console: Console, result: dict[str, Any]) -> None:
    """Print why an episode has its label."""
    label = result["label"]
    colour = STATES[label["state"]]
    sure = "" if label["success"] is None else f", success {label['success']:.0%}"
    by = f", decided by {label['decided_by'].replace('_', ' ')}" if label["decided_by"] else ""
    console.print(f"[bold]{escape(result['question'] or result['episode_id'])}[/bold]")
    console.print(
        f"[{colour}]{label['state']}[/{colour}]{sure}{by}  [dim]{result['episode_id']}[/dim]"
    )
    if label["infrastructure_error"]:
        console.print("[dim]The run broke for reasons that are none of the agent's doing.[/dim]")
    console.print(evidence_table(result))
    console.print(terms_table(result["terms"]))
    if result["steps"]:
        console.print(steps_table(result["steps"]))
    for old in result["history"]:
        console.print(
            f"[dim]before: {old['state']}{shown(old['success'], ' {:.0%}')}, "
            f"{old['labelled_at']:%Y-%m-%d %H:%M}, labelling {old['label_version']}[/dim]"
        )


def evidence_table(result: dict[str, Any]) -> Table:
    """Tabulate evidence, the strongest first."""
    table = Table("evidence", "source", box=box.SIMPLE_HEAD)
    for title in ("says", "share", "weighs", "at"):
        table.add_column(title, justify="right")
    if result["label"]["decided_by"] not in (None, "outcome", "reward_model"):
        table.add_row("[dim]before evidence[/dim]", "", "", "", f"{result['prior']:+.2f}", "")
        table.add_row("[dim]what was not shown[/dim]", "", "", "", f"{result['silence']:+.2f}", "")
    for piece in result["evidence"]:
        at = f"{piece['at']:%Y-%m-%d %H:%M}" if piece["at"] else ""
        table.add_row(
            piece["kind"].replace("_", " "), escape(shortened(piece["source"])),
            f"{piece['value']:+g}", f"{piece['share']:.2f}", f"{piece['weight']:+.2f}", at,
        )  # fmt: skip
    return table


def terms_table(terms: dict[str, Any]) -> Table:
    """Tabulate the terms of the composite reward with their inputs."""
    table = Table("term", box=box.SIMPLE_HEAD)
    for title in ("value", "weight"):
        table.add_column(title, justify="right")
    table.add_column("from")
    weights = terms["weights"]
    costs = ", ".join(f"{t['name']} {t['amount']:g} ({t['part']:.2f})" for t in terms["costs"])
    risks = ", ".join(f"{t['name']} {t['amount']:g} ({t['part']:.2f})" for t in terms["risks"])
    for name, told in (("success", ""), ("cost", costs), ("risk", risks)):
        sign = "" if name == "success" else "-"
        table.add_row(name, shown(terms[name], "{:.2f}"), f"{sign}{weights[name]:g}", escape(told))
    table.add_row("[bold]total[/bold]", shown(terms["total"], "{:.2f}"), "", "")
    return table


def steps_table(steps: list[dict[str, Any]]) -> Table:
    """Tabulate the credit of each step."""
    table = Table("step", box=box.SIMPLE_HEAD)
    table.add_column("what it did, and was told", overflow="fold")
    for title in ("reward", "return", "advantage", "seen", "rivals"):
        table.add_column(title, justify="right", no_wrap=True)
    for step in steps:
        told = f"\n[dim]{escape(step['told'])}[/dim]" if step["told"] else ""
        colour = "red" if step["errors"] else "default"
        table.add_row(
            str(step["step"]), f"[{colour}]{escape(step['did'])}[/{colour}]{told}",
            f"{step['reward']:+.2f}", f"{step['return']:+.2f}", shown(step["advantage"], "{:+.2f}"),
            shown(step["visits"], "{:,}"), shown(step["rivals"], "{}"),
        )  # fmt: skip
    return table


def shown(value: float | None, form: str) -> str:
    """Write a number, or nothing where there is none."""
    return "" if value is None else form.format(value)


def shortened(source: str) -> str:
    """Shorten the id in a source."""
    return source if len(source) <= 24 else source[:23] + "…"
