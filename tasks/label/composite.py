"""The composite reward `R = a * success - b * cost - c * risk`, each term kept apart."""

from __future__ import annotations

import numpy as np

from schemas.label_config import LabelConfig
from tasks.label.reliability import Floats


def cost_of(calls: Floats, budget: int) -> Floats:
    """Give the share of the call budget that each episode spent, fraction in [0, 1]."""
    return np.asarray(np.minimum(calls / budget, 1.0), dtype=np.float64)


def risk_of(calls: Floats, malformed: Floats, errors: Floats) -> Floats:
    """Give the share of each episode's calls that were malformed or failed, in [0, 1]."""
    return np.asarray(
        np.minimum((malformed + errors) / np.maximum(calls, 1), 1.0), dtype=np.float64
    )


def total_of(success: Floats, cost: Floats, risk: Floats, config: LabelConfig) -> Floats:
    """Combine the terms; NaN where success is NaN (unlabelled)."""
    return config.success_weight * success - config.cost_weight * cost - config.risk_weight * risk
