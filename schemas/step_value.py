"""A step value: what became of an action in a state, summed over one run of the label stage."""

from __future__ import annotations

import msgspec


class StepValue(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of the label stage adds to one (state, action).

    Rows are sums, so that a night only appends: the value of an action is the sum of `returns` over
    the sum of `visits`. A new label of an old episode appends what it takes back, and what it adds.
    """

    state: int
    """Digest of the problem and the chain of actions and results so far; never 0."""
    action: int
    """Digest of the step's calls, or of answering."""
    depth: int
    """Acting steps before this one."""
    visits: int
    """Episodes that acted so; negative where labels are taken back."""
    returns: float
    """Sum of their discounted returns-to-go from here."""
    squares: float
    """Sum of the squares of these."""
