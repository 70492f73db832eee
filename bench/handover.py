"""Measure the hand-over of a build to a trainer against JSON lines and `Dataset.from_list`."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset

from bench.chats import chat
from bench.measure import Measurement, arguments, cpu_seconds, measure, show
from models.handover import load_rows
from schemas.dataset import Trajectory
from schemas.episode import Message, ToolCall
from schemas.tables import arrow_rows
from warehouse.tables import Warehouse

BUILD = "0" * 16
BYTES = 2400
"""Of an average row as a JSON line."""
RUNS = 3
"""Of each side; the least CPU counts."""
GATHERED = 10_000
"""Rows that are made and committed at a time."""


def trajectory(source: random.Random, number: int) -> Trajectory:
    """Make up one row."""
    messages = []
    for said in chat(source):
        calls = [ToolCall(id=call["id"], **call["function"]) for call in said.pop("tool_calls", ())]
        messages.append(Message(**said, tool_calls=calls))
    return Trajectory(
        build=BUILD, use="sft", episode_id=f"e{number}", scenario_id=f"s{number % 97}",
        messages=messages, desirable=True, weight=0.9, total=source.random(),
        train_on=[message.role == "assistant" for message in messages], rank=number,
    )  # fmt: skip


def write(folder: Path, rows: int, seed: int) -> None:
    """Write the same rows as a build's partition and as JSON lines."""
    source = random.Random(seed)
    warehouse = Warehouse(folder / "home")
    with (folder / "rows.jsonl").open("w") as lines:
        for start in range(0, rows, GATHERED):
            numbers = range(start, min(start + GATHERED, rows))
            some = arrow_rows("trajectories", [trajectory(source, n) for n in numbers])
            warehouse.append("trajectories", some)
            for row in some.drop_columns(["build", "use"]).to_pylist():
                lines.write(json.dumps(row) + "\n")


def ours(folder: str, cache: str) -> dict[str, Any]:
    """Open the partition; say what it cost."""
    files = Warehouse(Path(folder) / "home").files("trajectories", partition={"build": BUILD})
    started = cpu_seconds()
    dataset = load_rows("trajectories", files, Path(cache))
    return {"cpu_s": cpu_seconds() - started, **looked_at(dataset)}


def theirs(folder: str) -> dict[str, Any]:
    """Read the JSON lines into a list and make a dataset of it."""
    started = cpu_seconds()
    with (Path(folder) / "rows.jsonl").open() as lines:
        dataset = Dataset.from_list([json.loads(line) for line in lines])
    return {"cpu_s": cpu_seconds() - started, **looked_at(dataset)}


def looked_at(dataset: Dataset) -> dict[str, Any]:
    """Count rows, and columns of the null type, which no later row could be added to."""
    kinds = dataset.features.arrow_schema.types
    return {"rows": len(dataset), "null_columns": sum(kind == pa.null() for kind in kinds)}


def least(runs: Iterable[Measurement]) -> Measurement:
    """Choose the run that took the least CPU: what other processes add is not ours."""
    return min(runs, key=lambda run: float(run.result["cpu_s"]))


def compared(size_mb: int, seed: int) -> dict[str, Any]:
    """Write rows, then open them both ways, each in a process of its own.

    Raises:
        RuntimeError: The two do not hold as many rows.
    """
    rows = max(1, size_mb * 1_000_000 // BYTES)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), rows, seed)
        caches = [str(Path(folder) / f"cache-{run}") for run in range(RUNS)]
        mine = least(measure("bench.handover:ours", folder=folder, cache=c) for c in caches)
        again = measure("bench.handover:ours", folder=folder, cache=caches[0])
        peer = least(measure("bench.handover:theirs", folder=folder) for _ in range(RUNS))
    if mine.result["rows"] != peer.result["rows"]:
        raise RuntimeError(f"{mine.result['rows']} rows became {peer.result['rows']}")
    return {
        "handover_ratio": peer.result["cpu_s"] / mine.result["cpu_s"],
        "handover_ratio_cached": peer.result["cpu_s"] / max(again.result["cpu_s"], 1e-4),
        "cpu_s": mine.result["cpu_s"],
        "peer_cpu_s": peer.result["cpu_s"],
        "rss_mb": mine.rss_mb,
        "peer_rss_mb": peer.rss_mb,
        "null_columns": mine.result["null_columns"],
        "peer_null_columns": peer.result["null_columns"],
        "rows": rows,
        "size_mb": size_mb,
    }


def main() -> None:
    """Compare the two on rows of the given size."""
    options = arguments(__doc__ or "")
    show(compared(options.size, options.seed), options.json)


if __name__ == "__main__":
    main()
