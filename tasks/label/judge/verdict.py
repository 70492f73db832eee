"""A verdict: what a judge says of one episode, and what every judge can be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from schemas.plugins import Seen

ALIKE = "the group's episodes are alike"
"""Reason to abstain: there is nothing to compare."""


class Verdict(NamedTuple):
    """What a judge says of one episode."""

    score: float | None
    """How good it is beside the others of its group, fraction in [0, 1]; None abstains."""
    reason: str = ""
    """Why it abstained; empty where it did not."""


Verdicts = list[Verdict] | None
"""Those of one group, in its order; None where the group was not asked about."""


class Judge(Protocol):
    """Compares the episodes of groups."""

    asked: int
    """Requests made."""
    cached: int
    """Groups that needed none, because all answers were kept from before."""
    tokens: int
    """Tokens that the answers say were used."""

    @property
    def stopped(self) -> str | None:
        """Why it asks no more; None while it does, or where only the budget is spent."""

    def compare(self, groups: Sequence[Sequence[Seen]]) -> list[Verdicts]:
        """Judge some groups; what is over the night's budget is None."""
