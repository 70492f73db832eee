"""The `flywheel` application: its verbs in the order of the loop."""

from __future__ import annotations

import os
import sys
import warnings

import typer

from flows.cli import export, look, nights, pair_show, plan, stages, upkeep

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error", "OMP_WAIT_POLICY": "PASSIVE", "TQDM_DISABLE": "1",
}  # fmt: skip
"""Nothing phones home, libraries keep to warnings, and idle threads leave the cores alone."""

app = typer.Typer(
    name="flywheel", no_args_is_help=True, add_completion=False, rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Turn yesterday's agent logs into tonight's better agent.",
    epilog="Start with [bold]flywheel demo[/bold]; then ingest your own logs.",
)  # fmt: skip
run = typer.Typer(no_args_is_help=True, help="Run a whole flow, for example `run nightly`.")
show = typer.Typer(no_args_is_help=True, help="Show one thing, for example `show pair`.")

app.command("demo")(nights.demo)
app.command("ingest")(stages.ingest)
app.command("label")(stages.label)
app.command("build")(stages.build)
app.command("export")(export.export)
app.command("plan")(plan.plan)
app.command("train")(stages.train)
app.command("evaluate")(stages.evaluate)
app.command("promote")(stages.promote)
app.command("rollback")(stages.rollback)
app.add_typer(run, name="run")
run.command("nightly")(nights.nightly)
app.command("status")(look.status)
app.command("lineage")(look.lineage)
app.add_typer(show, name="show")
show.command("pair")(pair_show.pair)
app.command("sql")(look.sql)
app.command("quarantine")(upkeep.quarantine)
app.command("compact")(upkeep.compact)
app.command("forget")(upkeep.forget)
app.command("doctor")(look.doctor)


@show.callback()
def _shown() -> None:
    """Show one thing."""


@run.callback()
def _flows() -> None:
    """Run a whole flow."""


def main() -> None:
    """Start the command."""
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    app()
