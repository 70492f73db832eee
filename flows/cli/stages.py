"""Commands that do one stage of the loop on the home's latest state."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from flows.cli import build_show, ingest_show, label_show, show
from flows.cli.boundary import Call, Session, act
from flows.cli.options import ConfigOption, HomeOption, JsonOption, NightOption
from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError


def ingest(
    paths: Annotated[
        list[str],
        typer.Argument(help="Files, folders, patterns, URLs, or mlflow:EXPERIMENT for its traces."),
    ],
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of all files; else it is detected.")
    ] = None,
    parts: Annotated[
        int | None,
        typer.Option(
            "--partitions", min=1, show_default=False,
            help="Parts that are ingested side by side, as tasks of a Prefect flow.",
        ),
    ] = None,
    config: ConfigOption = None, home: HomeOption = None, night: NightOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Read logs into the tables; reading the same bytes twice changes nothing.

    Leaves with status 3 where something came in that a person must look at (alarms).

    Example: flywheel ingest logs/*.jsonl.gz s3://bucket/logs mlflow:support-agent
    """

    def work(session: Session) -> dict[str, Any]:
        from flows.exports import fetched
        from tasks.ingest.ingest import taken_in
        from tasks.ingest.night import keep_account
        from tasks.ledger import Ledger

        when = checked(night) or today()
        settings = with_partitions(session.config, parts)
        logs = fetched(settings, paths) or []
        if settings.ingest.partitions > 1:
            return as_flow(settings, when, logs, file_format)
        account, refusal = keep_account(
            Ledger(settings, when),
            lambda: taken_in(settings, logs, night=when, format_name=file_format, clock=now),
        )
        if refusal is not None:
            raise refusal
        return account

    act(Call(config, home, as_json), work, ingest_show.ingested)


def label(
    explained: Annotated[
        str | None,
        typer.Option(
            "--explain", metavar="EPISODE", show_default=False,
            help="Show why an episode has its label: evidence, weights, terms, credit by step.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Label every episode anew, as is configured now.")
    ] = False,
    config: ConfigOption = None, home: HomeOption = None, night: NightOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Weigh the evidence on each episode: success, failure or unlabelled.

    New episodes are labelled, and older ones of which something new is heard.

    Example: flywheel label --explain 2026-01-02-000017
    """

    def work(session: Session) -> dict[str, Any]:
        from tasks.label.label import label as run
        from tasks.ledger import Ledger

        when = latest(session.config, night, "ingest")
        return Ledger(session.config, when).run(
            "label", run, session.config, night=when, clock=now, everything=everything
        )  # fmt: skip

    def why(session: Session) -> dict[str, Any]:
        from tasks.label.explain import explain

        return explain(session.config, explained or "")

    if explained:
        act(Call(config, home, as_json), why, label_show.explained)
    else:
        act(Call(config, home, as_json), work, label_show.labelled)


def build(
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="BUILD", show_default=False,
            help="Make a build again (its digest or version) from what it pins, and compare with"
            " its manifest and its rows; writes nothing.",
        ),
    ] = None,
    config: ConfigOption = None, home: HomeOption = None, night: NightOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Make training sets of the labels: SFT episodes, preference pairs, scenarios.

    With --at, leaves with status 3 where the build is not the same.

    Example: flywheel build --at 5a0c61f2b9d3e7a4
    """

    def work(session: Session) -> dict[str, Any]:
        from flows.code import code_version
        from tasks.build.build import build as run
        from tasks.ledger import Ledger

        when = latest(session.config, night, "label")
        return Ledger(session.config, when).run(
            "build", run, session.config, night=when, clock=now, code=code_version()
        )  # fmt: skip

    def again(session: Session) -> dict[str, Any]:
        from flows.code import code_version
        from tasks.build.remake import remake

        return remake(session.config, at or "", code_version())

    if at:
        act(Call(config, home, as_json), again, build_show.remade)
    else:
        act(Call(config, home, as_json), work, build_show.built)


def train(
    config: ConfigOption = None, home: HomeOption = None, night: NightOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Train the night's candidates from the champion; validation chooses one.

    Example: flywheel train --config gpu
    """

    def work(session: Session) -> dict[str, Any]:
        from flows.code import code_version
        from tasks.ledger import Ledger
        from tasks.promote.champion import starting_champion
        from tasks.train.night import train_night

        when = latest(session.config, night, "build")
        ledger = Ledger(session.config, when)
        built = ledger.require("build")
        champion = starting_champion(session.config, when, built["digest"])
        return ledger.run(
            "train", train_night, session.config, night=when, built=built, champion=champion,
            code=code_version(),
        )  # fmt: skip

    act(Call(config, home, as_json), work, show.candidates)


def evaluate(
    config: ConfigOption = None, home: HomeOption = None, night: NightOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Play the chosen candidate, the champion and the logged agent on the frozen scenarios.

    Example: flywheel evaluate
    """

    def work(session: Session) -> dict[str, Any]:
        from tasks.evaluate.contest import contest
        from tasks.ledger import Ledger
        from tasks.promote.champion import starting_champion

        when = latest(session.config, night, "train")
        ledger = Ledger(session.config, when)
        trained = ledger.require("train")
        champion = starting_champion(session.config, when, trained["build"])
        return ledger.run(
            "evaluate", contest, session.config, night=when, train=trained, champion=champion
        )

    act(Call(config, home, as_json), work, show.contest)


def promote(
    config: ConfigOption = None, home: HomeOption = None, night: NightOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Hold the challenger against the champion; promote it, or keep the champion and say why.

    Example: flywheel promote
    """

    def work(session: Session) -> dict[str, Any]:
        from tasks.ledger import Ledger
        from tasks.promote.champion import as_it_stands
        from tasks.promote.promote import promote as run
        from tasks.promote.report import write_report

        when = latest(session.config, night, "evaluate")
        ledger = Ledger(session.config, when)
        trained, played = ledger.require("train"), ledger.require("evaluate")
        result = ledger.run("promote", run, session.config, night=when, train=trained,
                            evaluation=played)  # fmt: skip
        report = str(write_report(session.config, when))
        return {**as_it_stands(session.config, result), "report": report}

    act(Call(config, home, as_json), work, show.decision)


def rollback(
    config: ConfigOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Make the champion before this one champion again.

    Prints version (champion now), previous (the one that went) and at.

    Example: flywheel rollback
    """

    def work(session: Session) -> dict[str, Any]:
        from models.registry import rollback as run

        at = now().isoformat(timespec="seconds")
        gone, back = run(session.config, at=at)
        return {"version": back, "previous": gone, "at": at}

    act(Call(config, home, as_json), work, show.rolled_back)


def with_partitions(config: FlywheelConfig, parts: int | None) -> FlywheelConfig:
    """Take the number of parts that the command line names, if it does."""
    if parts is None:
        return config
    ingest = config.ingest.model_copy(update={"partitions": parts})
    return config.model_copy(update={"ingest": ingest})


def as_flow(
    config: FlywheelConfig, night: str, logs: list[str], format_name: str | None
) -> dict[str, Any]:
    """Run the ingest flow, which has a task runner for several parts, with a Prefect server."""
    from flows.lock import locked
    from flows.server import served
    from tasks.ingest.reading.files import expand

    expand(logs)  # a wrong path is told before a server starts
    with locked(config.home), served(config.home) as server:
        if server is not None:
            server.wait()
        from flows.ingest import ingest as run

        return dict(run(config, night=night, logs=logs, format_name=format_name))


def now() -> datetime:
    """Give the current time in UTC."""
    return datetime.now(UTC)


def today() -> str:
    """Name tonight, in UTC."""
    return now().date().isoformat()


def checked(night: str | None) -> str | None:
    """Check that a night is a date.

    Raises:
        ConfigurationError: It is not `YYYY-MM-DD`.
    """
    if night is None:
        return None
    try:
        return datetime.strptime(night, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        raise ConfigurationError(
            f"--night {night!r} is not a date.", "Write it as YYYY-MM-DD."
        ) from None


def latest(config: FlywheelConfig, night: str | None, stage: str) -> str:
    """Choose the night to work on: the one given, else the latest that has the stage before."""
    from tasks.ledger import Ledger, latest_night

    if night is None:
        return latest_night(config, stage)
    when = checked(night) or today()
    Ledger(config, when).require(stage)
    return when
