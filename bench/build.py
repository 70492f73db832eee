"""Measure the build: choosing ids from narrow columns, then fetching the payload of the chosen."""

from __future__ import annotations

import logging
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.handover import compared
from bench.label import BYTES, FIRST, one_home
from bench.measure import arguments, cpu_seconds, measure, show
from schemas.config import FlywheelConfig
from tasks.build.build import build

STEPS = ("ids_cpu_s", "leak_check_cpu_s", "payload_cpu_s", "card_cpu_s")
"""What the build does between the units of progress it reports, in order."""


class Watch(logging.Handler):
    """Notes the CPU seconds used at each unit of progress of the build."""

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[int, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one progress record."""
        if getattr(record, "stage", None) == "build":
            self.at[record.done] = cpu_seconds()  # type: ignore[attr-defined]


def build_night(home: str, night: str) -> dict[str, Any]:
    """Build a night; say how many rows came and where the CPU seconds went."""
    watch, logger = Watch(), logging.getLogger("flywheel.progress")
    logger.addHandler(watch)
    logger.setLevel(logging.INFO)
    config = FlywheelConfig(home=Path(home))
    # One group of made-up sessions and scenarios holds much of a night.
    config = config.model_copy(
        update={"build": config.build.model_copy(update={"largest_group": 1.0})}
    )
    result = build(config, night=night, clock=lambda: datetime.now(UTC))
    spent = {name: watch.at[i + 1] - watch.at[i] for i, name in enumerate(STEPS)}
    return {**spent, "trajectories": result["trajectories"], "pairs": result["pairs"]}


def main() -> None:
    """Ingest and label one night, then measure its build."""
    options = arguments(__doc__ or "")
    episodes = max(1, options.size * 1_000_000 // BYTES)
    night = FIRST.isoformat()
    with tempfile.TemporaryDirectory() as folder:
        home = one_home(Path(folder), "home", episodes, options.seed)
        labelled = measure("bench.label:label_night", home=home, night=night)
        built = measure("bench.build:build_night", home=home, night=night)
    figures = {
        **built.result,
        "rss_mb": built.rss_mb,
        "handover_ratio": compared(options.size, options.seed)["handover_ratio"],
        "seconds": built.seconds,
        "episodes": labelled.result,
        "size_mb": options.size,
    }
    show(figures, options.json)


if __name__ == "__main__":
    main()
