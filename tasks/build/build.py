"""The build stage: one pinned version of the rows that a night's training reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from schemas.config import FlywheelConfig
from schemas.digest import digest as digest_of
from schemas.errors import MissingStateError
from schemas.progress import report
from tasks.build.card import write_card
from tasks.build.chosen import Chosen, account, choose
from tasks.build.leakage import check_leaks
from tasks.build.manifest import (
    build_digest,
    config_digest,
    load_begun,
    load_manifest,
    replayed_builds,
    save_begun,
    save_manifest,
)
from tasks.build.payload import trajectories, transaction, write
from tasks.label.hearing import days_of
from warehouse.catalog import Catalog
from warehouse.tables import Warehouse

INPUTS = ("episodes", "labels", "signals", "step_values", "split_keys", "trajectories", "held_out")
"""Tables whose versions pin a build; a build adds to the last three."""
WRITTEN = ("trajectories", "pairs", "scenarios", "held_out", "split_keys")
PINNED = ("episodes", "labels", "signals")
"""Those whose versions make another build: what a build itself adds to makes none."""


def build(
    config: FlywheelConfig, *, night: str, clock: Callable[[], datetime], code: str = ""
) -> dict[str, Any]:
    """Choose and write the training sets of a night; the same inputs write nothing twice.

    Args:
        config: The configuration; tables are under its home.
        night: The night whose episodes are trained on (older ones only as replay).
        clock: Gives the current UTC time.
        code: Version of the code, for the manifest.

    Returns:
        The manifest: counts, guards, input versions, the Delta `version` of `trajectories`, and
        the build's `digest`.

    Raises:
        MissingStateError: There are no labels, or no episodes of that night.
        LeakError: A held-out question or its twin was about to be trained on.
        InvariantError: One group of the split holds too many episodes.
    """
    warehouse = Warehouse(config.home)
    if not warehouse.exists("labels"):
        raise MissingStateError(f"no labels under {config.home}", "Run `flywheel label` first.")
    now = {table: warehouse.version(table) for table in INPUTS}
    digest = build_digest(night, {t: now[t] for t in PINNED}, read_from(warehouse), config)
    done = load_manifest(config.home, digest)
    if done is not None:
        return done
    inputs, earlier = begin(warehouse, config, digest, night, now)
    catalog = pinned(warehouse, inputs, earlier)
    nights = nights_of(config.home, night, earlier)
    report("build", 0, 4, "choosing")
    chosen = choose(catalog, partial(narrowed, warehouse, inputs), config, nights, earlier)
    report("build", 1, 4, "leak check")
    leaks = check_leaks(catalog, trained_on(chosen), chosen.of_side("held_out"), config.build)
    report("build", 2, 4, "rows")
    warehouse.append("split_keys", chosen.sides.new_rows, transaction=transaction(digest))
    written = write(warehouse, catalog, chosen, digest, nights)
    manifest = {
        **account(chosen),
        "leaks": leaks["leaks"],
        "leak_check": leaks,
        "rows": {table: part._asdict() for table, part in written.items()},
        "inputs": {table: version for table, version in inputs.items() if version >= 0},
        "earlier": earlier,
        "nights": nights,
        "digest": digest,
        "code": code,
        "built_at": clock().isoformat(),
        **made_of(warehouse, config, night),
    }
    report("build", 3, 4, "card")
    manifest["card"] = str(write_card(warehouse, config.home, manifest).relative_to(config.home))
    save_manifest(config.home, manifest)
    report("build", 4, 4)
    return manifest


def read_from(warehouse: Warehouse) -> str:
    """Name the logs that the tables came from and how they were labelled, alike in any home."""
    [found] = warehouse.sql("read_from").to_pylist()
    return digest_of(repr(sorted(found.items())), 16)


def begin(
    warehouse: Warehouse, config: FlywheelConfig, digest: str, night: str, now: Mapping[str, int]
) -> tuple[dict[str, int], list[str]]:
    """Say of what a build is made, once: a build that was killed goes on with what it had.

    Other builds may have moved groups to other sides since, and their rows are not to stand beside
    those that were written before. Where nothing was, it begins anew.

    Args:
        warehouse: The tables.
        config: The home, and how many nights are replayed.
        digest: The build.
        night: `YYYY-MM-DD`.
        now: Versions of the tables.

    Returns:
        Versions, and the builds that are replayed.
    """
    begun = load_begun(config.home, digest)
    if begun is not None and any(
        warehouse.committed(table, [transaction(digest), transaction(digest, 0)])
        for table in WRITTEN
    ):
        return begun["inputs"], begun["earlier"]
    earlier = replayed_builds(config.home, night, config.build.replay_nights)
    save_begun(config.home, digest, {"inputs": dict(now), "earlier": earlier})
    return dict(now), earlier


def made_of(warehouse: Warehouse, config: FlywheelConfig, night: str) -> dict[str, Any]:
    """Give the parts of a manifest that say under what it was made, and where its rows are."""
    tables = {table: warehouse.version(table) for table in WRITTEN if warehouse.exists(table)}
    return {
        "night": night,
        "version": tables.get("trajectories", -1),
        "tables": tables,
        "config": config.model_dump(mode="json", include={"build", "label"}),
        "config_digest": config_digest(config),
        "seeds": {"split_salt": config.build.split_salt, "seed": config.seed},
        # No such message is (`tasks.build.payload` sees to it); the training stage counts tokens.
        "tool_tokens_under_mask": 0,
    }


def nights_of(home: Path, night: str, earlier: Sequence[str]) -> list[str]:
    """Name the nights whose episodes a build may hold: its own first."""
    manifests = [load_manifest(home, name) for name in earlier]
    return [night, *(made["night"] for made in manifests if made is not None)]


def pinned(warehouse: Warehouse, inputs: Mapping[str, int], earlier: Sequence[str]) -> Catalog:
    """Open the tables as a build saw them: one that was not there yet is empty.

    Args:
        warehouse: The tables.
        inputs: Their versions.
        earlier: Builds to replay; of `trajectories`, what they imitated is all that is seen.
    """
    versions = {table: version for table, version in inputs.items() if version >= 0}
    files: dict[str, list[str]] = {table: [] for table in INPUTS if table not in versions}
    if "trajectories" in versions:
        there = warehouse.files("trajectories", versions["trajectories"])
        wanted = [f"/build={build}/use=sft/" for build in earlier]
        files["trajectories"] = [file for file in there if any(part in file for part in wanted)]
    return warehouse.catalog(versions=versions, only=INPUTS, files=files, as_written=True)


def narrowed(
    warehouse: Warehouse, inputs: Mapping[str, int], whole: Catalog, nights: Sequence[str]
) -> Catalog:
    """Open the part of a history that holds the episodes and labels of some nights.

    Args:
        warehouse: The tables.
        inputs: Their versions.
        whole: All of them, at those versions.
        nights: `YYYY-MM-DD`.
    """
    # Labels lie on the days of their episodes, whenever they were made.
    days = days_of(warehouse.files_of("episodes", nights, inputs["episodes"]))
    if whole.superseded:
        days |= set(whole.query("days_of_beginnings", {"nights": list(nights)})["day"].to_pylist())
    files = {
        table: [f for f in warehouse.files(table, inputs[table]) if not days_of([f]) - days]
        for table in ("episodes", "labels")
    }
    return whole.only(files)


def trained_on(chosen: Chosen) -> pl.DataFrame:
    """List every episode that any row of the build shows to a trainer, with use and group."""
    pairs = chosen.pairs.rows
    sides = [
        pairs.select(episode_id=pl.col(side), group="group", use=pl.lit("pairs"))
        for side in ("chosen_episode", "rejected_episode")
    ]
    played = chosen.scenarios.select("group", "logged").explode("logged").select(
        episode_id="logged", group="group", use=pl.lit("scenarios")
    )  # fmt: skip
    rows = trajectories(chosen).select("episode_id", "group", "use")
    return pl.concat([rows, *sides, played]).unique().sort("use", "episode_id")
