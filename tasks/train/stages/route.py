"""A candidate's route: its stages one after the other, each taken up where it was left.

A stage that came to its end leaves its policy and its account in a folder of its own and is not
run again; one that was interrupted goes on from its last checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from models.policy import LoadedPolicy, save_policy
from models.trainers.run import Ran, TrainerRun
from schemas.errors import TrainingError
from tasks.train.stages.bench import Bench, Fed, start
from tasks.train.stages.imitation import rejection, sft
from tasks.train.stages.play import grpo
from tasks.train.stages.preference import dpo
from tasks.train.stages.unpaired import kto

Stage = Callable[[Bench, LoadedPolicy, Any, TrainerRun], Fed]
STAGES: dict[str, Stage] = {
    "sft": sft, "dpo": dpo, "kto": kto, "grpo": grpo, "rloo": grpo, "rejection": rejection,
}  # fmt: skip
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
        seconds: Time after which the stage at hand stops where it is.

    Raises:
        TrainingError: The route begins with a stage that needs a policy, and there is none.
    """
    names = route.split("+")
    if bench.start is None and names[0] not in STARTERS:
        raise TrainingError(
            "This candidate needs a policy to start from.", "Let sft be the first candidate."
        )
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
        policy = start(bench, source)
        run = _run(bench, name, place, folder, share, seconds)
        fed = STAGES[name](bench, policy, getattr(bench.config.train, name), run)
        records.append(_record(name, fed))
        if fed.ran.stopped == "share":
            break
        _finish(folder, policy, records[-1])
        source = str(folder / "policy")
    return Trained(policy or start(bench, source), records)


def _run(
    bench: Bench, name: str, place: int, folder: Path, share: float, seconds: float | None
) -> TrainerRun:
    """Say how one stage runs; a stage that comes twice has another seed the second time."""
    config = bench.config.train
    return TrainerRun(
        folder / "trainer", bench.seed + 100_000 * place,
        lambda done, total: bench.progress(name, done, total), until=share, seconds=seconds,
        checkpoint_steps=config.checkpoint_steps,
        gradient_checkpointing=config.gradient_checkpointing,
    )  # fmt: skip


def _record(name: str, fed: Fed) -> dict[str, Any]:
    ran: Ran = fed.ran
    return {
        "name": name, **fed.account, "steps": ran.steps, "of": ran.of, "stopped": ran.stopped,
        "acted": [msgspec.to_builtins(one) for one in ran.acted], "history": ran.history,
    }  # fmt: skip


def _finish(folder: Path, policy: LoadedPolicy, record: dict[str, Any]) -> None:
    """Keep a finished stage's policy, then its record, which says that the policy is whole."""
    save_policy(policy, folder / "policy")
    part = folder / f".{RECORD}"
    part.write_text(json.dumps(record))
    part.replace(folder / RECORD)
