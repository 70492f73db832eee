"""Options that mean the same on every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", help="YAML file with what differs from the defaults, or tiny, gpu, scale.",
        metavar="FILE", show_default=False,
    ),
]  # fmt: skip
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Folder of all run-time data (else FLYWHEEL_HOME, else .flywheel).",
        metavar="DIR", show_default=False,
    ),
]  # fmt: skip
NightOption = Annotated[
    str | None,
    typer.Option(
        "--night", "--day", help="Which night, YYYY-MM-DD.", metavar="DATE", show_default=False
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")
]
