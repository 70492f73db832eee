"""The monitors of a training run: what its rules saw, held to how often a remedy may be used.

Nothing here touches a model. What was seen is a plain record, so that a resumed run goes on with
it.
"""

from __future__ import annotations

import math

import msgspec

from models.trainers.rules import RULES, Decision, Kind, Look, Seen, in_order, not_a_number, take_in
from schemas.monitor_config import MonitorConfig

_LIMITS = {"halve_rate": "halvings", "raise_temperature": "temperature_raises"}
_RANKS = ("raise_temperature", "halve_rate", "roll_back", "stop", "roll_back_and_stop")


class Judgement(msgspec.Struct, frozen=True):
    """What the monitors make of one row."""

    decisions: list[Decision]
    healthy: bool
    """Whether weights may count as good, by this row."""


class Monitors:
    """The monitors of one run.

    Args:
        config: Their limits.
        kind: What the run learns from.
        guess: Loss of guessing all tokens alike (nats a token); an imitation that is worse has
            diverged. None where it is not known.
    """

    def __init__(self, config: MonitorConfig, kind: Kind, guess: float | None = None) -> None:
        self._config = config
        self._kind = kind
        best = {"loss": guess} if guess is not None and kind == "imitation" else {}
        self.seen = Seen(best=best)

    def judge(self, step: int, of: int, row: dict[str, float]) -> Judgement:
        """Judge a logged row.

        Args:
            step: Optimizer steps done.
            of: Optimizer steps of the whole run.
            row: What was logged.
        """
        take_in(self.seen, row, self._config.window)
        look = Look(self._config, self._kind, self.seen, step, of, row)
        found = [decision for rule in RULES[self._kind] if (decision := rule(look)) is not None]
        decisions = self._within_limits(found)
        acting = [d for d in decisions if d.remedy != "none"]
        healthy = not acting and in_order(look)
        self._forget(acting)
        return Judgement(decisions, healthy)

    def broken(self, what: str) -> list[Decision]:
        """Judge numbers that are none, found before any row told them.

        Args:
            what: `the gradient` or `a weight`.
        """
        decisions = self._within_limits([not_a_number(what)])
        self._forget(decisions)
        return decisions

    def probed(self, score: float) -> Judgement:
        """Judge a probe: the share of held-out scenarios that the policy solves as it is.

        A fall counts when it is more than the limit and more than twice its standard error.
        """
        best = max(score, self.seen.best.get("probe", score))
        self.seen.best["probe"] = best
        share = min(1.0, max(0.0, (best + score) / 2))
        error = math.sqrt(2 * share * (1 - share) / self._config.probe_scenarios)
        fall, limit = best - score, max(self._config.probe_fall, 2 * error)
        if fall <= limit:
            return Judgement([], fall <= limit / 2)
        saw = f"held-out success fell from {best:.2f} to {score:.2f} (limit {limit:.2f})"
        return Judgement([Decision("probe", saw, "roll_back_and_stop")], healthy=False)

    def _within_limits(self, found: list[Decision]) -> list[Decision]:
        """Keep the one remedy that weighs most, hold it to its limit, and say nothing twice."""
        wanted = [d for d in found if d.remedy != "none"]
        first = max(wanted, key=lambda d: _RANKS.index(d.remedy), default=None)
        kept = [self._limited(first)] if first is not None else []
        remarks = [*(d for d in kept if d.remedy == "none"), *(d for d in found if d not in wanted)]
        told = [d for d in kept if d.remedy != "none"]
        for remark in remarks:
            if remark.monitor not in self.seen.told:
                self.seen.told.append(remark.monitor)
                told.append(remark)
        return told

    def _limited(self, decision: Decision) -> Decision:
        """Count a remedy's use; past its limit it is a remark, and a roll-back the end."""
        used = self.seen.used.get(decision.remedy, 0)
        if decision.remedy == "roll_back" and used >= self._config.rollbacks:
            return msgspec.structs.replace(decision, remedy="roll_back_and_stop")
        if decision.remedy in _LIMITS:
            limit = int(getattr(self._config, _LIMITS[decision.remedy]))
            if used >= limit:
                spent = f"as often as it may be ({limit})"
                return msgspec.structs.replace(decision, remedy="none", spent=spent)
        self.seen.used[decision.remedy] = used + 1
        return decision

    def _forget(self, acting: list[Decision]) -> None:
        """Judge what comes after a remedy by itself."""
        if acting:
            self.seen.recent.clear()
            self.seen.last_reward = None
