"""A demo killed in the middle of a night, really, and taken up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from warehouse.tables import Warehouse

SMALL = (
    "evaluate: {params: 10, compositions: 10, samples: 2}\n"
    "traffic: {first_night: 120}\n"
    "train:\n"
    "  policy: {kind: tiny, hidden_size: 32, layers: 1, heads: 2}\n"
    "  validation_scenarios: 20\n"
    "  processes: 1\n"
)


def demo(folder: Path) -> subprocess.Popen[str]:
    start = "from flows.cli.app import main; main()"
    command = [sys.executable, "-c", start, "demo", "--nights", "1", "--json"]
    command += ["--config", str(folder / "small.yaml"), "--home", str(folder / "home")]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def rows(home: Path) -> dict[str, int]:
    warehouse = Warehouse(home)
    return {t: warehouse.read(t).num_rows for t in ("episodes", "signals", "labels", "sources")}


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["ingest", "label", "build", "train"])
def test_a_night_killed_after_a_stage_comes_to_the_same_tables(tmp_path: Path, stage: str) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    home = tmp_path / "home"
    killed = demo(tmp_path)
    done = home / "runs" / "2026-01-05" / f"{stage}.json"
    deadline = time.monotonic() + 240
    while not done.exists() and time.monotonic() < deadline:
        assert killed.poll() is None, "the demo ended before it could be killed"
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    orphan = int((home / "prefect" / "server.pid").read_text())

    again = demo(tmp_path)
    out, _ = again.communicate(timeout=400)
    assert again.returncode == 0
    told: dict[str, Any] = json.loads(out)
    assert told["nights"][0]["episodes"] == rows(home)["episodes"]
    first = json.loads(
        (home / "logs" / "2026-01-05" / "episodes.jsonl").read_text().splitlines()[0]
    )
    assert first["id"] == "2026-01-05-000000"
    counts = rows(home)
    assert counts["sources"] == 2
    assert counts["labels"] == counts["episodes"]
    with pytest.raises(ProcessLookupError):  # the killed run's server is gone too
        os.kill(orphan, 0)
