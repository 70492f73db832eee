"""What came of the ablations, as tables: each arm over all seeds, and against its start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.ablation_arms import ARMS, STARTS
from tasks.evaluate.compare import paired_difference

Rows = list[tuple[str, str, float]]


def table(work: Path, seeds: list[int], names: list[str]) -> list[str]:
    """Write starts and arms; differences are paired by scenario and clustered by specification."""
    lines = ["| start | greedy | sampled | CPU s | seeds |", "|---|---|---|---|---|"]
    for name in STARTS:
        found = [r for seed in seeds if (r := _read(work / f"seed{seed}" / f"{name}.json"))]
        if found:
            lines.append(
                f"| {name} | {_both(found)} | {_mean(found, 'cpu_s'):.0f} | {len(found)} |"
            )
    lines += [
        "", "| arm | from | greedy | sampled | gain greedy | gain sampled | CPU s | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name in names:
        if name not in ARMS:
            continue
        arm, pairs = ARMS[name], []
        for seed in seeds:
            folder = work / f"seed{seed}"
            result = _read(folder / "results" / f"{name}-{arm.key()}.json")
            start = _read(folder / f"{arm.start}.json")
            if result and start:
                pairs.append((seed, result, start))
        if pairs:
            found = [result for _, result, _ in pairs]
            gains = " | ".join(_gain(pairs, mode) for mode in ("greedy", "sampled"))
            lines.append(
                f"| {name} | {arm.start} | {_both(found)} | {gains} |"
                f" {_mean(found, 'cpu_s'):.0f} | {len(found)} |"
            )
    return lines


def _gain(pairs: list[tuple[int, dict[str, Any], dict[str, Any]]], mode: str) -> str:
    """Give the mean gain over the start, in points, with its 95% interval."""
    ours: Rows = []
    theirs: Rows = []
    for seed, result, start in pairs:
        for rows, scores in ((ours, result["scores"]), (theirs, start["scores"])):
            rows += [
                (f"{seed}:{spec}", f"{seed}:{key}", score) for spec, key, score in scores[mode]
            ]
    interval = paired_difference(ours, theirs, 0)
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * interval.estimate:+.1f} [{low:+.1f}, {high:+.1f}]"


def _both(found: list[dict[str, Any]]) -> str:
    """Give the mean over the seeds with the smallest and the largest, greedy and sampled."""
    parts = []
    for mode in ("greedy", "sampled"):
        values = [100 * result[mode] for result in found]
        spread = f"{min(values):.1f} to {max(values):.1f}"
        parts.append(f"{sum(values) / len(values):.1f} ({spread})")
    return " | ".join(parts)


def _mean(found: list[dict[str, Any]], name: str) -> float:
    return float(sum(result[name] for result in found) / len(found))


def _read(file: Path) -> dict[str, Any] | None:
    return dict(json.loads(file.read_text())) if file.exists() else None
