"""Measure ingest against raw DuckDB and against the usual json + pydantic + `from_list`."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.logs import write_logs
from bench.measure import arguments, measure, show
from schemas.config import FlywheelConfig
from tasks.ingest.ingest import ingest


def read_with_flywheel(logs: str, home: str) -> dict[str, Any]:
    """Ingest a folder of logs: validation, ids, quarantine and exactly-once commits included."""
    config = FlywheelConfig(home=Path(home))
    result = ingest(config, [logs], night="2026-01-01", clock=lambda: datetime.now(UTC))
    return {name: result[name] for name in ("episodes", "signals", "quarantined")}


def main() -> None:
    """Write logs, read them three ways, print the ratios."""
    options = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        logs = f"{folder}/logs"
        episodes = write_logs(Path(logs), options.size, options.seed)
        ours = measure("bench.ingest:read_with_flywheel", logs=logs, home=f"{folder}/home")
        floor = measure(
            "bench.ingest_floor:read_with_duckdb", logs=logs, output=f"{folder}/raw.parquet"
        )
        peer = measure(
            "bench.ingest_peer:read_like_peers", logs=logs, output=f"{folder}/peer.parquet"
        )
    if not episodes == ours.result["episodes"] == floor.result == peer.result:
        raise RuntimeError(f"{episodes} episodes were written; read: {ours}, {floor}, {peer}")
    figures = {
        "cpu_ratio_vs_duckdb": ours.cpu_s / floor.cpu_s,
        "cpu_ratio_peer_vs_ours": peer.cpu_s / ours.cpu_s,
        "rss_mb": ours.rss_mb,
        "peer_rss_mb": peer.rss_mb,
        "seconds": ours.seconds,
        "cpu_s": ours.cpu_s,
        "size_mb": options.size,
        "episodes": episodes,
    }
    show(figures, options.json)


if __name__ == "__main__":
    main()
