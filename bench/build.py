"""Measure the build: choosing ids from narrow columns, then fetching the payload of the chosen.

    python -m bench.build --size 24MB --history 250 --json
    python -m bench.build --pairs 100000 --json

`--history` puts nights before the measured one. A night of the same size and another seed is
ingested, labelled and built for real in a home of its own. Its rows in the tables `COPIED`, and the
manifest of its build, are then copied into the measured home once a night, under other ids,
sessions, scenarios, questions, states, keys and groups, as of an earlier day. So every night of the
history has labels and a build, of which the measured one replays, and whose held-out episodes it is
compared with. Two things are plainer than in a home that grew: no night meets a key, a state or a
scenario of another, and the copied builds hold no replay of their own. The tables `COPIED` are all
that a build reads; `sketches`, `sources` and `labellings` are those of the measured night alone.

`--pairs` makes a night in which every chat is of a scenario with `CHATS` chats that all ask the
same, outside of sessions, and lifts the cap to `PAIRS` pairs a scenario.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bench.handover import compared
from bench.label import BYTES, FIRST, one_home, shifted
from bench.measure import arguments, cpu_seconds, measure, show
from bench.production import write_day
from schemas.config import FlywheelConfig
from schemas.digest import digest
from schemas.tables import SCHEMAS
from tasks.build.build import WRITTEN, build
from tasks.build.manifest import load_manifest, save_manifest
from tasks.label.commit import add
from warehouse.tables import Warehouse

STEPS = ("ids_cpu_s", "leak_check_cpu_s", "payload_cpu_s", "card_cpu_s")
"""What the build does between the units of progress it reports, in order."""
COPIED = ("episodes", "signals", "labels", "step_values", *WRITTEN)
"""Tables of which every night of a history has rows."""
NAMES = ("scenario_id", "body_digest", "chosen_episode", "rejected_episode", "pair_id", "key")
"""Columns of names besides those that `bench.label.shifted` changes."""
NUMBERS = ("key", "group", "state", "step_states")
"""Columns of digests that are numbers, or lists of them."""
CHATS = 200
"""Chats of a scenario in a night of many pairs."""
PAIRS = 100
"""Most pairs of a scenario, of each kind, in a night of many pairs."""


class Watch(logging.Handler):
    """Notes the CPU seconds used at each unit of progress of the build and of its rows."""

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[tuple[str, int], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one progress record."""
        stage = getattr(record, "stage", "")
        if stage in ("build", "build rows"):
            self.at[stage, record.done] = cpu_seconds()  # type: ignore[attr-defined]


def build_night(home: str, night: str, cap: int | None = None) -> dict[str, Any]:
    """Build a night; say how many rows came and where the CPU seconds went.

    Args:
        home: The home.
        night: `YYYY-MM-DD`.
        cap: Most pairs of a scenario; None is the default.
    """
    watch, logger = Watch(), logging.getLogger("flywheel.progress")
    logger.addHandler(watch)
    logger.setLevel(logging.INFO)
    config = FlywheelConfig(home=Path(home))
    # One group of made-up sessions and scenarios holds much of a night.
    changed: dict[str, Any] = {"largest_group": 1.0}
    if cap is not None:
        changed["pair_cap_per_scenario"] = cap
    config = config.model_copy(update={"build": config.build.model_copy(update=changed)})
    result = build(config, night=night, clock=lambda: datetime.now(UTC))
    spent = {name: watch.at["build", i + 1] - watch.at["build", i] for i, name in enumerate(STEPS)}
    # Of the payload; the rows of pairs are the second of its tables.
    spent["payload_pairs_cpu_s"] = watch.at["build rows", 2] - watch.at["build rows", 1]
    counted = ("trajectories", "replay", "pairs", "scenarios", "evaluation", "digest")
    return {**spent, **{name: result[name] for name in counted}}


def add_history(home: str, model: str, made: str, nights: int) -> int:
    """Copy a labelled and built night into a home, once a night before it.

    Args:
        home: The home.
        model: A home that holds that night alone.
        made: Digest of that night's build.
        nights: How many.

    Returns:
        Labelled episodes of them all.

    Raises:
        RuntimeError: There is no such build.
    """
    manifest = load_manifest(Path(model), made)
    if manifest is None:
        raise RuntimeError(f"no build {made} under {model}")
    source, warehouse = Warehouse(model), Warehouse(home)
    whole = {table: source.read(table) for table in COPIED}
    for number in range(nights, 0, -1):
        name = digest(f"history {number}", 16)
        for table, rows in whole.items():
            copy = renamed(shifted(rows, -number), number, name) if rows.num_rows else rows
            copy = copy.select(SCHEMAS[table].names)
            if table == "step_values":
                add(warehouse, copy)  # as the label stage does: now and then it sums them
            else:
                warehouse.append(table, copy)
        night = (FIRST - timedelta(days=number)).isoformat()
        save_manifest(Path(home), {**manifest, "night": night, "nights": [night], "digest": name})
    return nights * whole["labels"].num_rows


def renamed(rows: pa.Table, number: int, build_name: str) -> pa.Table:
    """Give copied rows the names and numbers of another night and build."""
    mask = pa.scalar(int(digest(f"numbers {number}", 16), 16) >> 1, pa.int64())
    for place, field in enumerate(rows.schema):
        values = rows[field.name].combine_chunks()
        if field.name == "build":
            values = pa.repeat(build_name, rows.num_rows)
        elif field.name in NAMES and pa.types.is_string(field.type):
            values = pc.binary_join_element_wise(values, str(-number), "-")
        elif field.name == "logged":
            inner = pc.binary_join_element_wise(values.flatten(), str(-number), "-")
            values = pa.ListArray.from_arrays(values.offsets, inner)
        elif field.name in NUMBERS and pa.types.is_int64(field.type):
            values = pc.bit_wise_xor(values, mask)
        elif field.name in NUMBERS and pa.types.is_list(field.type):
            inner = pc.bit_wise_xor(values.flatten(), mask)
            values = pa.ListArray.from_arrays(values.offsets, inner)
        rows = rows.set_column(place, field, values)
    return rows


def built_home(folder: Path, name: str, episodes: int, seed: int) -> tuple[str, str]:
    """Make a home with one ingested, labelled and built night; give it and the build's digest."""
    home, night = one_home(folder, name, episodes, seed), FIRST.isoformat()
    measure("bench.label:label_night", home=home, night=night)
    return home, measure("bench.build:build_night", home=home, night=night).result["digest"]


def asked_alike(path: Path, scenarios: int) -> None:
    """Let chats of a scenario, of so many in all, ask the same, none of them in a session.

    Sessions would chain all scenarios to one group, which falls on one side of the split.
    """
    part = path.with_suffix(".part")
    with path.open(encoding="utf-8") as chats, part.open("w", encoding="utf-8") as changed:
        for number, line in enumerate(chats):
            record, scenario = json.loads(line), number % scenarios
            del record["session_id"]
            record["scenario_id"] = f"q{scenario}"
            record["messages"][1]["content"] = f"What was the revenue of customer {scenario}?"
            changed.write(json.dumps(record) + "\n")
    part.replace(path)


def paired_home(folder: Path, pairs: int, seed: int) -> str:
    """Make a home with one ingested night that so many pairs come of."""
    logs, home, scenarios = folder / "logs", str(folder / "home"), max(1, pairs // PAIRS)
    write_day(logs, CHATS * scenarios, seed)
    asked_alike(logs / "episodes.jsonl", scenarios)
    measure("bench.label:ingest_day", home=home, logs=str(logs))
    return home


def measured(folder: Path, episodes: int, seed: int, nights: int, pairs: int) -> dict[str, Any]:
    """Make a night with what stands before it, then measure its build.

    Args:
        folder: An empty folder.
        episodes: Of a night; a night of many pairs has its own number.
        seed: Seed of everything.
        nights: Copied nights before it.
        pairs: Pairs that the night is made for; 0 is a night as production has it.
    """
    night = FIRST.isoformat()
    home = paired_home(folder, pairs, seed) if pairs else one_home(folder, "home", episodes, seed)
    labelled = measure("bench.label:label_night", home=home, night=night).result
    history = 0
    if nights:
        model, made = built_home(folder, "model", episodes, seed + 1)
        given = {"home": home, "model": model, "made": made, "nights": nights}
        history = measure("bench.build:add_history", **given).result
    built = measure("bench.build:build_night", home=home, night=night, cap=PAIRS if pairs else None)
    return {
        **built.result,
        "rss_mb": built.rss_mb,
        "seconds": built.seconds,
        "episodes": labelled,
        "history_nights": nights,
        "labelled_episodes": labelled + history,
    }


def own_arguments() -> argparse.Namespace:
    """Take this benchmark's own arguments from the command line; leave the others there."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--history", default=0, type=int, help="copied nights before the measured one")
    own.add_argument("--pairs", default=0, type=int, help="make a night of so many pairs")
    taken, sys.argv[1:] = own.parse_known_args()
    options = arguments(f"{__doc__} {' '.join(own.format_help().split())}")
    return argparse.Namespace(**vars(options), **vars(taken))


def main() -> None:
    """Measure the build of a night, by itself with the hand-over of its rows."""
    options = own_arguments()
    episodes = max(1, options.size * 1_000_000 // BYTES)
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), episodes, options.seed, options.history, options.pairs)
    if not options.history and not options.pairs:
        ratio = compared(options.size, options.seed)["handover_ratio"]
        figures |= {"handover_ratio": ratio, "size_mb": options.size}
    show(figures, options.json)


if __name__ == "__main__":
    main()
