"""Measure training on one GPU: `python -m bench.gpu.run --out FOLDER`, within ten minutes.

Each measurement is a process of its own, so that one that runs out of memory stops no other. The
table is written again after each, so that what was measured is kept whenever it ends.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
"""Dense bfloat16 operations a second, by the maker's data sheet."""
KINDS = ("sft", "dpo", "grpo")
CASES = [
    *((kind, stock, False) for kind in KINDS for stock in (False, True)),
    ("sft", False, True),
]
"""Kind, whether TRL's own trainer, and whether activations are computed again."""


def measured(
    size: str, kind: str, device: str, *, stock: bool, checkpointing: bool
) -> dict[str, Any]:
    """Measure one kind of step; runs in a process of its own."""
    import torch

    from bench.gpu import work
    from models.shape import measured as shape_of_model
    from models.trainers.run import TrainerRun
    from schemas.training_config import TrainConfig
    from tasks.train.footprint import footprint

    of = work.SIZES[size]
    clock = work.Clock()
    with tempfile.TemporaryDirectory() as folder:
        policy = work.new(of, Path(folder), device)
        run = TrainerRun(
            Path(folder) / "trainer", 0, clock, gradient_checkpointing=checkpointing
        )  # fmt: skip
        {"sft": work.imitate, "dpo": work.prefer, "grpo": work.play}[kind](
            policy, of, run, stock=stock
        )
        peak = torch.cuda.max_memory_allocated() if device == "cuda" else None
        play = work.rollout_seconds(policy, of) if kind == "grpo" and not stock else None
    tokens = of.tokens * (of.rollouts // 2 if kind == "grpo" else of.rows)
    shape = shape_of_model(policy.model.config)
    rate = tokens / clock.seconds
    speed = _peak(torch.cuda.get_device_name(0)) if device == "cuda" else None
    train = TrainConfig.model_validate({
        "device": device, "gradient_checkpointing": checkpointing,
        "policy": {"kind": "hub", "model": size, "lora_rank": None, "context": of.tokens,
                   "dtype": "bfloat16" if device == "cuda" else "float32"},
        "sft": {"batch_size": of.rows, "optimizer": "adamw"},
        "dpo": {"batch_size": max(1, of.rows // 2), "scenarios": 0},
        "grpo": {"scenarios_per_step": of.rollouts // 4, "generations": 4,
                 "micro_batch": of.rows, "kl_rows": 0, "average_last": 0},
    })  # fmt: skip
    return {
        "parameters": shape.parameters, "step_seconds": clock.seconds, "tokens_per_second": rate,
        "flops_use": 6 * shape.parameters * rate / speed if speed else None,
        "rollout_share": play / clock.seconds if play else None, "peak_bytes": peak,
        "expected_bytes": footprint(shape, train, kind).total,
    }  # fmt: skip


def _peak(name: str) -> float | None:
    return next((speed for part, speed in PEAK.items() if part in name), None)


def table(found: list[dict[str, Any]], device: str) -> str:
    """Write what was measured as Markdown."""
    lines = [
        f"# Training on {device}", "",
        ("| size | step | trainer | tokens/s | model-flops use | rollouts' share | peak GB |"
        " expected GB |"),
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for one in found:
        trainer = "TRL's own" if one["stock"] else "ours"
        if one["checkpointing"]:
            trainer += ", checkpointing"
        if "error" in one:
            lines.append(f"| {one['size']} | {one['kind']} | {trainer} | {one['error']} | | | | |")
            continue
        lines.append(
            f"| {one['size']} | {one['kind']} | {trainer} | {one['tokens_per_second']:,.0f} | "
            f"{_percent(one['flops_use'])} | {_percent(one['rollout_share'])} | "
            f"{_size(one['peak_bytes'])} | {_size(one['expected_bytes'])} |"
        )
    return "\n".join([*lines, ""])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _size(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e9:.1f}"


def main() -> None:
    """Measure every case of every size until the time is spent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--sizes", nargs="+", default=["0.6B", "1.7B", "4B"])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seconds", type=float, default=560.0, help="time after which it stops")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "bench/gpu")))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(**json.loads(options.one))))
        return
    ends = time.monotonic() + options.seconds
    options.out.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = []
    for size in options.sizes:
        for kind, stock, checkpointing in CASES:
            if kind not in options.kinds:
                continue
            case = {"size": size, "kind": kind, "stock": stock, "checkpointing": checkpointing}
            left = ends - time.monotonic()
            found.append({**case, **_asked({**case, "device": options.device}, left)})
            (options.out / "table.md").write_text(table(found, options.device))
            (options.out / "results.json").write_text(json.dumps(found, indent=1))
    print(table(found, options.device))


def _asked(case: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Measure one case in a process of its own."""
    if seconds <= 0:
        return {"error": "no time left"}
    command = [sys.executable, "-m", "bench.gpu.run", "--one", json.dumps(case)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds,
            env={**os.environ, "TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": "no time left"}
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return {"error": said[-1][:160] if said else f"exit status {done.returncode}"}
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
