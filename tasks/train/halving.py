"""Successive halving: candidates are compared after a share of their steps, and the best go on.

Source: Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943. Here resources are shares of
a route's steps, and what goes on is taken up from its checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Round = Callable[[Sequence[str], float, float], Mapping[str, dict[str, Any]]]
"""Trains candidates up to a share of their routes, given the share of all work to come that this
round is; gives the results of those that were begun, each with `validation` or `error`."""


class Budget:
    """The time that a night's training may take.

    Args:
        seconds: In all, from now on.
        processes: Candidates trained side by side.
        clock: Seconds that only rise.
    """

    def __init__(
        self, seconds: float, processes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._processes = clock, processes
        self._ends = clock() + seconds

    @property
    def left(self) -> float:
        """Give the seconds that are left; 0 when it is spent."""
        return max(0.0, self._ends - self._clock())

    def share(self, waiting: int, part: float = 1.0) -> float:
        """Give the seconds that the next of some candidates may take.

        Args:
            waiting: Candidates of the round that have not begun, this one included.
            part: Share of what is left that the round may take.
        """
        return self.left * part / math.ceil(waiting / self._processes)


@dataclass
class Standing:
    """How far a candidate came."""

    name: str
    results: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    """Its results, each with the share of the route that it stands for."""
    error: dict[str, Any] | None = None
    """What the worker said that failed: `error` and `next`."""
    stopped: str = ""
    """Why it did not go on, in words; empty for one that came to its end."""

    @property
    def reached(self) -> float:
        """Give the share of its route that it was scored after; 0 when it never was."""
        return self.results[-1][0] if self.results else 0.0

    @property
    def score(self) -> float:
        """Give its last validation success."""
        return float(self.results[-1][1]["validation"])


def halve(
    names: Sequence[str], rungs: Sequence[float], keep: float, train: Round
) -> dict[str, Standing]:
    """Train candidates rung by rung; after each the worse ones are stopped.

    A single candidate is trained to its end at once. Of equal scores the one named first goes on.

    Args:
        names: Candidates, in the order of the configuration.
        rungs: Shares of the routes, rising to 1.
        keep: Share of those scored that goes on, rounded up.
        train: Does one round.

    Returns:
        How far each came, in the order of `names`.
    """
    standings = {name: Standing(name) for name in names}
    going = list(names)
    for place, until in enumerate(rungs):
        if not going:
            break
        if len(going) == 1 and until < 1.0:
            continue
        found = train(going, until, _part(going, rungs[place - 1] if place else 0.0, rungs[place:],
                                          keep))  # fmt: skip
        for name in going:
            _note(standings[name], until, found.get(name))
        going = [name for name in going if not _ended(standings[name])]
        if until < 1.0:
            going = _best(going, standings, until, keep)
    return standings


def ranked(standings: Sequence[Standing]) -> list[Standing]:
    """Order candidates that can be chosen, best first: who came furthest, then by score."""
    good = [one for one in standings if one.results and one.error is None]
    return sorted(good, key=lambda one: (-one.reached, -one.score))


def points(fraction: float) -> str:
    """Write a success as percent points."""
    return f"{100 * fraction:.1f}"


def _ended(standing: Standing) -> bool:
    return standing.error is not None or bool(standing.stopped)


def _note(standing: Standing, until: float, result: dict[str, Any] | None) -> None:
    """Write down what a round came to for one candidate."""
    if result is None:
        before = f"after {standing.reached:.0%}" if standing.results else "before it began"
        standing.stopped = f"stopped {before}: the budget of time was spent"
    elif "error" in result:
        standing.error = result
    else:
        standing.results.append((until, result))


def _best(
    going: Sequence[str], standings: Mapping[str, Standing], until: float, keep: float
) -> list[str]:
    """Choose who goes on, and tell the others by whom they were beaten."""
    order = sorted(going, key=lambda name: -standings[name].score)
    stay = order[: math.ceil(len(order) * keep - 1e-9)]
    ahead = " and ".join(points(standings[name].score) for name in stay)
    for name in order[len(stay) :]:
        mine = standings[name]
        behind = mine.score < standings[stay[-1]].score
        word = "is" if behind else "is no more than"
        mine.stopped = (
            f"stopped after {until:.0%}: {points(mine.score)} {word} "
            f"{'behind ' if behind else ''}{ahead}"
        )
    return [name for name in going if name in stay]


def _part(going: Sequence[str], done: float, rungs: Sequence[float], keep: float) -> float:
    """Share of the work to come that the next rung is, if as many go on as the rule says."""
    work, count = [], len(going)
    for until in rungs:
        if count == 1 and until < 1.0:
            continue
        work.append(count * (until - done))
        count, done = math.ceil(count * keep - 1e-9), until
    return work[0] / sum(work)
