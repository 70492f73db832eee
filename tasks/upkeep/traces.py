"""What a home holds of one user: rows of every table, builds and models that learned from them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas.config import FlywheelConfig
from schemas.tables import SCHEMAS
from tasks.build.manifest import load_manifest
from tasks.ingest.privacy.pseudonyms import pseudonym, user_key
from warehouse.erasure import Rows
from warehouse.lineage import descendants
from warehouse.tables import Warehouse

PSEUDONYM = re.compile(r"user_[0-9a-f]{16}")
REFUSED = "concat(source, ':', byte_offset, ':', source_line)"
"""Key of a refused record, as an SQL expression."""
SPLIT_KEY = "concat(kind, ':', key)"
"""Key of a row of `split_keys`, as an SQL expression. What has become of a group stays: its other
episodes need it, though a key of the user may have named the group."""
LONG_ENOUGH = 6
"""Characters of a name from which it is looked for anywhere in a refused record; a shorter one,
which may be any word or number, only where the record says `user`."""


class Traces(NamedTuple):
    """Keys of a user's rows."""

    episodes: list[str]
    signals: list[str]
    refused: list[str]
    split_keys: list[str]
    scenarios: Sequence[str] = ()
    """Scenarios of builds that hold the user's episodes among others'; records of older releases
    have none."""

    def found(self) -> bool:
        """Say whether there is anything that only this user can have left."""
        return bool(self.episodes or self.signals or self.refused)


def names_of(config: FlywheelConfig, warehouse: Warehouse, user: str) -> tuple[str, list[str]]:
    """Find every name a user goes by in the tables.

    Args:
        config: Where the key of pseudonyms is.
        warehouse: Tables of the home.
        user: The id as the logs give it, or its pseudonym.

    Returns:
        The pseudonym; and all names, raw ones of older releases included.
    """
    key = user_key(config.home)
    known = user if PSEUDONYM.fullmatch(user) else pseudonym(key, user)
    stored = warehouse.sql("users")["user_id"].to_pylist()
    raw = {name for name in stored if pseudonym(key, name) == known}
    return known, sorted({user, known} | raw)


def traces_of(warehouse: Warehouse, names: list[str]) -> Traces:
    """Find the rows of a user who goes by the given names."""
    named = pa.table({"user_id": pa.array(names, pa.string())})
    found = warehouse.sql("episodes_of_user", relations={"named": named})
    episodes = sorted(set(found["episode_id"].to_pylist()))
    sessions = sorted(set(found["session_id"].drop_null().to_pylist()))
    relations = {"named": named, "wanted": wanted(episodes)}
    signals = warehouse.sql("signals_of_user", relations=relations)["signal_id"].to_pylist()
    named_keys = {"session": sessions, "user": names, "question": episodes}
    return Traces(
        episodes,
        signals,
        refused_of(warehouse, names),
        keys_named(warehouse, named_keys),
        warehouse.sql("scenarios_of", relations=relations)["key"].to_pylist(),
    )


def keys_named(warehouse: Warehouse, named: dict[str, list[str]]) -> list[str]:
    """Give the keys that the split has for values of each kind.

    An episode that asks and says nothing is joined by its own id, as a question.
    """
    rows = [(kind, value) for kind, values in named.items() for value in values]
    relation = pa.table(
        {
            "place": pa.array(range(len(rows)), pa.int64()),
            "kind": pa.array([kind for kind, _ in rows], pa.string()),
            "value": pa.array([value for _, value in rows], pa.string()),
        }
    )
    found = warehouse.sql("split_digests", relations={"named": relation}).to_pylist()
    return [f"{row['kind']}:{row['key']}" for row in found]


def refused_of(warehouse: Warehouse, names: list[str]) -> list[str]:
    """Find the refused records whose bytes name the user."""
    rows = warehouse.sql(f"SELECT {REFUSED} AS key, raw FROM quarantine")  # noqa: S608 - our own
    written = "|".join(_as_written(name) for name in names)
    hits = pc.match_substring_regex(rows["raw"], written)
    return sorted(set(rows.filter(pc.fill_null(hits, False))["key"].to_pylist()))


def _as_written(name: str) -> str:
    """Write a pattern of a name as a whole word in a raw record."""
    word = rf"{re.escape(name)}(?:[^A-Za-z0-9_-]|$)"
    if len(name) >= LONG_ENOUGH:
        return rf"(?:^|[^A-Za-z0-9_-]){word}"
    return rf"(?i:user)[A-Za-z_-]{{0,8}}[\\\"']*\s*[:=]\s*[\\\"']*{word}"


def wanted(episodes: list[str]) -> pa.Table:
    """Make the relation of episode ids that named queries ask for."""
    return pa.table({"episode_id": pa.array(episodes, pa.string())})


def rows_of(warehouse: Warehouse, traces: Traces) -> list[Rows]:
    """List the rows that a user's traces are, table by table, episodes last."""
    keyed: dict[str, tuple[str, ...]] = {
        "signals": ("signal_id",),
        "quarantine": (REFUSED,),
        "split_keys": (SPLIT_KEY,),
        "scenarios": ("key",),
        "pairs": ("chosen_episode", "rejected_episode"),
    }
    values = {
        "signals": traces.signals,
        "quarantine": traces.refused,
        "split_keys": traces.split_keys,
        "scenarios": traces.scenarios,
    }
    found = []
    for table, schema in SCHEMAS.items():
        keys = keyed.get(table, ("episode_id",))
        if warehouse.exists(table) and (table in keyed or "episode_id" in schema.names):
            found.append(Rows(table, keys, values.get(table, traces.episodes)))
    return sorted(found, key=lambda rows: rows.table == "episodes")


def builds_that_learned(warehouse: Warehouse, traces: Traces) -> dict[str, int]:
    """Map each build that learned from the user to how many of the episodes it learned from."""
    found = warehouse.sql("builds_learned", relations={"wanted": wanted(traces.episodes)})
    return {row["build"]: row["episodes"] for row in found.to_pylist()}


def datasets_of(home: Path, builds: list[str]) -> list[dict[str, Any]]:
    """List the versions of training sets that the builds are."""
    found = []
    for build in builds:
        tables = (load_manifest(home, build) or {}).get("tables", {})
        found += [
            {"name": table, "version": tables[table], "digest": build}
            for table in ("trajectories", "pairs")
            if table in tables
        ]
    return found


def models_that_learned(config: FlywheelConfig, builds: list[str]) -> list[dict[str, str]]:
    """List the registered versions that learned from builds, or from a version that did.

    Raises:
        FlywheelError: The registry does not answer.
    """
    if not (config.home / "mlflow").exists() and not os.environ.get("MLFLOW_TRACKING_URI"):
        return []
    from models import registry  # 4 s, and a home without models needs none of it

    known = {found["version"]: found["tags"] for found in registry.versions(config)}
    direct = {v for v, tags in known.items() if tags.get("lineage.build") in builds}
    starts = {v: tags.get("lineage.start") for v, tags in known.items()}
    return [
        {"version": v, "learned": "directly" if v in direct else "through its start"}
        for v in sorted(descendants(starts, direct), key=int)
    ]


def files_of(warehouse: Warehouse, traces: Traces) -> list[dict[str, Any]]:
    """List the log files that hold the user's records, which are not ours to change.

    Returns:
        One `{"file", "rows", "there"}` a file; `there` says whether it still is.
    """
    relations = {
        "wanted": wanted(traces.episodes),
        "heard": pa.table({"signal_id": pa.array(traces.signals, pa.string())}),
        "refused": pa.table({"key": pa.array(traces.refused, pa.string())}),
    }
    rows: list[dict[str, Any]] = warehouse.sql("files_holding", relations=relations).to_pylist()
    return [{**row, "there": Path(row["file"]).exists()} for row in rows]
