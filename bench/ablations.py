"""Compare ways to train, one factor at a time, over seeds; results are kept by arm.

    python -m bench.ablations run --work ablations --seeds 2,3,4,5,6 --jobs 2
    python -m bench.ablations table --work ablations

A seed has a home of its own with a first night of logs, labelled by signals and built. From it come
three starts: `signals` imitates the build's successes, `verified` as many logged episodes whose
answers the environment has checked, `strong` verified ones for longer. An arm is a route from a
start with some settings changed; what comes of it plays the frozen scenarios greedily and sampled.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.ablation_arms import ARMS, STARTS, Arm
from bench.ablation_table import table
from schemas.config import FlywheelConfig
from schemas.dataset import Trajectory
from schemas.episode import Message
from tasks.rollout.version import train_version

NIGHT = "2026-01-05"
SAMPLES = 2
"""Sampled attempts of each frozen scenario."""


def config_of(work: Path, seed: int, changed: dict[str, Any] | None = None) -> FlywheelConfig:
    """Give the configuration of an arm: the defaults, a seed, and what the arm changes."""
    home = work / f"seed{seed}" / "home"
    return FlywheelConfig.model_validate({"home": home, "seed": seed, "train": changed or {}})


def prepare(work: Path, seed: int) -> dict[str, Any]:
    """Make a seed's home: a first night of logs, ingested, labelled by signals and built."""
    from tasks.build.build import build
    from tasks.ingest.ingest import ingest
    from tasks.label.label import label
    from tasks.rollout.traffic import write_night

    config = config_of(work, seed)
    logs = config.home / "logs"
    logs.mkdir(parents=True)

    def clock() -> datetime:
        return datetime(2026, 1, 5, 12, tzinfo=UTC)

    made = write_night(config, night=NIGHT, champion=None, out=logs, clock=clock)
    ingest(config, [str(logs)], night=NIGHT, clock=clock)
    label(config, night=NIGHT, clock=clock)
    built = build(config, night=NIGHT, clock=clock)
    return {"build": built["digest"], "logged": made["success"], "sft": built["trajectories"]}


def bench_of(work: Path, seed: int, config: FlywheelConfig, start: str | None, folder: Path) -> Any:
    """Set up a candidate's bench over a seed's build."""
    from tasks.rollout.environment import open_world
    from tasks.train.rows import rows_of_build
    from tasks.train.stages.bench import Bench

    build = json.loads((work / f"seed{seed}" / "home.json").read_text())["build"]
    return Bench(
        config=config, world=open_world(config), start=start, seed=seed, folder=folder,
        progress=lambda *_: None, **rows_of_build(config, build),
    )  # fmt: skip


def verified(config: FlywheelConfig, count: int) -> list[Trajectory]:
    """Play the logged agent until so many episodes of it were right, by the environment."""
    from tasks.rollout.environment import open_world
    from tasks.rollout.play import SCRIPTED, play_policy

    world = open_world(config)
    drawn = world.draw("train", 3 * count, config.seed + 991)
    world.close()
    asked = {s.scenario_id: s.question for s in drawn}
    played = play_policy(config, SCRIPTED, drawn, samples=1, greedy=False, seed=config.seed + 991)
    right = [rollout for rollout in played if rollout.reward == 1.0][:count]
    return [
        Trajectory(
            build="verified", use="sft", episode_id=str(number), scenario_id=rollout.scenario_id,
            messages=[Message(role="user", content=asked[rollout.scenario_id]), *rollout.messages],
            desirable=True, weight=1.0, total=1.0,
        )
        for number, rollout in enumerate(right)
    ]  # fmt: skip


def make_start(work: Path, seed: int, name: str) -> dict[str, Any]:
    """Train one of a seed's starts and play it."""
    from tasks.train.stages.route import train_route

    how = STARTS[name]
    folder = work / f"seed{seed}" / name
    config = config_of(work, seed, {"sft": how.sft})
    bench = bench_of(work, seed, config, None, folder)
    if how.verified:
        bench.successes = verified(config, how.verified)
    began = time.process_time()
    trained = train_route(bench, "sft")
    spent = time.process_time() - began
    return {"cpu_s": spent, "fed": len(bench.successes), **played(config, bench, trained.policy)}


def run_arm(work: Path, seed: int, arm: Arm) -> dict[str, Any]:
    """Train an arm from its start and play what comes of it."""
    from tasks.train.stages.route import train_route

    start = work / f"seed{seed}" / arm.start / "0-sft" / "policy"
    config = config_of(work, seed, arm.train)
    folder = work / f"seed{seed}" / "arms" / arm.key()
    bench = bench_of(work, seed, config, str(start), folder)
    began, clock = time.process_time(), time.perf_counter()
    trained = train_route(bench, arm.route)
    spent = {"cpu_s": time.process_time() - began, "seconds": time.perf_counter() - clock}
    history = [row for stage in trained.stages for row in stage["history"]]
    return {
        **spent, **played(config, bench, trained.policy), "monitored": monitored(history),
        "stages": [{k: v for k, v in s.items() if k != "history"} for s in trained.stages],
    }  # fmt: skip


def monitored(history: list[dict[str, float]]) -> dict[str, list[float]]:
    """Keep the courses of what monitors look at."""
    names = ("kl", "entropy", "groups/mixed", "reward", "grad_norm", "completions/clipped_ratio")
    return {
        name: [round(row[name], 5) for row in history if name in row]
        for name in names
        if any(name in row for row in history)
    }


def played(config: FlywheelConfig, bench: Any, policy: Any) -> dict[str, Any]:
    """Play the frozen scenarios; give the mean and every scenario's score, greedy and sampled."""
    from tasks.rollout.environment import frozen
    from tasks.rollout.play import play_loaded

    scenarios = frozen(config)
    found: dict[str, Any] = {"scores": {}}
    for mode, temperature, samples in (("greedy", 0.0, 1), ("sampled", 1.0, SAMPLES)):
        rollouts = play_loaded(
            config, bench.world, policy, scenarios, samples=samples, temperature=temperature,
            seed=config.seed + 5,
        )  # fmt: skip
        scores: dict[str, list[float]] = {}
        for rollout in rollouts:
            scores.setdefault(rollout.scenario_id, []).append(rollout.reward or 0.0)
        rows = [
            [s.specification, s.scenario_id, sum(got) / len(got)]
            for s in scenarios
            if (got := scores[s.scenario_id])
        ]
        found[mode] = sum(row[2] for row in rows) / len(rows)
        found["scores"][mode] = rows
    bench.world.close()
    return found


def kept(file: Path, made: Any) -> dict[str, Any]:
    """Read a result, or make it and keep it."""
    if file.exists():
        return dict(json.loads(file.read_text()))
    result = {**made(), "code": train_version()}
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(result))
    part.replace(file)
    return result


def one(work: Path, seed: int, what: str) -> None:
    """Make one thing of a seed, with what it needs."""
    from models.policy import use_threads

    use_threads(1)
    folder = work / f"seed{seed}"
    kept(folder / "home.json", lambda: prepare(work, seed))
    if what == "home":
        return
    arm = ARMS.get(what)
    start = arm.start if arm else what
    kept(folder / f"{start}.json", lambda: make_start(work, seed, start))
    if arm:
        kept(folder / "results" / f"{what}-{arm.key()}.json", lambda: run_arm(work, seed, arm))


def run(work: Path, seeds: list[int], names: list[str], jobs: int) -> None:
    """Run what is not there yet, each in a process of its own, seeds of one arm first."""
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE",
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }  # fmt: skip

    def call(order: tuple[str, int]) -> None:
        name, seed = order
        command = [sys.executable, "-m", "bench.ablations", "one", "--work", str(work)]
        log = work / "log" / f"{name}-{seed}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as lines:
            done = subprocess.run(
                [*command, "--seeds", str(seed), "--arms", name], env=environment, stdout=lines,
                stderr=lines, check=False,
            )  # fmt: skip
        print(name, seed, "failed" if done.returncode else "done", flush=True)

    for together in (["home"], list(STARTS), [n for n in names if n in ARMS]):
        with ThreadPoolExecutor(max_workers=jobs) as pool:
            list(pool.map(call, [(name, seed) for name in together for seed in seeds]))


def main() -> None:
    """Run arms, or write what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "one", "table"])
    parser.add_argument("--work", type=Path, required=True, help="folder of homes and results")
    parser.add_argument("--seeds", default="2,3,4,5,6")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    names = given.arms.split(",")
    if given.what == "one":
        one(given.work, seeds[0], names[0])
    elif given.what == "run":
        run(given.work, seeds, names, given.jobs)
    else:
        print("\n".join(table(given.work, seeds, names)))


if __name__ == "__main__":
    main()
