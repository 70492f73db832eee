"""The ingest flow: a night's logs into tables, in as many parts side by side as configured."""

from __future__ import annotations

import importlib
import os
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from flows.artifacts import publish_alarms
from flows.code import code_version
from flows.exports import fetched
from flows.logs import what_to_read
from flows.settings import from_environment
from schemas.config import FlywheelConfig, IngestConfig
from schemas.errors import ConfigurationError, InputError
from schemas.progress import report
from tasks.ingest.account import Account
from tasks.ingest.ingest import settled
from tasks.ingest.night import keep_account
from tasks.ingest.partitions import Log, partitions
from tasks.ingest.task import Refused, ingest_logs
from tasks.ledger import Ledger
from warehouse.tables import Warehouse

DEFAULTS = FlywheelConfig()
"""The embedded CPU profile."""


@flow(name="ingest")
def ingest(
    config: FlywheelConfig = DEFAULTS, night: str | None = None,
    logs: list[str] | None = None, format_name: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Read logs into the tables; reading the same bytes again changes nothing.

    Args:
        config: What to run with; what is not said is the embedded CPU profile.
        night: The night the logs belong to, `YYYY-MM-DD`; None is today in UTC.
        logs: Files, folders, patterns, URLs and `mlflow:EXPERIMENT`; None is the folder `logs` in
            the home.
        format_name: Format of all files; None detects each file's from its content.

    Returns:
        The account that `flywheel ingest --json` prints.
    """
    config = from_environment(config)
    night = night or datetime.now(UTC).date().isoformat()
    found = what_to_read(config, night, fetched(config, logs))
    if not found:
        return Account().result(0, Counter(), Warehouse(config.home).versions())
    return ingest_night(config, night, found, format_name)


def ingest_night(
    config: FlywheelConfig, night: str, logs: list[Log], format_name: str | None = None
) -> dict[str, Any]:
    """Ingest files, keep the account in the night's ledger, and publish its alarms.

    Raises:
        InputError: A named file was refused; the account of the others is kept. Or all were.
    """
    account, refusal = keep_account(
        Ledger(config, night), lambda: ingest_parts(config, night, logs, format_name)
    )
    publish_alarms(night, account["alarms"])
    if refusal is not None:
        raise refusal
    return account


def ingest_parts(
    config: FlywheelConfig, night: str, logs: list[Log], format_name: str | None = None
) -> tuple[dict[str, Any], InputError | None]:
    """Ingest files in parts, a Prefect task each, and add up what they came to.

    A part that fails takes no other with it: the failure is raised when all have ended.

    Args:
        config: The configuration, with the number of parts and where they run.
        night: `YYYY-MM-DD`.
        logs: The files; at least one.
        format_name: Format of all files; None detects each file's from its content.

    Returns:
        The account, and the error where a named file was refused.

    Raises:
        InputError: All files were refused.
        ConfigurationError: The runner is not installed.
    """
    parts = partitions(logs, config.ingest.partitions)
    since = Warehouse(config.home).versions().get("sources", -1)
    names = [f"ingest {number} of {len(parts)}" for number in range(1, len(parts) + 1)]
    calls = [
        {
            "config": config.model_dump(mode="json"), "code": code_version(), "night": night,
            "logs": part, "format_name": format_name, "stage": name,
            "since": since,
        }
        for part, name in zip(parts, names if len(parts) > 1 else ["ingest"], strict=True)
    ]  # fmt: skip
    if len(calls) == 1:
        ended = [ingest_logs(**calls[0], return_state=True).result(raise_on_failure=False)]
    else:
        ended = mapped(config.ingest, calls)
    return settled(config, [account_of(end) for end in ended])


def account_of(ended: dict[str, Any] | BaseException) -> dict[str, Any]:
    """Give the account of a part, also where files of it were refused.

    Raises:
        BaseException: Whatever else it failed with.
    """
    if isinstance(ended, Refused):
        return ended.account
    if isinstance(ended, BaseException):
        raise ended
    return ended


def mapped(config: IngestConfig, calls: list[dict[str, Any]]) -> list[Any]:
    """Run the ingest task with each of several inputs, side by side.

    Returns:
        What each returned or raised, in order.
    """
    ended = []
    with runner_of(config) as runner:
        futures = [runner.submit(ingest_logs, parameters=call) for call in calls]
        for number, future in enumerate(futures, 1):
            ended.append(future.result(raise_on_failure=False))
            report("ingest", number, len(futures), f"{len(futures)} parts")
    return ended


def runner_of(config: IngestConfig) -> TaskRunner[Any]:
    """Make the task runner that is configured.

    Raises:
        ConfigurationError: It is Ray, and the extra is not installed.
    """
    if config.runner == "threads":
        return ThreadPoolTaskRunner(max_workers=config.partitions)
    if config.runner == "processes":
        cores = os.cpu_count() or 1
        return ProcessPoolTaskRunner(max_workers=min(config.partitions, cores))
    try:
        ray = importlib.import_module("prefect_ray")
    except ImportError as error:
        raise ConfigurationError(
            f"ingest.runner is ray, which cannot be imported: {error}",
            "Install it with `pip install 'agent-flywheel[ray]'`.",
        ) from error
    runner: TaskRunner[Any] = ray.RayTaskRunner(
        address=os.environ.get("RAY_ADDRESS"),
        init_kwargs={"include_dashboard": False} if "RAY_ADDRESS" not in os.environ else {},
    )
    return runner
