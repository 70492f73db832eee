"""Play before a stage learns: fresh training scenarios, several rollouts each.

What was played is kept beside the stage's checkpoints: the policy that a killed or interrupted
stage goes on with is no longer the one that played.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from models.policy import LoadedPolicy
from models.processes import is_first
from models.trainers.run import TrainerRun
from schemas.dataset import Scenario
from schemas.rollout import Rollout
from tasks.rollout.play import play_loaded
from tasks.train.stages.bench import Bench

PLAYED = "played.msgpack"


def explore(
    bench: Bench, policy: LoadedPolicy, run: TrainerRun, scenarios: int, generations: int, salt: int
) -> list[tuple[Scenario, Rollout]]:
    """Play fresh training scenarios several times each, or read what was played.

    Args:
        bench: Where scenarios come from.
        policy: Who plays.
        run: In whose folder the rollouts are kept.
        scenarios: How many scenarios.
        generations: Rollouts of each.
        salt: Tells this draw from others of the night.
    """
    if scenarios == 0:
        return []
    drawn = bench.world.draw("train", scenarios, run.seed + salt)
    kept = run.folder / PLAYED
    if kept.exists():
        rollouts = msgspec.msgpack.decode(kept.read_bytes(), type=list[Rollout])
    else:
        rollouts = play_loaded(
            bench.config, bench.world, policy, drawn, samples=generations, temperature=1.0,
            seed=run.seed + salt,
            progress=lambda stage, done, total, note="": bench.progress("play", done, total),  # noqa: ARG005 - Progress
        )  # fmt: skip
        keep(run, rollouts)
    return list(zip([s for s in drawn for _ in range(generations)], rollouts, strict=True))


def keep(run: TrainerRun, rollouts: Sequence[Rollout]) -> None:
    """Write rollouts beside a stage's checkpoints, in one piece."""
    if not is_first():
        return  # another process has played the same, and writes it
    run.folder.mkdir(parents=True, exist_ok=True)
    part = run.folder / f".{PLAYED}"
    part.write_bytes(msgspec.msgpack.encode(list(rollouts)))
    part.replace(run.folder / PLAYED)


def clean(rollout: Rollout) -> bool:
    """Tell whether an episode is one to learn from: it succeeded, well-formed and to its end."""
    return rollout.reward == 1.0 and not rollout.truncated and not rollout.malformed
