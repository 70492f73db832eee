"""The demo: simulated users make logs, the nightly flow learns from them, several nights long."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flows.demo_home import claim_home, nights_of, played
from flows.nightly import nightly
from schemas.config import FlywheelConfig
from schemas.progress import report
from tasks.evaluate.standing import on_policy_gain, standing
from tasks.ledger import Ledger, read_object, run_folder, write_whole
from tasks.promote.champion import starting_champion
from tasks.promote.night import Night, summary_of_night
from tasks.promote.report import write_report
from tasks.rollout.traffic import write_night

OnNight = Callable[[Night, dict[str, Any]], None]
"""Told each night's summary and its entry in the result, as soon as it is decided."""


def demo(
    config: FlywheelConfig, *, count: int, ready: Callable[[], None], on_night: OnNight
) -> dict[str, Any]:
    """Run the loop for some nights; take an unfinished or finished demo of the home up again.

    Args:
        config: What to run with.
        count: Number of nights.
        ready: Called before the first flow run; returns when a Prefect server answers.
        on_night: Told about each night, also those that an earlier call decided.

    Returns:
        Keys of `flywheel demo --json`.

    Raises:
        ConfigurationError: The home holds a demo with other parameters, or something else.
    """
    began = time.perf_counter()
    claim_home(config, count)
    entries, reports = [], []
    for night in nights_of(count):
        entry = played(config, night) or _play(config, night, ready)
        on_night(summary_of_night(Ledger(config, night)), entry)
        entries.append(entry)
        reports.append(str(run_folder(config, night) / "report.html"))
    gains = [e["on_policy_gain"] for e in entries if e["on_policy_gain"]]
    best = max(gains, key=lambda gain: float(gain["ci95"][0]), default=None)
    return {
        "nights": entries, "on_policy_gain": best, "home": str(config.home),
        "report": reports[-1], "seconds": time.perf_counter() - began,
    }  # fmt: skip


def _play(config: FlywheelConfig, night: str, ready: Callable[[], None]) -> dict[str, Any]:
    """Make a night's logs and let the nightly flow learn from them."""
    ledger = Ledger(config, night)
    logged = _traffic(config, night, ledger)
    ready()
    logs = config.home / "logs" / night
    nightly.with_options(flow_run_name=f"night {night}")(config, night=night, logs=[str(logs)])
    summary = summary_of_night(ledger)
    trained, contest = ledger.require("train"), ledger.require("evaluate")
    gain = None
    if summary.decision == "promoted":
        gain = on_policy_gain(config, night=night, train=trained, evaluation=contest)
    entry = {
        "night": night,
        "episodes": summary.episodes,
        "logged_success": logged.get("success"),
        "labels": summary.labels,
        "pairs": summary.build["pairs"],
        "candidates": summary.candidates,
        "decision": summary.decision,
        "reason": summary.reason,
        "champion_version": summary.champion,
        "frozen": standing(config, contest, summary.winner),
        "seconds": {"traffic": logged["seconds"], **summary.seconds},
        "on_policy_gain": gain,
    }
    write_report(config, night)
    write_whole(ledger.folder / "demo.json", json.dumps(entry, indent=1))
    return entry


def _traffic(config: FlywheelConfig, night: str, ledger: Ledger) -> dict[str, Any]:
    """Write the logs of the day before a night; a half-written folder is thrown away."""
    record = ledger.folder / "traffic.json"
    if done := read_object(record):
        return done
    champion = starting_champion(config)
    folder = config.home / "logs" / night
    partial = folder.with_name(f".{night}.partial")
    for old in (partial, folder):
        shutil.rmtree(old, ignore_errors=True)
    partial.mkdir(parents=True)
    report("traffic", 0, 0)
    began = time.perf_counter()
    noon = datetime.fromisoformat(night).replace(hour=12, tzinfo=UTC)
    made = write_night(
        config, night=night, champion=champion["policy"] if champion["version"] else None,
        out=partial, clock=lambda: noon, version=champion["version"],
    )  # fmt: skip
    partial.rename(folder)
    report("traffic", 1, 1)
    made = {**made, "seconds": time.perf_counter() - began}
    write_whole(record, json.dumps(made, indent=1, default=str))
    return made
