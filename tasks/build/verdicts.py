"""One labelled episode in narrow columns: all that choosing needs, without its messages."""

from __future__ import annotations

from typing import NamedTuple

from warehouse.catalog import Catalog


class Verdict(NamedTuple):
    """A labelled episode to choose from."""

    episode_id: str
    night: str
    scenario_id: str | None
    session_id: str | None
    question: str
    body_digest: str
    state: str
    confidence: float
    total: float | None

    @property
    def problem(self) -> str:
        """Name what was to be solved: the scenario, or the question where there is none."""
        return self.scenario_id or f"question:{self.question}"


def read_verdicts(catalog: Catalog) -> list[Verdict]:
    """Read all labelled episodes, by id."""
    return [Verdict(**row) for row in catalog.query("verdicts").to_pylist()]


def best_first(verdict: Verdict) -> tuple[float, float, str]:
    """Order episodes by confidence, then composite return, then id."""
    return (-verdict.confidence, -(verdict.total or 0.0), verdict.episode_id)
