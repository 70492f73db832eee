"""The build stage: one pinned version of the rows that a night's training reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa

from schemas.config import FlywheelConfig
from schemas.dataset import SplitKey
from schemas.errors import MissingStateError
from schemas.progress import report
from schemas.tables import arrow_rows
from tasks.build.choice import Choice, choose, of_side, own_episodes, trained_on
from tasks.build.leaks import check_leaks
from tasks.build.manifest import build_digest, load_manifest, save_manifest
from tasks.build.split import split
from tasks.build.verdicts import read_verdicts
from warehouse.catalog import Catalog
from warehouse.tables import Warehouse

INPUTS = ("episodes", "labels")
"""Tables whose versions pin a build."""


def build(config: FlywheelConfig, *, night: str, clock: Callable[[], datetime]) -> dict[str, Any]:
    """Choose and write the trajectories and pairs of a night; the same inputs write nothing twice.

    Args:
        config: The configuration; tables are under its home.
        night: The night whose episodes are trained on (older ones only as replay).
        clock: Gives the current UTC time.

    Returns:
        Counts, input versions, the Delta `version` of `trajectories`, and the build's `digest`.

    Raises:
        MissingStateError: There are no labels, or no episodes of that night.
        LeakError: A held-out question or its twin was about to be trained on.
    """
    warehouse = Warehouse(config.home)
    if not warehouse.exists("labels"):
        raise MissingStateError(f"no labels under {config.home}", "Run `flywheel label` first.")
    inputs = {table: warehouse.version(table) for table in INPUTS}
    digest = build_digest(night, inputs, config.build)
    done = load_manifest(config.home, digest)
    if done is not None:
        return done
    catalog = warehouse.catalog(versions=dict(inputs), only=[*INPUTS, "splits"])
    verdicts = read_verdicts(catalog)
    own = own_episodes(verdicts, night)
    report("build", 1, 4, f"{len(own)} episodes")
    divided = split(
        verdicts,
        known_keys(catalog),
        salt=config.build.split_salt,
        share=config.build.held_out_share,
        night=night,
    )
    choice = choose(catalog, verdicts, own, divided.side, config.build, night)
    report("build", 2, 4, "leak check")
    leaks = check_leaks(trained_on(choice, verdicts), of_side(verdicts, divided.side, "held_out"))
    report("build", 3, 4, "rows")
    versions = write(warehouse, catalog, choice, divided.new_keys, digest)
    manifest = {
        **account(choice),
        "night": night,
        "evaluation": len(of_side(own, divided.side, "held_out")),
        "retired": len(of_side(own, divided.side, "retired")),
        "leaks": leaks,
        # None: needs the tokenizer; the training stage counts it for what it trains on.
        "tool_tokens_under_mask": None,
        "inputs": inputs,
        "version": versions["trajectories"],
        "tables": versions,
        "digest": digest,
        "built_at": clock().isoformat(),
    }
    save_manifest(config.home, manifest)
    report("build", 4, 4)
    return manifest


def account(choice: Choice) -> dict[str, Any]:
    """Count what a build is made of."""
    return {
        "sft": len(choice.sft) + len(choice.replay),
        "kto": len(choice.kto),
        "replay": len(choice.replay),
        "pairs": len(choice.pairs),
        "candidate_pairs": choice.candidate_pairs,
        "guards": dict(choice.guards),
        "pairs_by_kind": dict(Counter(pair.kind for pair in choice.pairs)),
        "scenarios": len(choice.rl),
        "trajectories": sum(len(rows) for rows in choice.uses.values()),
    }


def known_keys(catalog: Catalog) -> list[SplitKey]:
    """Read the keys whose side was decided before."""
    return [SplitKey(**row) for row in catalog.read("splits").to_pylist()]


def write(
    warehouse: Warehouse,
    catalog: Catalog,
    choice: Choice,
    new_keys: list[SplitKey],
    digest: str,
) -> dict[str, int]:
    """Fetch the chosen messages and commit splits, pairs and trajectories, each once a build."""
    transaction = f"build:{digest}"
    warehouse.append("splits", arrow_rows("splits", new_keys), transaction=transaction)
    if choice.pairs:
        names = ("kind", "chosen_episode", "rejected_episode", "margin", "confidence", "pair_id")
        columns = {name: [getattr(pair, name) for pair in choice.pairs] for name in names}
        positions = {
            name: pa.array([getattr(pair, name) for pair in choice.pairs], pa.int64())
            for name in ("failed", "working")
        }
        chosen = pa.table(columns | positions | about(digest, len(choice.pairs)))
        rows = catalog.query("pair_rows", relations={"chosen": chosen})
        warehouse.append("pairs", rows, transaction=transaction)
    flat = [(use, verdict.episode_id) for use, rows in choice.uses.items() for verdict in rows]
    chosen = pa.table(
        {
            "use": pa.array([use for use, _ in flat], pa.string()),
            "episode_id": pa.array([episode_id for _, episode_id in flat], pa.string()),
        }
        | about(digest, len(flat))
    )
    rows = catalog.query("trajectory_rows", relations={"chosen": chosen})
    warehouse.append("trajectories", rows, transaction=transaction)
    tables = ("trajectories", "pairs", "splits")
    return {table: warehouse.version(table) for table in tables if warehouse.exists(table)} | {
        "trajectories": warehouse.version("trajectories")
    }


def about(digest: str, rows: int) -> dict[str, Any]:
    """Give the columns that say which build a row belongs to, and its place in it."""
    return {"build": [digest] * rows, "rank": list(range(rows))}
