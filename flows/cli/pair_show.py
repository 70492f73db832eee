"""The command `flywheel show pair`: a pair side by side, to be judged at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.cli.boundary import Call, Session, act
from flows.cli.options import ConfigOption, HomeOption, JsonOption

if TYPE_CHECKING:
    from tasks.promote.pairs_page import Line, Sight

SIDES = {"chosen": "green", "rejected": "red"}
PROMPT = 3
"""Lines of the terminal that a message of the prompt may take."""
ID = 16
"""Characters of a pair's id that are shown, and enough to name it."""


def pair(
    pair_id: Annotated[
        str, typer.Argument(metavar="[ID]", help="Id of the pair, or how it begins.")
    ] = "",
    build: Annotated[
        str | None,
        typer.Option("--build", metavar="DIGEST", show_default=False,
                     help="Which build; else the newest."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", min=1, metavar="N", show_default=False,
                     help="Show so many, drawn by the configuration's seed."),
    ] = None,
    config: ConfigOption = None, home: HomeOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Show a pair side by side: what both share, what was preferred, and why.

    Without an id, pairs are drawn from the build.

    Example: flywheel show pair --sample 10
    """

    def work(session: Session) -> dict[str, Any]:
        from schemas.errors import InputError
        from tasks.promote.pairs_page import drawn_pairs

        most = sample or (2 if pair_id else 1)
        found = drawn_pairs(session.config, build=build, prefix=pair_id, number=most)
        if pair_id and sample is None and len(found["pairs"]) > 1:
            ids = " and ".join(one["pair_id"] for one in found["pairs"])
            raise InputError(
                f"More than one pair begins with {pair_id!r}: {ids}.",
                "Give more of the id, or --sample to see several.",
            )
        return found

    act(Call(config, home, as_json), work, shown)


def shown(console: Console, result: dict[str, Any]) -> None:
    """Print pairs one after the other."""
    for place, one in enumerate(result["pairs"]):
        if place:
            console.print()
        print_pair(console, one, f"{place + 1}/{len(result['pairs'])}")


def print_pair(console: Console, one: Mapping[str, Any], place: str) -> None:
    """Print one pair: its kind, the prompt, both sides step by step, and why."""
    from tasks.promote.pairs_page import sight

    seen = sight(one)
    support = "" if one["support"] is None else f"  support {one['support']}"
    title = Text.assemble(
        (one["kind"].replace("_", " "), "bold"),
        f"  margin {one['margin']:.2f}  confidence {one['confidence']:.2f}{support}  ",
        (one["pair_id"][:ID], "dim"), (f"  {place}", "dim"),
    )  # fmt: skip
    console.rule(title, align="left", style="dim")
    print_prompt(console, seen)
    console.print(sides(one, seen))
    for side in SIDES:
        # On a line of its own, so that a whole id can be copied from 80 columns.
        console.print(Text(f"{side:<8} {one[f'{side}_episode']}", "dim"))


def print_prompt(console: Console, seen: Sight) -> None:
    """Print what both sides share, a few lines a message."""
    for place, line in enumerate(seen.prompt):
        if place == 2 and seen.between:
            console.print(Text(f"… {seen.between} more", "dim"))
        written = line_text(line, "bold" if line.kind == "user" else "", mark=False)
        lines = written.wrap(console, console.width)
        shortened = Text("\n").join(lines[:PROMPT])
        console.print(shortened if len(lines) <= PROMPT else Text.assemble(shortened, "…"))


def sides(one: Mapping[str, Any], seen: Sight) -> Table:
    """Tabulate both sides: why each has its label, then step by step."""
    from tasks.promote.pairs_page import why

    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1, 0, 0), show_edge=False)
    for side, colour in SIDES.items():
        table.add_column(Text(side, f"bold {colour}"), ratio=1, overflow="fold")
    table.add_row(*(Text(why(one["labels"].get(one[f"{side}_episode"]))) for side in SIDES))
    if seen.same:
        steps = "step is" if seen.same == 1 else f"{seen.same} steps are"
        table.add_row(Text(f"the first {steps} the same", "dim"), "")
    for step in seen.steps:
        if step.skipped:
            table.add_row(Text(f"… {step.skipped} more", "dim"), "")
        table.add_row(
            cell(step.number, step.chosen, "green"), cell(step.number, step.rejected, "red")
        )
    return table


def cell(number: int, lines: Sequence[Line], colour: str) -> Text:
    """Write what one side did at a step; nothing where it had ended."""
    written = [line_text(line, colour, mark=True) for line in lines]
    return Text.assemble((f"{number} ", "dim"), Text("\n").join(written)) if written else Text()


def line_text(line: Line, colour: str, *, mark: bool) -> Text:
    """Write one line; results are dim, what the other side has not is marked."""
    style = {"told": "dim", "thinks": "dim italic", "failed": "dim red"}.get(line.kind, colour)
    text = Text(style=style)
    lead = {"says": "", "calls": f"{line.title}(", "told": "→ ", "failed": "✗ "}
    text.append(lead.get(line.kind, f"{line.kind}  "))
    for piece in line.pieces:
        marked = mark and piece.differs and line.kind in ("calls", "says")
        text.append(piece.text, "bold underline" if marked else "")
    if line.kind == "calls":
        text.append(")")
    return text
