"""Measure ingest against raw DuckDB and against the usual json + pydantic + `from_list`."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.logs import write_logs
from bench.measure import Measurement, arguments, measure, show
from schemas.config import FlywheelConfig
from tasks.ingest.detect import built_in
from tasks.ingest.ingest import ingest

built_in()  # importers are imported when they are first wanted: not on the clock

SAMPLE_MB = 1000
"""Most that the peer reads, as it holds all rows in memory (7 for each byte), and that is measured
with bad lines."""
REPEATS, REPEATED_MB = 3, 200
"""Runs of a side on at most so much, of which the one with the least CPU counts; the peer and
more than that are run once."""
BAD_SHARE = 0.01
"""Broken lines for each good one, where the cost of bad lines is measured."""


def read_with_flywheel(logs: str, home: str, redact: bool = False) -> dict[str, Any]:
    """Ingest a file or folder: validation, ids, quarantine, marks and exactly-once commits."""
    privacy = {"redact": redact, "pseudonyms": redact}
    config = FlywheelConfig.model_validate({"home": home, "privacy": privacy})
    result = ingest(config, [logs], night="2026-01-01", clock=lambda: datetime.now(UTC))
    return {name: result[name] for name in ("episodes", "signals", "quarantined")}


class Bench:
    """The measurements of one run, in a folder of their own."""

    def __init__(self, folder: str, seed: int) -> None:
        self.folder = folder
        self.seed = seed

    def write(self, name: str, size_mb: int, bad_share: float = 0.0) -> int:
        """Write logs under a name, and say how many good episodes they hold."""
        return write_logs(Path(self.folder, name), size_mb, self.seed, bad_share=bad_share)

    def ours(self, name: str, repeats: int, redact: bool = False) -> Measurement:
        """Measure our ingest of written logs into new homes, which are removed."""
        return min((self._once(name, redact) for _ in range(repeats)), key=cpu)

    def _once(self, name: str, redact: bool) -> Measurement:
        with tempfile.TemporaryDirectory(dir=self.folder) as home:
            return measure(
                "bench.ingest:read_with_flywheel",
                logs=f"{self.folder}/{name}/episodes.jsonl", home=home, redact=redact,
            )  # fmt: skip

    def other(self, function: str, name: str, repeats: int = 1) -> Measurement:
        """Measure the floor or the peer on written logs."""
        logs, output = f"{self.folder}/{name}", f"{self.folder}/{name}.parquet"
        runs = (measure(f"bench.{function}", logs=logs, output=output) for _ in range(repeats))
        return min(runs, key=cpu)


def cpu(measured: Measurement) -> float:
    """Give the CPU seconds of a run; the least of several was the least disturbed."""
    return measured.cpu_s


def same(episodes: int, *measured: Measurement) -> None:
    """Compare what was read with what was written.

    Raises:
        RuntimeError: A reader lost episodes, or made some.
    """
    for found in measured:
        held = found.result["episodes"] if isinstance(found.result, dict) else found.result
        if held != episodes:
            raise RuntimeError(f"{episodes} episodes were written; read: {found}")


def compare(bench: Bench, size_mb: int) -> dict[str, Any]:
    """Measure all sides; beyond `SAMPLE_MB` the peer and the bad lines get a sample of that."""
    episodes = bench.write("logs", size_mb)
    repeats = REPEATS if size_mb <= REPEATED_MB else 1
    plain = bench.ours("logs", repeats)
    redacted = bench.ours("logs", repeats, redact=True)
    floor = bench.other("ingest_floor:read_with_duckdb", "logs", repeats)
    same(episodes, plain, redacted, floor)
    sample_mb, sampled, sample = min(size_mb, SAMPLE_MB), plain, "logs"
    if size_mb > sample_mb:
        sample, episodes = "sample", bench.write("sample", sample_mb)
        sampled = bench.ours(sample, repeats)
    peer = bench.other("ingest_peer:read_like_peers", sample)
    bench.write("bad", sample_mb, BAD_SHARE)
    bad = bench.ours("bad", repeats)
    same(episodes, sampled, peer, bad)
    return {
        "cpu_ratio_vs_duckdb": plain.cpu_s / floor.cpu_s,
        "cpu_ratio_redacted_vs_duckdb": redacted.cpu_s / floor.cpu_s,
        "cpu_ratio_peer_vs_ours": peer.cpu_s / sampled.cpu_s,
        "bad_lines_ratio": bad.cpu_s / sampled.cpu_s,
        "rss_mb": plain.rss_mb,
        "redacted_rss_mb": redacted.rss_mb,
        "floor_rss_mb": floor.rss_mb,
        "peer_rss_mb": peer.rss_mb,
        "seconds": plain.seconds,
        "cpu_s": plain.cpu_s,
        "floor_cpu_s": floor.cpu_s,
        "redaction": "privacy" in FlywheelConfig.model_fields,
        "size_mb": size_mb,
        "peer_size_mb": sample_mb,
        "episodes": plain.result["episodes"],
        "quarantined_of_bad": bad.result["quarantined"],
    }


def main() -> None:
    """Write logs, read them each way, print the ratios."""
    options = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        show(compare(Bench(folder, options.seed), options.size), options.json)


if __name__ == "__main__":
    main()
