"""The night's recipe: which candidates compete, how they are compared, and which one goes on.

What the data supports is asked first, then what the start gets wrong; the candidates that are left
are trained from the same start, the worse ones are stopped early, and validation play chooses.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError, TrainingError
from schemas.progress import Progress, report
from tasks.rollout.environment import validation
from tasks.rollout.version import train_version
from tasks.train.halving import Budget, Standing, halve
from tasks.train.order import Order
from tasks.train.support import PLAY, Evidence, idle_play, unsupported
from tasks.train.verdict import verdict
from tasks.train.workers import Workers

FIRST = "sft"
"""Who makes the first night's start."""
LOWER_RUNGS = 0.5
"""Share of the validation scenarios that are played on the rungs before the last."""
_LONGEST_FIRST = ("rloo", "grpo", "rejection", "dpo", "kto", "off_policy", "sft")
"""So that the last process does not start when the others are done."""


def train(
    config: FlywheelConfig, *, night: str, build: str, start: str | None, run_dir: Path,
    progress: Progress = report,
) -> dict[str, Any]:  # fmt: skip
    """Train the night's candidates and choose one by validation play.

    Args:
        config: Names the candidates and their recipes.
        night: `YYYY-MM-DD`; seeds the night's order and play.
        build: Digest of the build to learn from.
        start: Folder of the policy to start from; None on the first night.
        run_dir: The night's work folder.
        progress: Told about each candidate's steps.

    Returns:
        `candidates` (name, stages, validation, seconds, health, history, rungs, stopped_at,
        decided), `chosen`, `reason`, `policies` (candidate that came as far as the chosen one ->
        folder), `start`, `start_validation` and `diagnosis` (None where there was no play to be
        weighed).

    Raises:
        ConfigurationError: The first night has no sft, and so nothing to start from.
        TrainingError: The data supports no candidate, or none could be trained.
    """
    names = config.train.later_nights if start else config.train.first_night
    if start is None and FIRST not in names:
        raise ConfigurationError(
            f"train.first_night = {list(names)} has nothing to start from.",
            "Add sft to train.first_night.",
        )
    validation(config)  # too few scenarios are found out now, not after hours
    missing = unsupported({name: name for name in names}, Evidence(config, build))
    if start is None and FIRST in missing:
        raise TrainingError(
            f"The first night has nothing to start from: {missing[FIRST]}.",
            "Give it more logs with feedback, or lower build.sft_confidence.",
        )
    with Workers(run_dir / "candidates", config.train.threads, progress) as workers:
        contest = Contest(config, night, build, run_dir / "candidates", workers)
        return contest.run(start, names, missing)


class Contest:
    """One night's candidates, from the start to the choice.

    Args:
        config: Recipes, rungs and budget.
        night: `YYYY-MM-DD`.
        build: Digest of the build.
        folder: A folder a candidate is made in it.
        workers: Who does the work.
    """

    def __init__(
        self, config: FlywheelConfig, night: str, build: str, folder: Path, workers: Workers
    ) -> None:
        self._config, self._night, self._build = config, night, build
        self._folder, self._workers = folder, workers
        self._budget = Budget(60 * config.train.budget_minutes, config.train.processes)

    def run(
        self, start: str | None, names: Sequence[str], missing: Mapping[str, str]
    ) -> dict[str, Any]:
        """Train, compare and choose; arguments and result are those of `train`."""
        standings: dict[str, Standing] = {}
        routes = {name: name for name in names if name not in missing}
        base = start
        if base is None:
            standings |= halve([FIRST], (1.0,), 1.0, self._round({FIRST: FIRST}, None))
            base = _policy_of(standings[FIRST])
            del routes[FIRST]
            routes = {name: name.removeprefix(f"{FIRST}+") for name in routes}
        looked = self._look(base, routes, score=start is not None)
        idle: dict[str, str] = {}
        if looked.get("diagnosis", {}).get("attempts"):  # of nothing judged nothing is known
            least = self._config.train.monitors.mixed_low
            idle = idle_play(routes, looked["diagnosis"]["mixed"], least)
        routes = {name: route for name, route in routes.items() if name not in idle}
        rules = self._config.train
        standings |= halve(list(routes), rules.rungs, rules.keep, self._round(routes, base))
        left_out = {**missing, **idle}
        score = looked.get("score")
        return {
            **verdict(names, standings, left_out, None if score and "error" in score else score),
            "start": start, "diagnosis": _told(looked),
        }  # fmt: skip

    def _look(
        self, base: str, routes: Mapping[str, str], *, score: bool
    ) -> dict[str, dict[str, Any]]:
        """Score the start, and diagnose it where a route begins with play.

        Returns:
            `score` and `diagnosis`, where they were asked for; one that failed has `error`.
        """
        asked = {}
        if score:
            asked["score"] = self.order("start", "", base, kind="score")
        if any(route.split("+")[0] in PLAY for route in routes.values()):
            asked["diagnosis"] = self.order("diagnosis", "", base, kind="diagnose")
        results = self._together([(order, None) for order in asked.values()])
        return {
            what: found for what, found in zip(asked, results, strict=True) if found is not None
        }

    def _round(self, routes: Mapping[str, str], base: str | None) -> Any:
        """Make what trains candidates from a start up to a share of their routes."""

        def train_to(
            names: Sequence[str], until: float, part: float
        ) -> Mapping[str, dict[str, Any]]:
            share = 1.0 if until == 1.0 else LOWER_RUNGS
            first = sorted(names, key=lambda name: _cost(routes[name]))
            orders = [
                self.order(name, routes[name], base, until=until, validation=share)
                for name in first
            ]
            found = self._together([(order, part) for order in orders])
            return {o.candidate: f for o, f in zip(orders, found, strict=True) if f is not None}

        return train_to

    def _together(
        self, orders: Sequence[tuple[Order, float | None]]
    ) -> list[dict[str, Any] | None]:
        """Do orders side by side, each within its share of the time that the round has.

        Args:
            orders: Each with the share of what is left that all of them may take together; None
                does not limit it.

        Returns:
            Their results; None for one that was not begun because the time was spent.
        """
        waiting, lock = len(orders), threading.Lock()

        def do(order: Order, part: float | None) -> dict[str, Any] | None:
            nonlocal waiting
            with lock:
                seconds = None if part is None else self._budget.share(waiting, part)
                waiting -= 1
            return None if seconds == 0 else self._workers.do(order, seconds)

        with ThreadPoolExecutor(max_workers=self._config.train.processes) as pool:
            try:
                return list(pool.map(do, *zip(*orders, strict=True))) if orders else []
            except BaseException:  # interrupted: nobody waits for the workers any more
                pool.shutdown(wait=False, cancel_futures=True)
                self._workers.close()
                raise

    def order(self, name: str, route: str, start: str | None, **how: Any) -> Order:
        """Write down what a worker is to do: everything that decides its result."""
        config = self._config
        seed = config.seed * 1000 + int(self._night.replace("-", "")) % 1000
        return Order(
            candidate=name, route=route, config=config.model_dump(mode="json"), build=self._build,
            start=start, seed=seed, folder=str((self._folder / name).resolve()),
            threads=config.train.threads, code=train_version(), **how,
        )  # fmt: skip


def _cost(route: str) -> int:
    """Place a route among those of a round, the longest first."""
    return _LONGEST_FIRST.index(route.rsplit("+", maxsplit=1)[-1])


def _policy_of(first: Standing) -> str:
    """Give the policy that the first night's other candidates start from.

    Raises:
        TrainingError: It could not be trained.
    """
    if first.error is not None or not first.results:
        told = first.error or {"error": first.stopped, "next": "Raise train.budget_minutes."}
        raise TrainingError(
            f"No candidate could be trained: {told['error']}", str(told.get("next", ""))
        )
    return str(first.results[-1][1]["policy"])


def _told(looked: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Give the start's diagnosis, with a line for what of the look at the start failed."""
    failed = [f"no {what}: {found['error']}" for what, found in looked.items() if "error" in found]
    diagnosis = looked.get("diagnosis")
    if diagnosis is None or "error" in diagnosis:
        return {"attempts": 0, "lines": failed} if failed else None
    return {**diagnosis, "lines": [*failed, *diagnosis["lines"]]}
