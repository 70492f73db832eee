"""The night's recipe: which candidates compete, trained side by side, and which one goes on.

Each candidate is trained by `tasks.train.worker` in a process of its own: it takes its memory with
it, two share the cores of a small machine, and a killed night finds the finished ones done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError, TrainingError
from schemas.progress import Progress, report
from tasks.rollout.version import train_version
from tasks.train.worker import RESULT, Order

_ORDER_OF_COST = ("grpo", "rejection", "dpo", "sft")
"""Longest first, so that the last process does not start when the others are done."""


def train(
    config: FlywheelConfig,
    *,
    night: str,
    build: str,
    start: str | None,
    run_dir: Path,
    progress: Progress = report,
) -> dict[str, Any]:
    """Train the night's candidates and choose one by validation play.

    Args:
        config: Names the candidates and their recipes.
        night: `YYYY-MM-DD`; seeds the night's order and play.
        build: Digest of the build to learn from.
        start: Folder of the policy to start from; None on the first night.
        run_dir: The night's work folder.
        progress: Told about each candidate's steps.

    Returns:
        `candidates` (name, stages, validation, seconds, health, history), `chosen`, `policies`
        (candidate -> folder) and `start`.

    Raises:
        ConfigurationError: The first night has no sft, and so nothing to start from.
        TrainingError: No candidate could be trained.
    """
    names = config.train.later_nights if start else config.train.first_night
    if start is None and "sft" not in names:
        raise ConfigurationError(
            f"train.first_night = {list(names)} has nothing to start from.",
            "Add sft to train.first_night.",
        )
    folder = run_dir / "candidates"
    rounds: list[list[str]] = (
        [list(names)] if start else [["sft"], [n for n in names if n != "sft"]]
    )
    results: dict[str, dict[str, Any]] = {}
    base = start
    for together in rounds:
        orders = [
            order(config, name, night=night, build=build, start=base, folder=folder)
            for name in sorted(together, key=_ORDER_OF_COST.index)
        ]
        results |= {r["name"]: r for r in run_all(orders, config.train.processes, progress)}
        base = base or results["sft"].get("policy")
    return {**_choice(list(names), results), "start": start}


def _choice(names: list[str], results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Choose by validation play; those that failed stay in the account, with their reason."""
    good = {n: results[n] for n in names if "error" not in results[n]}
    if not good:
        first = next(iter(results.values()))
        raise TrainingError(f"No candidate could be trained: {first['error']}", first["next"])
    failed = [
        {"name": n, "stages": [], "validation": None, "seconds": 0.0, "health": [r["error"]]}
        for n, r in results.items()
        if "error" in r
    ]
    return {
        "candidates": [*good.values(), *failed],
        "chosen": max(good, key=lambda name: float(good[name]["validation"])),
        "policies": {name: result["policy"] for name, result in good.items()},
    }


def order(
    config: FlywheelConfig, name: str, *, night: str, build: str, start: str | None, folder: Path
) -> Order:
    """Write down what a worker is to do: everything that decides its result."""
    seed = config.seed * 1000 + int(night.replace("-", "")) % 1000
    plain = config.model_dump(mode="json")
    return Order(
        candidate=name, config=plain, build=build, start=start, seed=seed,
        folder=str((folder / name).resolve()), threads=config.train.threads, code=train_version(),
    )  # fmt: skip


def run_all(orders: Sequence[Order], processes: int, progress: Progress) -> list[dict[str, Any]]:
    """Run workers, some at a time, in the order given.

    Returns:
        Each worker's result, in the order given; a worker that died has `error` and `next`.
    """
    running: list[subprocess.Popen[str]] = []
    with ThreadPoolExecutor(max_workers=processes) as pool:
        try:
            return list(pool.map(lambda one: run_worker(one, progress, running), orders))
        except BaseException:  # interrupted: nobody waits for the workers any more
            pool.shutdown(wait=False, cancel_futures=True)
            for process in running:
                process.terminate()
            raise


def run_worker(
    given: Order, progress: Progress, running: list[subprocess.Popen[str]]
) -> dict[str, Any]:
    """Run one worker and read its result; a good result of the very same order is kept.

    Args:
        given: What the worker is to do.
        progress: Told what it tells.
        running: The process is added here, for whoever must end it early.
    """
    folder = Path(given.folder)
    folder.mkdir(parents=True, exist_ok=True)
    order_file, result_file = folder / "order.json", folder / RESULT
    wanted = msgspec.json.encode(given)
    if result_file.exists() and order_file.exists() and order_file.read_bytes() == wanted:
        known = dict(json.loads(result_file.read_text()))
        if "error" not in known:
            return known
    result_file.unlink(missing_ok=True)
    order_file.write_bytes(wanted)
    threads = str(given.threads)
    environment = {
        **os.environ, "OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE",
        "TRL_EXPERIMENTAL_SILENCE": "1", "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }  # fmt: skip
    with (
        (folder / "worker.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "tasks.train.worker", str(order_file)],
            cwd=Path(__file__).parents[2], env=environment, stdout=subprocess.PIPE, stderr=log,
            text=True,
        ) as process,
    ):  # fmt: skip
        running.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            _relay(given.candidate, line, progress)
    if not result_file.exists():
        tail = (folder / "worker.log").read_text().strip().splitlines()[-1:]
        return {
            "name": given.candidate,
            "error": f"training {given.candidate} died: {tail[0] if tail else process.returncode}",
            "next": f"Read {folder / 'worker.log'}.",
        }
    return dict(json.loads(result_file.read_text()))


def _relay(candidate: str, line: str, progress: Progress) -> None:
    """Pass a worker's progress on; anything else a library printed is left out."""
    try:
        told = json.loads(line)
    except json.JSONDecodeError:
        return
    if isinstance(told, dict) and "stage" in told:
        stage = f"train {candidate}"
        note = "" if told["stage"] == candidate else str(told["stage"])
        progress(stage, int(told["done"]), int(told["total"]), note)
