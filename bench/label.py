"""Measure labelling: CPU an episode, memory, and what a history of earlier nights costs."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench.logs import write_logs
from bench.measure import Measurement, arguments, measure, show
from schemas.config import FlywheelConfig
from tasks.label.label import label

HISTORY = 4
"""Earlier nights of the same size, all labelled, before the last one is measured again."""


def label_night(home: str, night: str) -> int:
    """Label a night and say how many episodes it held."""
    config = FlywheelConfig(home=Path(home))
    return int(label(config, night=night, clock=lambda: datetime.now(UTC))["episodes"])


def one_night(home: str, folder: Path, day: int, size_mb: int, seed: int) -> Measurement:
    """Write and ingest one night's logs, and measure its labelling."""
    logs = folder / f"logs{day}"
    write_logs(logs, size_mb, seed, day)
    measure("bench.ingest:read_with_flywheel", logs=str(logs), home=home)
    return measure("bench.label:label_night", home=home, night=f"2026-01-{day + 1:02d}")


def main() -> None:
    """Label a first night, and the same amount again on top of several nights."""
    options = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        home = f"{folder}/home"
        nights = [
            one_night(home, Path(folder), day, options.size, options.seed)
            for day in range(HISTORY + 1)
        ]
    first, last = nights[0], nights[-1]
    figures = {
        "cpu_s_per_million": 1e6 * first.cpu_s / first.result,
        "rss_mb": last.rss_mb,
        "history_ratio": last.cpu_s / first.cpu_s,
        "seconds": first.seconds,
        "episodes": first.result,
        "history_nights": HISTORY,
        "size_mb": options.size,
    }
    show(figures, options.json)


if __name__ == "__main__":
    main()
