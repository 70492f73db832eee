"""The `export` command: a build's rows in the format of another trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from flows.cli.boundary import Call, Session, act
from flows.cli.options import ConfigOption, HomeOption, JsonOption


def export(
    format_name: Annotated[
        str, typer.Argument(metavar="FORMAT", help="trl, openai, art, ms-swift or verl.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder to write to; it must not be there, or be empty.")
    ],
    build: Annotated[
        str | None,
        typer.Option("--build", help="The build's digest; else the newest.", show_default=False),
    ] = None,
    use: Annotated[
        str | None,
        typer.Option(
            "--use", help="sft, dpo, kto or rl; else the format's first.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None, home: HomeOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Write a build's rows for another trainer: TRL, OpenAI, OpenPipe ART, ms-swift or verl.

    Prints format, use, build, files (path, rows, sha256) and left_out: rows by reason.

    Example: flywheel export openai --out exported
    """

    def work(session: Session) -> dict[str, Any]:
        from tasks.export.export import export as run
        from warehouse.occupancy import at_work

        with at_work(session.config.home):
            return run(session.config.home, format_name, out, build=build, use=use)

    act(Call(config, home, as_json), work, exported)


def exported(console: Console, result: dict[str, Any]) -> None:
    """Print what was written, and what was left out and why."""
    for file in result["files"]:
        console.print(
            f"[bold]{file['rows']:,}[/bold] rows ({result['use']} of build {result['build']}) in "
            f"{escape(file['path'])}", soft_wrap=True,
        )  # fmt: skip
    for reason, count in result["left_out"].items():
        console.print(f"[yellow]left out[/yellow] {count:,}: {reason}", soft_wrap=True)
