"""Tell what demos came to, as the Markdown tables of docs/results.md.

for s in 1 2 3; do flywheel demo --seed $s --home results/$s; done
python -m bench.results results/1 results/2 results/3
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def spread(found: dict[str, Any], name: str) -> str:
    """Write an estimate with its interval, as percentages."""
    low, high = found["ci95" if name == "pass_at_1" else f"{name}_ci95"]
    return f"{100 * found[name]:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def nights(home: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Read each finished night of a demo: its entry and its evaluation."""
    folders = sorted(p for p in (home / "runs").iterdir() if (p / "demo.json").is_file())
    return [
        (
            json.loads((f / "demo.json").read_text()),
            json.loads((f / "evaluate.json").read_text())["result"],
        )
        for f in folders
    ]


def rows(home: Path) -> list[str]:
    """Write a demo's rows of the success table: the logged agent, then each night's candidate."""
    seed = json.loads((home / "demo.json").read_text())["seed"]
    written = []
    for number, (entry, played) in enumerate(nights(home)):
        chosen = next(c["name"] for c in entry["candidates"] if c["chosen"])
        for name in ("logged_agent", chosen) if number == 0 else (chosen,):
            splits = played["models"][name]["splits"]
            cells = [
                spread(splits[split], mode)
                for split in ("frozen_params", "frozen_compositions")
                for mode in ("pass_at_1", "sampled")
            ]
            decision = "" if name == "logged_agent" else entry["decision"]
            label = "logs" if name == "logged_agent" else str(number + 1)
            written.append(
                f"| {seed} | {label} | {name.replace('_', ' ')} | " + " | ".join(cells)
                + f" | {decision} |"
            )  # fmt: skip
    return written


def candidates(home: Path) -> list[str]:
    """Write what each night's candidates scored on validation, and what on-policy play won."""
    seed = json.loads((home / "demo.json").read_text())["seed"]
    written = []
    for number, (entry, _) in enumerate(nights(home)):
        scored = ", ".join(
            f"{'**' if c['chosen'] else ''}{c['name']} {100 * c['validation']:.1f}"
            f"{'**' if c['chosen'] else ''}"
            for c in entry["candidates"]
            if c["validation"] is not None
        )
        gain = entry["on_policy_gain"]
        told = "-"
        if gain:
            low, high = gain["ci95"]
            told = (
                f"{gain['candidate']} over {gain['baseline']}: {100 * gain['difference']:+.1f} "
                f"[{100 * low:+.1f}, {100 * high:+.1f}]"
            )
        written.append(f"| {seed} | {number + 1} | {scored} | {told} |")
    return written


def seconds(home: Path) -> list[str]:
    """Write the wall-clock seconds of each stage."""
    seed = json.loads((home / "demo.json").read_text())["seed"]
    stages = ("traffic", "ingest", "label", "build", "train", "evaluate", "promote")
    return [
        f"| {seed} | {number + 1} | "
        + " | ".join(f"{entry['seconds'][s]:.1f}" for s in stages)
        + f" | {sum(entry['seconds'].values()):.0f} |"
        for number, (entry, _) in enumerate(nights(home))
    ]


def tables(homes: list[Path]) -> str:
    """Write all three tables."""
    head = "| seed | night | policy | params greedy | params sampled | compositions greedy "
    parts = [
        head + "| compositions sampled | decision |",
        "|---|---|---|---|---|---|---|---|",
        *(row for home in homes for row in rows(home)),
        "",
        "| seed | night | validation of each candidate | gain on all frozen scenarios |",
        "|---|---|---|---|",
        *(row for home in homes for row in candidates(home)),
        "",
        "| seed | night | traffic | ingest | label | build | train | evaluate | promote | sum |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(row for home in homes for row in seconds(home)),
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    print(tables([Path(home) for home in sys.argv[1:]]))
