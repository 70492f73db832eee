"""Forgetting: every row of one user leaves the home, and whoever learned from them is named.

The order is safe against a kill: the record is written first (`tasks.upkeep.forgotten`) and holds
the keys of all that goes, every step after it can be repeated, and only then is it called done.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from typing import Any

from schemas.config import FlywheelConfig
from schemas.errors import MissingStateError
from schemas.progress import report
from tasks.build.manifest import load_manifest, save_manifest
from tasks.label.judge.cache import clear as clear_judged
from tasks.label.reward_model import MODELS
from tasks.upkeep.forgotten import load_record, save_record
from tasks.upkeep.traces import (
    Traces,
    builds_that_learned,
    datasets_of,
    files_of,
    models_that_learned,
    names_of,
    rows_of,
    traces_of,
)
from warehouse.erasure import count_rows, cut_log, delete_rows, first_version
from warehouse.occupancy import alone
from warehouse.pins import pins
from warehouse.tables import Warehouse
from warehouse.upkeep import readable, vacuum

COUNTED = ("episodes", "signals", "labels", "pairs", "trajectories", "quarantine", "split_keys")
"""Tables whose removed rows the result counts; others add a key when they held any."""
BEGUN, DONE = "begun", "done"


def look(config: FlywheelConfig, user: str) -> dict[str, Any]:
    """Say what `forget` would remove, and change nothing.

    Args:
        config: Tables and registry of the home.
        user: The user's id as the logs give it, or its pseudonym.

    Returns:
        What `forget` returns, without `files_removed` and the times.

    Raises:
        MissingStateError: The home knows no such user.
        FlywheelError: The registry does not answer, so nobody can tell which models learned.
    """
    return account(gather(config, Warehouse(config.home), user))


def forget(config: FlywheelConfig, user: str, *, clock: Callable[[], datetime]) -> dict[str, Any]:
    """Remove a user's rows, and the files and log entries that hold them; a repeat completes it.

    Args:
        config: Tables and registry of the home.
        user: The user's id as the logs give it, or its pseudonym.
        clock: Gives the current UTC time.

    Returns:
        `user` (the pseudonym), removed rows by table, `builds` and `models` that learned from the
        user, `datasets` (versions of training sets), `unreadable` (builds whose pinned versions
        are gone), `files` (logs that hold the user still), `files_removed`, `asked_at`, `done_at`.

    Raises:
        MissingStateError: The home knows no such user.
        FlywheelError: A stage is at work, or the registry does not answer; nothing was removed.
    """
    warehouse = Warehouse(config.home)
    _refuse_empty(config, warehouse)
    with alone(config.home), warehouse.turn():
        record = gather(config, warehouse, user)
        if record["state"] == DONE:
            return account(record)
        record.setdefault("asked_at", clock().isoformat())
        save_record(config.home, record)
        record["files_removed"] += erase(config, warehouse, record)
        note_builds(config, record)
        record |= {"state": DONE, "done_at": clock().isoformat(), "rows": None, "first": {}}
        save_record(config.home, record)
    return account(record)


def gather(config: FlywheelConfig, warehouse: Warehouse, user: str) -> dict[str, Any]:
    """Make the record of a user: one that was begun as it stands, else of what the tables hold.

    Raises:
        MissingStateError: The home knows no such user.
    """
    _refuse_empty(config, warehouse)
    known, names = names_of(config, warehouse, user)
    old = load_record(config.home, known)
    if old is not None and old["state"] == BEGUN:
        return old
    traces = traces_of(warehouse, names)
    if not traces.found():
        if old is not None:
            return old
        raise MissingStateError(
            f"No episode, signal or refused record in {config.home} is of a user '{user}'.",
            "`flywheel sql 'SELECT DISTINCT user_id FROM episodes'` lists the users; a pseudonym is"
            " only found with the key that ingest used.",
        )
    report("forget", 1, 3, "lineage")
    rows = [part for part in rows_of(warehouse, traces) if part.values]
    since = {part.table: first_version(warehouse, part) for part in rows}
    first = {table: version for table, version in since.items() if version is not None}
    builds = builds_that_learned(warehouse, traces)
    record: dict[str, Any] = {
        "user": known,
        "state": BEGUN,
        "counts": {part.table: count_rows(warehouse, part) for part in rows},
        "builds": builds,
        "unreadable": unreadable(config, first),
        "datasets": datasets_of(config.home, list(builds)),
        "models": models_that_learned(config, list(builds)),
        "files": [
            {**row, "file": row["file"].replace(user, known)}  # the record never names the user
            for row in files_of(warehouse, traces)
        ],
        "files_removed": 0,
        "rows": traces._asdict(),
        "first": first,
    }
    return joined(old, record) if old else record


def _refuse_empty(config: FlywheelConfig, warehouse: Warehouse) -> None:
    """Stop at a home without tables, before anything is written there.

    Raises:
        MissingStateError: There are none.
    """
    if not config.home.is_dir() or not warehouse.versions():
        raise MissingStateError(
            f"There are no tables in {config.home} yet.", "Run `flywheel ingest PATH` first."
        )


def unreadable(config: FlywheelConfig, first: dict[str, int]) -> list[str]:
    """Name the builds that pin a version which holds the user's rows, and will be gone."""
    pinned = pins(config.home)
    return sorted(
        {
            who.removeprefix("build ")
            for table, since in first.items()
            for version, everyone in pinned.get(table, {}).items()
            for who in everyone
            if version >= since and who.startswith("build ")
        }
    )


def joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Add a user's earlier record to a new one: rows had come in again some other way."""
    counts = {
        table: old["counts"].get(table, 0) + new["counts"].get(table, 0)
        for table in {**old["counts"], **new["counts"]}
    }
    versions = {model["version"] for model in new["models"]}
    return {
        **new,
        "asked_at": old["asked_at"],
        "counts": counts,
        "builds": old["builds"] | new["builds"],
        "unreadable": sorted({*old["unreadable"], *new["unreadable"]}),
        "datasets": [d for d in old["datasets"] if d not in new["datasets"]] + new["datasets"],
        "models": [m for m in old["models"] if m["version"] not in versions] + new["models"],
        "files": [f for f in old["files"] if f not in new["files"]] + new["files"],
        "files_removed": old["files_removed"],
    }


def erase(config: FlywheelConfig, warehouse: Warehouse, record: dict[str, Any]) -> int:
    """Remove the rows of a record from tables, files and logs; gives how many files went."""
    parts = [part for part in rows_of(warehouse, Traces(**record["rows"])) if part.values]
    pinned, removed = pins(config.home), 0
    for number, part in enumerate(parts):
        report("forget rows", number, len(parts), part.table)
        first = record["first"].get(part.table)
        if first is None:
            continue
        delete_rows(warehouse, part)
        kept = [version for version in pinned.get(part.table, {}) if version < first]
        removed += vacuum(warehouse, part.table, readable(warehouse, part.table, kept))
        cut_log(warehouse, part.table, first)
    # Digests of texts, and models that may have read them: nobody can tell whose.
    clear_judged(config.home)
    shutil.rmtree(config.home / MODELS, ignore_errors=True)
    report("forget rows", len(parts), len(parts))
    return removed


def note_builds(config: FlywheelConfig, record: dict[str, Any]) -> None:
    """Write into the manifests that the build cannot be made again as it was."""
    for build in sorted({*record["builds"], *record["unreadable"]}):
        manifest = load_manifest(config.home, build)
        if manifest is None:
            continue
        notes = [n for n in manifest.get("forgotten", []) if n["user"] != record["user"]]
        note = {
            "user": record["user"],
            "at": record["asked_at"],
            "learned": build in record["builds"],
            "note": "no longer reproducible: rows it was made of were removed",
        }
        save_manifest(config.home, manifest | {"forgotten": [*notes, note]})


def account(record: dict[str, Any]) -> dict[str, Any]:
    """Give a record under the keys that `--json` promises."""
    counts = dict.fromkeys(COUNTED, 0) | record["counts"]
    return {
        "user": record["user"],
        **counts,
        "builds": [{"digest": b, "episodes": n} for b, n in record["builds"].items()],
        "unreadable": record["unreadable"],
        "datasets": record["datasets"],
        "models": record["models"],
        "files": record["files"],
        "files_removed": record["files_removed"],
        "asked_at": record.get("asked_at"),
        "done_at": record.get("done_at"),
    }
