"""A candidate's route: its stages one after the other, each taken up where it was left.

A stage that came to its end leaves its policy and its account in a folder of its own and is not
run again; one that was interrupted goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from models.policy import LoadedPolicy, save_policy
from models.processes import is_first
from models.trainers.guard import ActingGuard
from models.trainers.rules import Kind
from models.trainers.run import Acted, Ran, TrainerRun
from schemas.errors import TrainingError
from tasks.rollout.environment import validation
from tasks.rollout.play import play_loaded
from tasks.train.stages.bench import Bench, Fed, start
from tasks.train.stages.imitation import rejection, sft
from tasks.train.stages.memory import Load, with_less_memory
from tasks.train.stages.off_policy import off_policy
from tasks.train.stages.play import grpo
from tasks.train.stages.preference import dpo
from tasks.train.stages.unpaired import kto

Stage = Callable[[Bench, LoadedPolicy, Any, TrainerRun], Fed]
STAGES: dict[str, Stage] = {
    "sft": sft, "dpo": dpo, "kto": kto, "grpo": grpo, "rloo": grpo, "rejection": rejection,
    "off_policy": off_policy,
}  # fmt: skip
KINDS: dict[str, Kind] = {
    "sft": "imitation", "rejection": "imitation", "dpo": "preference", "kto": "preference",
    "grpo": "play", "rloo": "play", "off_policy": "play",
}  # fmt: skip
"""What the monitors take each stage for."""
RECORD = "stage.json"
"""Account of a stage that came to its end, beside its policy."""
STARTERS = {"sft"}
"""Stages that can begin without a policy."""


class Trained(msgspec.Struct):
    """What a candidate came to."""

    policy: LoadedPolicy
    stages: list[dict[str, Any]]
    """Each stage: `name`, what it was fed, `steps`, `of`, `stopped`, `acted`, `history`."""


def train_route(
    bench: Bench, route: str, *, until: float = 1.0, seconds: float | None = None
) -> Trained:
    """Train a candidate up to a share of its route.

    Args:
        bench: Data, environment and folder.
        route: Stages joined by `+`.
        until: Share of the route, each stage counting the same.
        seconds: Time for all of it; each stage to come has an even share of what is left, and
            stops there.

    Raises:
        TrainingError: The route begins with a stage that needs a policy, and there is none.
    """
    names = route.split("+")
    if bench.start is None and names[0] not in STARTERS:
        raise TrainingError(
            "This candidate needs a policy to start from.", "Let sft be the first candidate."
        )
    began = time.monotonic()
    stages = math.ceil(until * len(names) - 1e-9)
    source, policy = bench.start, None
    records: list[dict[str, Any]] = []
    for place, name in enumerate(names):
        share = min(1.0, until * len(names) - place)
        if share <= 1e-9:
            break
        folder = bench.folder / f"{place}-{name}"
        if (folder / RECORD).exists():
            records.append(json.loads((folder / RECORD).read_text()))
            source, policy = str(folder / "policy"), None
            continue
        spent = time.monotonic() - began
        limit = None if seconds is None else max(0.0, seconds - spent) / (stages - place)
        order = _Order(name, place, folder, source, share, limit)
        policy = None  # the stage before is on disk: its weights need not stay in memory
        policy, fed = _stage(bench, order)
        records.append(_record(name, fed))
        if fed.ran.stopped == "share" or (fed.ran.stopped == "time" and share < 1.0):
            break  # it goes on from its checkpoint where the next rung gives it time
        _finish(folder, policy, records[-1])
        source = str(folder / "policy")
    return Trained(policy or start(bench, source), records)


class _Order(NamedTuple):
    """One stage of a route."""

    name: str
    place: int
    folder: Path
    source: str | None
    share: float
    seconds: float | None


def _stage(bench: Bench, order: _Order) -> tuple[LoadedPolicy, Fed]:
    """Run one stage, with less where memory runs out; its policy and what came of it."""
    config = bench.config.train
    load = Load(getattr(config, order.name), gradient_checkpointing=config.gradient_checkpointing)

    def told(acted: Acted) -> None:
        bench.told(order.name, acted)

    began = time.monotonic()
    (policy, fed), retried = with_less_memory(
        lambda lighter: _attempt(bench, order, lighter, told, began), load,
        limit=config.monitors.memory_retries, told=told,
    )  # fmt: skip
    fed.ran.acted[:0] = retried
    return policy, fed


def _attempt(
    bench: Bench, order: _Order, load: Load, told: Callable[[Acted], None], began: float
) -> tuple[LoadedPolicy, Fed]:
    """Run one stage; one that comes twice in a route has another seed the second time."""
    config, name = bench.config.train, order.name
    policy = start(bench, order.source)
    guard = ActingGuard(config.monitors, KINDS[name], probe=_probe(bench, policy), told=told)
    run = TrainerRun(
        order.folder / "trainer", bench.seed + 100_000 * order.place,
        lambda done, total: bench.progress(name, done, total), until=order.share,
        seconds=order.seconds, began=began, checkpoint_steps=config.checkpoint_steps,
        gradient_checkpointing=load.gradient_checkpointing, parts=load.parts,
        processes=config.devices, guard=guard,
    )  # fmt: skip
    return policy, STAGES[name](bench, policy, load.recipe, run)


def _probe(bench: Bench, policy: LoadedPolicy) -> Callable[[], float]:
    """Give what plays held-out scenarios with the policy as it is: the share that it solves."""

    def play() -> float:
        config = bench.config
        scenarios = validation(config)[: config.train.monitors.probe_scenarios]
        rollouts = play_loaded(
            config, bench.world, policy, scenarios, samples=1, temperature=1.0,
            seed=config.seed + 71, progress=lambda *_: None,
        )  # fmt: skip
        return sum(r.reward or 0.0 for r in rollouts) / max(len(rollouts), 1)

    return play


def _record(name: str, fed: Fed) -> dict[str, Any]:
    ran: Ran = fed.ran
    return {
        "name": name, **fed.account, "steps": ran.steps, "of": ran.of, "stopped": ran.stopped,
        "acted": [msgspec.to_builtins(one) for one in ran.acted], "history": ran.history,
    }  # fmt: skip


def _finish(folder: Path, policy: LoadedPolicy, record: dict[str, Any]) -> None:
    """Keep a finished stage's policy, then its record, which says that the policy is whole."""
    save_policy(policy, folder / "policy")
    if not is_first():
        return
    part = folder / f".{RECORD}"
    part.write_text(json.dumps(record))
    part.replace(folder / RECORD)
    shutil.rmtree(folder / "trainer", ignore_errors=True)  # checkpoints: nothing goes on from them
