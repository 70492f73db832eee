"""Commands that look and change nothing: status, lineage, sql, doctor."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from flows.cli import show
from flows.cli.boundary import Call, Session, act
from flows.cli.options import ConfigOption, HomeOption, JsonOption


def status(
    config: ConfigOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Say what the home holds: tables, champion, challenger, last night, alarms.

    Example: flywheel status --json
    """

    def work(session: Session) -> dict[str, Any]:
        from flows.status import status_of

        _ask_briefly()
        return status_of(session.config)

    act(Call(config, home, as_json), work, show.status)


def lineage(
    what: Annotated[
        str,
        typer.Argument(help="Model version or alias; or an episode, session, user or file."),
    ] = "champion",
    config: ConfigOption = None, home: HomeOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Trace a model to the files it learned from, or an episode or file to its models.

    Of an episode, session, user or file it prints what, episodes, builds and models.

    Example: flywheel lineage champion
    """

    def work(session: Session) -> dict[str, Any]:
        from tasks.promote.lineage import lineage_of_version, models_that_learned_from

        _ask_briefly()
        if what.isdigit() or what in ("champion", "challenger"):
            return lineage_of_version(session.config, what)
        return models_that_learned_from(session.config, what)

    act(Call(config, home, as_json), work, show.lineage)


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over the tables; - reads stdin.")],
    config: ConfigOption = None, home: HomeOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Ask the tables with DuckDB, read-only.

    Example: flywheel sql 'SELECT state, count(*) FROM labels GROUP BY state'
    """

    def work(session: Session) -> dict[str, Any]:
        from schemas.errors import MissingStateError
        from warehouse.tables import Warehouse

        warehouse = Warehouse(session.config.home)
        if not warehouse.versions():
            raise MissingStateError(
                f"There are no tables in {session.config.home} yet.",
                "Run `flywheel ingest PATH` or `flywheel demo` first.",
            )
        found = warehouse.sql(sys.stdin.read() if query == "-" else query)
        return {
            "columns": found.column_names,
            "rows": [list(row.values()) for row in found.to_pylist()],
        }

    act(Call(config, home, as_json), work, show.rows)


def doctor(
    config: ConfigOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Check this machine and say what is missing.

    Prints ok and checks: a list of name, ok, found, wanted, next and whether it is needed.

    Example: flywheel doctor
    """

    def work(session: Session) -> dict[str, Any]:
        from flows.doctor import examine

        return examine(session.config)

    act(Call(config, home, as_json), work, show.checks)


def _ask_briefly() -> None:
    """Give a registry that is away seconds to answer: MLflow's own retries take four minutes."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
