"""Which logs a night reads: those it is given, those in the home, or what it has already."""

from __future__ import annotations

from pathlib import Path

from schemas.config import FlywheelConfig
from schemas.errors import MissingStateError
from tasks.ledger import Ledger, nights
from warehouse.tables import Warehouse


def what_to_read(config: FlywheelConfig, night: str, logs: list[str] | None) -> dict[str, str]:
    """Find the log files of a night.

    Args:
        config: Where the home is.
        night: `YYYY-MM-DD`.
        logs: Files and folders; None is the folder `logs` in the home.

    Returns:
        Their fingerprints; empty when the home has no such folder, but the night's logs were
        ingested before: then that is what the night learns from.

    Raises:
        MissingStateError: Nor were any.
    """
    folder = config.home / "logs"
    if logs or folder.is_dir():
        return fingerprints(logs or [str(folder)])
    if Ledger(config, night).get("ingest") and _holds(config, night):
        return {}
    known = [n for n in nights(config) if Ledger(config, n).get("ingest") and _holds(config, n)]
    other = f", or --night {known[-1]}, which has some" if known else ""
    raise MissingStateError(
        f"There are no logs for night {night}: no path was given, {folder} is not there, and "
        "nothing was ingested for it.",
        f"Give a path: `flywheel run nightly PATH`{other}.",
    )


def fingerprints(paths: list[str]) -> dict[str, str]:
    """Say what the paths hold now, so that a changed file is a changed input.

    Returns:
        Path as given -> size and modification time of every file under it.
    """
    found = {}
    for path in paths:
        top = Path(path)
        files = sorted(f for f in top.rglob("*") if f.is_file()) if top.is_dir() else [top]
        stats = [(f, f.stat()) for f in files if f.exists()]
        found[path] = ";".join(f"{f.name}:{s.st_size}:{s.st_mtime_ns}" for f, s in stats)
    return found


def _holds(config: FlywheelConfig, night: str) -> bool:
    """Say whether the tables hold episodes of a night."""
    return bool(Warehouse(config.home).read("episodes", ["night"], where={"night": night}).num_rows)
