"""Measure the build: choosing ids from narrow columns, then fetching the payload of the chosen."""

from __future__ import annotations

import logging
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.label import BYTES, FIRST, one_home
from bench.measure import arguments, cpu_seconds, measure, show
from schemas.config import FlywheelConfig
from tasks.build.build import build

PAYLOAD = 3
"""Units that the build reports as done when it starts to fetch payload."""


class Watch(logging.Handler):
    """Notes the CPU seconds used when the build comes to its payload."""

    def __init__(self) -> None:
        super().__init__()
        self.at_payload = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one progress record."""
        if getattr(record, "done", None) == PAYLOAD:
            self.at_payload = cpu_seconds()


def build_night(home: str, night: str) -> dict[str, Any]:
    """Build a night; say how many rows came and where the CPU seconds went."""
    watch, logger = Watch(), logging.getLogger("flywheel.progress")
    logger.addHandler(watch)
    logger.setLevel(logging.INFO)
    started = cpu_seconds()
    result = build(FlywheelConfig(home=Path(home)), night=night, clock=lambda: datetime.now(UTC))
    return {
        "ids_cpu_s": watch.at_payload - started,
        "payload_cpu_s": cpu_seconds() - watch.at_payload,
        "trajectories": result["trajectories"],
        "pairs": result["pairs"],
    }


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
        "seconds": built.seconds,
        "episodes": labelled.result,
        "size_mb": options.size,
    }
    show(figures, options.json)


if __name__ == "__main__":
    main()
