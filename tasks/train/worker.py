"""Train one candidate in a process of its own: `python -m tasks.train.worker order.json`.

The order names candidate, build and start; the result, with validation play, is written beside
the policy. Progress goes to standard output, one JSON object a line.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from schemas.config import FlywheelConfig
from schemas.dataset import Pair, Scenario, Trajectory
from schemas.errors import FlywheelError
from tasks.rollout.environment import World, open_world, validation
from warehouse.tables import Warehouse

RESULT = "result.json"
Row = TypeVar("Row", Pair, Trajectory)


class Order(msgspec.Struct, frozen=True):
    """What a worker is to do."""

    candidate: str
    config: dict[str, Any]
    build: str
    start: str | None
    seed: int
    folder: str
    """Result and policy go here."""
    threads: int
    code: str
    """Digest of the code that trains and plays: other code, other order."""


def work(order: Order) -> dict[str, Any]:
    """Train a candidate, play the validation scenarios, save policy and result.

    Returns:
        The result, as it stands in `result.json`.
    """
    from models.chat import renders
    from models.policy import save_policy, use_threads
    from tasks.train.monitors import health
    from tasks.train.stages.bench import Bench
    from tasks.train.stages.route import train_route

    use_threads(order.threads)
    config = FlywheelConfig.model_validate(order.config)
    folder = Path(order.folder)
    began = time.perf_counter()
    world = open_world(config)
    try:
        bench = Bench(
            config=config, world=world,
            successes=[
                t
                for t in _rows(config, "trajectories", order.build, Trajectory, use="sft")
                if renders(t.messages)
            ],
            pairs=[
                p
                for p in _rows(config, "pairs", order.build, Pair)
                if renders([*p.prompt, *p.chosen, *p.rejected])
            ],
            unpaired=[
                t
                for t in _rows(config, "trajectories", order.build, Trajectory, use="kto")
                if renders(t.messages)
            ],
            start=order.start, seed=order.seed, folder=folder, progress=_tell,
        )  # fmt: skip
        trained = train_route(bench, order.candidate)
        seconds = time.perf_counter() - began
        played = validate(config, world, trained.policy, validation(config))
    finally:
        world.close()
    save_policy(trained.policy, folder / "policy")
    result = {
        "name": order.candidate,
        "stages": trained.stages,
        **played,
        "seconds": seconds,
        "health": health(trained.stages[-1]["history"]),
        "history": trained.stages[-1]["history"],
        "policy": str(folder / "policy"),
    }
    part = folder / f".{RESULT}"
    part.write_text(json.dumps(result))
    part.replace(folder / RESULT)
    return result


def validate(
    config: FlywheelConfig, world: World, policy: Any, scenarios: list[Scenario]
) -> dict[str, Any]:
    """Play the validation scenarios: what chooses among candidates.

    Returns:
        `validation_greedy` and `validation_sampled` success, and `validation`, their mean: greedy
        is what the gate asks for, sampled is what production serves and the more sensitive one.
    """
    from tasks.rollout.play import play_loaded

    found = {}
    for name, temperature, samples in (("greedy", 0.0, 1), ("sampled", 1.0, 2)):
        rollouts = play_loaded(
            config, world, policy, scenarios, samples=samples, temperature=temperature,
            seed=config.seed + 61,
            progress=lambda stage, done, total, note="": _tell("validation", done, total),  # noqa: ARG005 - Progress
        )  # fmt: skip
        judged = [r.reward for r in rollouts if r.reward is not None]
        found[f"validation_{name}"] = sum(judged) / max(len(judged), 1)
    score = (found["validation_greedy"] + found["validation_sampled"]) / 2
    return {"validation": score, **found, "validation_n": len(scenarios)}


def _rows(
    config: FlywheelConfig, table: str, build: str, kind: type[Row], use: str | None = None
) -> list[Row]:
    warehouse = Warehouse(config.home)
    if not warehouse.exists(table):
        return []
    found = warehouse.read(table, where={"build": build, **({"use": use} if use else {})})
    # Rows of a build made before a column came to be have none there: its default holds.
    told = ({k: v for k, v in row.items() if v is not None} for row in found.to_pylist())
    return [msgspec.convert(row, kind) for row in told]


def _tell(stage: str, done: int, total: int) -> None:
    sys.stdout.write(json.dumps({"stage": stage, "done": done, "total": total}) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Do the order named on the command line.

    Returns:
        0 when done; 1 after a known error, which stands in `result.json`.
    """
    order = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order)
    try:
        work(order)
    except FlywheelError as error:
        failed = {"name": order.candidate, "error": error.message, "next": error.next_step}
        (Path(order.folder) / RESULT).write_text(json.dumps(failed))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
