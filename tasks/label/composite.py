"""The composite reward `R = a * success - b * cost - c * risk`, each term kept apart."""

from __future__ import annotations

from schemas.label_config import LabelConfig
from tasks.label.block import Floats


def total_of(success: Floats, cost: Floats, risk: Floats, config: LabelConfig) -> Floats:
    """Combine the terms; NaN where success is NaN (unlabelled)."""
    return config.success_weight * success - config.cost_weight * cost - config.risk_weight * risk
