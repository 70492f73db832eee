"""Which candidates the night's data supports, decided before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.config import FlywheelConfig
from schemas.errors import TrainingError
from tasks.rollout.environment import open_world
from warehouse.tables import Warehouse

LEAST_SUCCESSES = 20
"""Successes under which imitation learns the episodes and not the work."""
LEAST_UNPAIRED = 20
"""Episodes of either sort under which KTO has no contrast."""
PLAY = ("grpo", "rloo", "rejection")
"""Stages that learn from the policy's own play alone."""


class Evidence:
    """What a build and the environment offer to training; each is looked up when it is asked for.

    Args:
        config: Home, environment and recipes.
        build: Digest of the build.
    """

    def __init__(self, config: FlywheelConfig, build: str) -> None:
        self.config, self.build = config, build
        self._warehouse = Warehouse(config.home)

    @cached_property
    def successes(self) -> int:
        """Episodes to imitate."""
        return int(self._rows("trajectories", ["episode_id"], use="sft").num_rows)

    @cached_property
    def unpaired(self) -> tuple[int, int]:
        """Single episodes, liked and not."""
        liked = self._rows("trajectories", ["desirable"], use="kto")["desirable"]
        good = int(pc.sum(liked).as_py() or 0)
        return good, len(liked) - good

    @cached_property
    def pairs(self) -> dict[str, int]:
        """Pairs by kind."""
        kinds = self._rows("pairs", ["kind"])["kind"]
        return {c["values"]: c["counts"] for c in kinds.value_counts().to_pylist()}

    @cached_property
    def logged(self) -> int:
        """Training episodes that say with which tokens, and how likely, the agent acted."""
        found = self._warehouse.sql("known_behaviour", build=self.build)
        return int(found["episodes"][0].as_py())

    @cached_property
    def playable(self) -> bool:
        """Whether the environment has training scenarios."""
        world = open_world(self.config)
        try:
            return bool(world.draw("train", 1, 0))
        finally:
            world.close()

    def _rows(self, table: str, columns: Sequence[str], **where: Any) -> pa.Table:
        return self._warehouse.read(table, columns, where={"build": self.build, **where})


def lacking(stage: str, evidence: Evidence) -> str:
    """Say in plain words what a stage lacks; empty when it can be trained."""
    return _LACKS[stage](evidence)


def _imitation(evidence: Evidence) -> str:
    count = evidence.successes
    if count >= LEAST_SUCCESSES:
        return ""
    return f"the build has {count} successes to imitate, {LEAST_SUCCESSES} are needed"


def _preference(evidence: Evidence) -> str:
    recipe = evidence.config.train.dpo
    if any(evidence.pairs.get(kind) for kind in recipe.kinds):
        return ""
    if recipe.scenarios > 0:
        nothing = _play(evidence)
        return nothing and f"the build has no pair, and {nothing}"
    others = ", ".join(f"{n} {kind}" for kind, n in sorted(evidence.pairs.items()))
    return (
        f"the build has no pair of the kinds {', '.join(recipe.kinds)}"
        f"{f' (but {others})' if others else ''}, and train.dpo.scenarios is 0"
    )


def _liking(evidence: Evidence) -> str:
    good, bad = evidence.unpaired
    if min(good, bad) >= LEAST_UNPAIRED:
        return ""
    return (
        f"the build has {good} liked and {bad} disliked episodes, {LEAST_UNPAIRED} of each are "
        "needed"
    )


def _play(evidence: Evidence) -> str:
    if evidence.playable:
        return ""
    return f"the environment {evidence.config.environment.use} has no training scenario to play"


def _off_policy(evidence: Evidence) -> str:
    least = evidence.config.train.off_policy.least_episodes
    if evidence.logged >= least:
        return ""
    return (
        f"{evidence.logged} training episodes carry the tokens and log-probabilities that the "
        f"agent acted with, {least} are needed; dpo or kto take its place"
    )


_LACKS: Mapping[str, Callable[[Evidence], str]] = {
    "sft": _imitation, "dpo": _preference, "kto": _liking, "grpo": _play, "rloo": _play,
    "rejection": _play, "off_policy": _off_policy,
}  # fmt: skip


def unsupported(routes: Mapping[str, str], evidence: Evidence) -> dict[str, str]:
    """Say which candidates cannot be trained.

    Args:
        routes: Name of a candidate to its stages, joined by `+`.
        evidence: What there is to learn from.

    Returns:
        Their names, each with the reason.

    Raises:
        TrainingError: None can be trained.
    """
    found: dict[str, str] = {}
    for name, route in routes.items():
        for stage in route.split("+"):
            if reason := lacking(stage, evidence):
                found[name] = reason if stage == route else f"{stage}: {reason}"
                break
    if routes and len(found) == len(routes):
        told = "; ".join(f"{name}: {reason}" for name, reason in found.items())
        raise TrainingError(
            f"The night's data supports no candidate: {told}.",
            "Give it more logs with feedback, lower build.sft_confidence, or name other "
            "candidates (train.first_night, train.later_nights).",
        )
    return found


def idle_play(routes: Mapping[str, str], mixed: float, least: float) -> dict[str, str]:
    """Say which candidates have nothing to learn from the start's play.

    Only a route that begins with play is judged: a stage before it changes what play finds.
    Where nothing else is left they stay: little is more than nothing.

    Args:
        routes: Name of a candidate to its stages, joined by `+`.
        mixed: Share of the start's groups whose rewards differ.
        least: Share under which play teaches next to nothing.
    """
    if mixed >= least:
        return {}
    reason = (
        f"only {mixed:.0%} of the start's groups are mixed, {least:.0%} are needed: play has next "
        "to nothing to teach"
    )
    idle = {name: reason for name, route in routes.items() if route.split("+")[0] in PLAY}
    return idle if len(idle) < len(routes) else {}
