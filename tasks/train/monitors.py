"""Read what a trainer logged and say in plain words whether it was healthy.

A run that diverged is an error, not a remark: nothing good came out of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from schemas.errors import TrainingError

MIXED_GROUPS = 0.1
"""Share of groups with differing rewards below which play teaches next to nothing."""
ENTROPY = 0.005
"""Mean token entropy (nats) below which a policy no longer explores."""
TRUNCATED = 0.2
"""Share of truncated episodes above which the limits, not the policy, decide."""


def health(history: Sequence[dict[str, float]]) -> list[str]:
    """Judge a training run by its logged metrics.

    Args:
        history: Rows of metrics, oldest first, as TRL logs them.

    Returns:
        Remarks in plain words; empty when there is nothing to say.

    Raises:
        TrainingError: Loss or gradient norm is not a finite number.
    """
    for row in history:
        for name in ("loss", "grad_norm"):
            if name in row and not math.isfinite(row[name]):
                raise TrainingError(
                    f"Training diverged: {name} is {row[name]} at step {row['step']:.0f}.",
                    "Lower the learning rate of this candidate.",
                )
    remarks = []
    mixed = _last(history, "groups/mixed")
    if mixed is not None and mixed < MIXED_GROUPS:
        remarks.append(
            f"only {mixed:.0%} of the groups still differ in reward: play has little left to teach"
        )
    entropy = _last(history, "entropy")
    if mixed is not None and entropy is not None and entropy < ENTROPY:
        remarks.append(f"entropy fell to {entropy:.4f} nats a token: the policy explores no more")
    truncated = _last(history, "completions/clipped_ratio")
    if truncated is not None and truncated > TRUNCATED:
        remarks.append(f"{truncated:.0%} of the episodes ran into a length limit")
    return remarks


def _last(history: Sequence[dict[str, float]], name: str) -> float | None:
    """Average the last quarter of a metric's values; None if it was never logged."""
    values = [row[name] for row in history if name in row]
    tail = values[-max(1, len(values) // 4) :]
    return sum(tail) / len(tail) if tail else None
