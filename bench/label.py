"""Measure labelling: CPU an episode, memory, and what a history of earlier nights costs.

The chats are short (`bench.production`): what an episode costs is then mostly evidence, steps and
rows, and not the reading of long texts. Earlier nights are copies of a night under other ids, times
and questions, each labelled in its turn.
"""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from bench.measure import Measurement, arguments, measure, show
from bench.production import write_day
from schemas.config import FlywheelConfig
from schemas.tables import SCHEMAS
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

HISTORY = 100
"""Earlier nights of the same size before a night is measured again."""
HISTORY_EPISODES = 20_000
"""Most episodes of a night with which the history is measured."""
RUNS = 3
"""Times a night is labelled, each on a copy of its home; the run with the least CPU counts."""
BYTES = 2400
"""Bytes of a chat's line, about."""
FIRST = date(2026, 1, 2)
NAMES = ("episode_id", "logged_id", "session_id", "signal_id", "question")


def ingest_day(home: str, logs: str) -> int:
    """Ingest a day's logs."""
    config = FlywheelConfig(home=Path(home))
    night = FIRST.isoformat()
    return int(ingest(config, [logs], night=night, clock=lambda: datetime.now(UTC))["episodes"])


def label_night(home: str, night: str) -> int:
    """Label what is new and say how many episodes that was."""
    config = FlywheelConfig(home=Path(home))
    return int(label(config, night=night, clock=lambda: datetime.now(UTC))["labelled"])


def add_history(home: str, nights: int) -> int:
    """Add copies of the home's only night, a day apart, and label all but the last."""
    warehouse = Warehouse(home)
    whole = {table: warehouse.read(table) for table in ("episodes", "signals")}
    for number in range(1, nights + 1):
        for table, rows in whole.items():
            warehouse.append(table, shifted(rows, number).select(SCHEMAS[table].names))
        if number < nights:
            label_night(home, (FIRST + timedelta(days=number)).isoformat())
    return nights


def shifted(rows: pa.Table, days: int) -> pa.Table:
    """Copy rows as of some days later: other names, other times."""
    for place, field in enumerate(rows.schema):
        values = rows[field.name]
        if field.name in NAMES:
            values = pc.binary_join_element_wise(values, str(days), "-")
        elif field.name in ("day", "night"):
            later = date.fromisoformat(values[0].as_py()) + timedelta(days=days)
            values = pa.repeat(later.isoformat(), rows.num_rows)
        elif pa.types.is_timestamp(field.type):
            span = pa.scalar(timedelta(days=days), pa.duration("us"))
            values = pc.add(values, span)
        rows = rows.set_column(place, field, values)
    return rows


def one_home(folder: Path, name: str, episodes: int, seed: int) -> str:
    """Make a home that holds one ingested night."""
    logs, home = folder / f"logs-{name}", str(folder / name)
    write_day(logs, episodes, seed)
    measure("bench.label:ingest_day", home=home, logs=str(logs))
    shutil.rmtree(logs)
    return home


def with_history(folder: Path, episodes: int, seed: int) -> tuple[Measurement, Measurement]:
    """Label a night with nothing before it, and its like with `HISTORY` nights before it."""
    home = one_home(folder, "history", episodes, seed)
    first = least(folder, home, FIRST)
    measure("bench.label:label_night", home=home, night=FIRST.isoformat())
    measure("bench.label:add_history", home=home, nights=HISTORY)
    return first, least(folder, home, FIRST + timedelta(days=HISTORY))


def least(folder: Path, home: str, night: date) -> Measurement:
    """Label a night on copies of its home, and give the run with the least CPU."""
    runs = []
    for _ in range(RUNS):
        copy = folder / "copy"
        shutil.copytree(home, copy)
        runs.append(measure("bench.label:label_night", home=str(copy), night=night.isoformat()))
        shutil.rmtree(copy)
    return min(runs, key=lambda run: run.cpu_s)


def main() -> None:
    """Label a night of the given size, and a smaller one without and with a history."""
    options = arguments(__doc__ or "")
    episodes = max(1, options.size * 1_000_000 // BYTES)
    with tempfile.TemporaryDirectory() as folder:
        home = one_home(Path(folder), "home", episodes, options.seed)
        night = measure("bench.label:label_night", home=home, night=FIRST.isoformat())
        shutil.rmtree(home)
        few = min(episodes, HISTORY_EPISODES)
        first, last = with_history(Path(folder), few, options.seed)
    figures = {
        "cpu_s_per_million": 1e6 * night.cpu_s / night.result,
        "rss_mb": night.rss_mb,
        "history_ratio": last.cpu_s / first.cpu_s,
        "seconds": night.seconds,
        "episodes": night.result,
        "history_nights": HISTORY,
        "history_episodes": last.result,
        "history_rss_mb": last.rss_mb,
        "size_mb": options.size,
    }
    show(figures, options.json)


if __name__ == "__main__":
    main()
