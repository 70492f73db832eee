"""Do one order: train a candidate up to a share of its route, score a policy, or diagnose it.

A worker is forked from the night's host (`tasks.train.host`) or started by itself:
`python -m tasks.train.worker order.json [seconds]`. It ends with whoever started it: the pipe that
it was given, or that is its standard input, closes then.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from schemas.config import FlywheelConfig
from schemas.dataset import Scenario
from schemas.errors import FlywheelError
from tasks.rollout.environment import World, open_world, validation
from tasks.train.order import LOG, Order, answer
from tasks.train.rows import rows_of_build

LOGGER = logging.getLogger("flywheel.train")
Tell = Callable[[str, int, int], None]
"""Told stage, units done and in all."""


def work(order: Order, seconds: float | None, tell: Tell) -> int:
    """Do an order and write its result.

    Args:
        order: What is to be done.
        seconds: Time after which training stops where it is.
        tell: Told how far it is.

    Returns:
        Exit status: 0 when done; 1 after a known error, which stands in the result.
    """
    from models.policy import use_threads
    from models.processes import is_first, join, leave

    use_threads(order.threads)
    config = FlywheelConfig.model_validate(order.config)
    join(config.train.device)
    if config.train.devices > 1:
        config = _without_retries(config)
    world = open_world(config)
    try:
        if order.kind == "train":
            result = train(order, config, world, seconds, tell)
        else:
            result = look(order, config, world, tell)
    except FlywheelError as error:
        if is_first():
            answer(
                order, {"name": order.candidate, "error": error.message, "next": error.next_step}
            )
        return 1
    finally:
        world.close()
    if is_first():
        answer(order, result)
    leave()
    return 0


def train(
    order: Order, config: FlywheelConfig, world: World, seconds: float | None, tell: Tell
) -> dict[str, Any]:
    """Train a candidate up to where the order says, play validation scenarios, save the policy."""
    from models.policy import save_policy
    from models.processes import is_first
    from tasks.train.stages.route import train_route

    began = time.perf_counter()
    bench = _bench(order, config, world, tell)
    trained = train_route(bench, order.route, until=order.until, seconds=seconds)
    took = time.perf_counter() - began
    policy = order.rung / "policy"
    save_policy(trained.policy, policy)
    if not is_first():
        return {}  # of several processes that trained it the first one plays and answers
    played = validate(
        config, world, trained.policy, scored(validation(config), order.validation), tell
    )
    for earlier in Path(order.folder).glob("to-*/policy"):
        if earlier != policy:
            shutil.rmtree(earlier)
    return {
        "name": order.candidate, "stages": [_without_history(one) for one in trained.stages],
        **played, "seconds": took, "health": remarks(trained.stages),
        "history": history(trained.stages), "policy": str(policy),
    }  # fmt: skip


def _without_retries(config: FlywheelConfig) -> FlywheelConfig:
    """Let a stage that runs out of memory fail: one process of several cannot begin it anew."""
    monitors = config.train.monitors.model_copy(update={"memory_retries": 0})
    train = config.train.model_copy(update={"monitors": monitors})
    return config.model_copy(update={"train": train})


def look(order: Order, config: FlywheelConfig, world: World, tell: Tell) -> dict[str, Any]:
    """Play validation scenarios with the start, or say what failures it has left."""
    from tasks.train.stages.bench import Bench, start

    bench = Bench(
        config=config, world=world, successes=[], pairs=[], unpaired=[], start=order.start,
        seed=order.seed, folder=Path(order.folder), progress=tell,
    )  # fmt: skip
    policy = start(bench, order.start)
    if order.kind == "score":
        scenarios = scored(validation(config), order.validation)
        return {"name": order.candidate, **validate(config, world, policy, scenarios, tell)}
    from tasks.rollout.judged import judge_of
    from tasks.train.diagnosis import diagnosed, lines

    found = diagnosed(
        config, world, policy, scenarios=min(60, config.train.validation_scenarios),
        seed=order.seed + 71, judge=judge_of(config, order.build)[0],
        progress=lambda stage, done, total, note="": tell("play", done, total),  # noqa: ARG005 - Progress
    )  # fmt: skip
    return {"name": order.candidate, **msgspec.to_builtins(found), "lines": lines(found)}


def scored(scenarios: list[Scenario], share: float) -> list[Scenario]:
    """Take a share of the scenarios, spread evenly over them: the same ones for every candidate."""
    count = max(1, round(share * len(scenarios)))
    return [scenarios[index * len(scenarios) // count] for index in range(count)]


def validate(
    config: FlywheelConfig, world: World, policy: Any, scenarios: list[Scenario], tell: Tell
) -> dict[str, Any]:
    """Play the validation scenarios: what chooses among candidates.

    Returns:
        `validation_greedy` and `validation_sampled` success, and `validation`, their mean: greedy
        is what the gate asks for, sampled is what production serves and the more sensitive one.
        `validation_n` scenarios; `validation_seconds` is how long it took.
    """
    from tasks.rollout.play import play_loaded

    found = {}
    began = time.perf_counter()
    for name, temperature, samples in (("greedy", 0.0, 1), ("sampled", 1.0, 2)):
        rollouts = play_loaded(
            config, world, policy, scenarios, samples=samples, temperature=temperature,
            seed=config.seed + 61,
            progress=lambda stage, done, total, note="": tell("validation", done, total),  # noqa: ARG005 - Progress
        )  # fmt: skip
        judged = [r.reward for r in rollouts if r.reward is not None]
        found[f"validation_{name}"] = sum(judged) / max(len(judged), 1)
    score = (found["validation_greedy"] + found["validation_sampled"]) / 2
    return {
        "validation": score, **found, "validation_n": len(scenarios),
        "validation_seconds": time.perf_counter() - began,
    }  # fmt: skip


def remarks(stages: list[dict[str, Any]]) -> list[str]:
    """Say in plain words what monitors saw and did, and what was cut short."""
    said = []
    for stage in stages:
        where = f"{stage['name']}, " if len(stages) > 1 else ""
        said += [f"{where}{in_words(**one)}" for one in stage.get("acted", ())]
        if stage.get("stopped") == "time":
            said.append(
                f"{stage['name']} was cut short by the budget of time after {stage['steps']} of "
                f"{stage['of']} steps"
            )
    return said


def in_words(*, step: int, saw: str, did: str, **_: Any) -> str:
    """Write one act of a monitor as a line."""
    return f"step {step}: {saw}: {did}"


def history(stages: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Join what the stages logged; where there are several, their places and names stand before.

    Returns:
        One mapping a step of a stage; `step` counts within the stage.
    """
    if len(stages) == 1:
        return list(stages[0]["history"])
    return [
        {k if k == "step" else f"{place}-{stage['name']}/{k}": v for k, v in row.items()}
        for place, stage in enumerate(stages)
        for row in stage["history"]
    ]


def _without_history(stage: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in stage.items() if k != "history"}


def _bench(order: Order, config: FlywheelConfig, world: World, tell: Tell) -> Any:
    """Gather what a candidate works with; what monitors do goes to the log as they do it."""
    from tasks.train.stages.bench import Bench

    return Bench(
        config=config, world=world, start=order.start, seed=order.seed,
        folder=Path(order.folder), progress=tell, build=order.build, told=_log,
        **rows_of_build(config, order.build),
    )  # fmt: skip


def _log(stage: str, acted: Any) -> None:
    """Write what a monitor did into the worker's log, when it does it."""
    LOGGER.warning("%s, %s", stage, in_words(**msgspec.to_builtins(acted)))


def teller(name: str, relay: int) -> Tell:
    """Write progress into a pipe, one JSON line each, tagged with the order's name."""

    def tell(stage: str, done: int, total: int) -> None:
        line = {"order": name, "stage": stage, "done": done, "total": total}
        os.write(relay, json.dumps(line).encode() + b"\n")  # short enough to be written whole

    return tell


def _tell_nobody(stage: str, done: int, total: int) -> None:
    """Tell no progress: another process of the same candidate does."""


def end_with(starter: int) -> None:
    """End this process when a pipe closes that whoever started it holds open.

    Args:
        starter: Descriptor to read from; nothing ever comes but its end.
    """

    def wait() -> None:
        while os.read(starter, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, name="starter", daemon=True).start()


def log_to(file: Path) -> int:
    """Send what libraries print to a file.

    Returns:
        What standard output was before.
    """
    relay = os.dup(1)
    file.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    return relay


def main() -> int:
    """Do the order named on the command line; the second argument limits the time, seconds."""
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        end_with(0)
    order = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order)
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else None
    relay = log_to(order.rung / LOG)
    alone = os.environ.get("RANK", "0") == "0"  # one of several processes tells for all
    return work(order, seconds, teller(order.name, relay) if alone else _tell_nobody)


if __name__ == "__main__":
    raise SystemExit(main())
