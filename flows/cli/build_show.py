"""How builds look on a terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def built(console: Console, result: dict[str, Any]) -> None:
    """Print what a build is made of, and what its guards dropped."""
    console.print(
        f"[bold]Built {result['digest']}[/bold] of night {result['night']}: "
        f"{result['sft']:,} episodes to imitate, {result['kto']:,} for KTO, "
        f"{result['pairs']:,} pairs, {result['scenarios']:,} scenarios"
    )
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    kinds = ", ".join(f"{kind} {n:,}" for kind, n in result["pairs_by_kind"].items())
    table.add_row("pairs", kinds or "none")
    guards = ", ".join(f"{name} {n:,}" for name, n in result["guards"].items() if n)
    table.add_row("guards dropped", guards or "none")
    if split := result.get("split"):
        table.add_row(
            "split",
            f"{split['train']:,} to train on, {split['held_out']:,} held out, "
            f"{split['retired']:,} retired; {split['groups']:,} groups, "
            f"the largest of {split['largest_group']:,}",
        )
    if dropped := {name: n for name, n in (result.get("dropped") or {}).items() if n}:
        table.add_row("scenarios left out", ", ".join(f"{k} {n:,}" for k, n in dropped.items()))
    table.add_row("leaks", f"{result['leaks']}")
    if result.get("card"):
        table.add_row("card", escape(result["card"]))
    console.print(table)


def remade(console: Console, result: dict[str, Any]) -> None:
    """Print whether a build came out the same."""
    table = Table("table", "rows", "sha256", "", box=box.SIMPLE_HEAD)
    for name, part in result["tables"].items():
        mark = "[green]the same[/green]" if part["same"] else "[red]differs[/red]"
        mark += "" if part["stored"] else ", [red]not the rows in the table[/red]"
        table.add_row(name, f"{part['rows']:,}", part["sha256"][:16], mark)
    console.print(table)
    same = "is the same, byte for byte" if result["same"] else "[red]is not the same[/red]"
    console.print(f"Build {result['digest']} of night {result['night']} {same}.")
    if not (result["same"] or result["same_code"]):
        console.print("It was made by another version of the code, which may be why.")
    for note in result["forgotten"]:
        console.print(f"[yellow]{escape(note['note'])}[/yellow] ({note['at']})")
