"""Rows of the `labels` table, from evidence, steps and what the evidence weighs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from schemas.label_config import LabelConfig
from schemas.tables import SCHEMAS
from tasks.label.composite import cost_of, risk_of, total_of
from tasks.label.facts import Facts, Steps
from tasks.label.outcome import VERIFIED_LOG_ODDS, VERIFIED_SUCCESS, judge
from tasks.label.process import discounted_returns, step_rewards
from tasks.label.reliability import Floats, Reliability
from tasks.label.signals import KINDS


def label_rows(
    facts: Facts,
    steps: Steps,
    reliability: Reliability,
    config: LabelConfig,
    about: dict[str, list[Any]],
) -> pa.Table:
    """Make the labels of some episodes.

    Args:
        facts: The episodes' evidence.
        steps: Their steps, in the same order.
        reliability: What each kind of evidence weighs.
        config: Weights and thresholds.
        about: The columns that say which label it is (version, time, revision, digest).
    """
    verdicts = judge(facts.evidence, facts.outcome, facts.broken, reliability, config)
    calls = steps.per_episode(steps.calls)
    cost = cost_of(calls, int(config.cost.tool_calls or 8))
    risk = risk_of(calls, steps.per_episode(steps.malformed), steps.per_episode(steps.errors))
    total = total_of(verdicts.success, cost, risk, config)
    rewards = step_rewards(steps.malformed, steps.errors, steps.repeated)
    returns = discounted_returns(
        rewards, steps.lengths.tolist(), np.nan_to_num(total), config.discount
    )
    columns = about | {
        "episode_id": facts.episode_id,
        "state": verdicts.state.tolist(),
        "success": absent(verdicts.success),
        "confidence": verdicts.confidence,
        "decided_by": [name or None for name in verdicts.decided_by.tolist()],
        "cost": cost,
        "risk": risk,
        "total": absent(total),
        "infrastructure_error": facts.broken,
        "evidence": evidence_rows(facts, verdicts.weights),
        "step_rewards": lists(rewards, steps),
        "step_returns": lists(returns, steps),
    }
    schema = SCHEMAS["labels"]
    absentees = [None] * len(facts.episode_id)
    arrays = [pa.array(columns.get(field.name, absentees), type=field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def evidence_rows(facts: Facts, weights: Floats) -> list[list[dict[str, Any]]]:
    """Write each episode's evidence as the label keeps it."""
    rows: list[list[dict[str, Any]]] = [[] for _ in facts.episode_id]
    for row in np.flatnonzero(~np.isnan(facts.outcome)):
        value = float(facts.outcome[row])
        weight = VERIFIED_LOG_ODDS if value >= VERIFIED_SUCCESS else -VERIFIED_LOG_ODDS
        rows[row].append({"kind": "outcome", "value": value, "weight": weight})
    for row, column in zip(*np.nonzero(facts.evidence), strict=True):
        kind = KINDS[column]
        value = 1.0 if kind.log_odds > 0 else -1.0
        rows[row].append({"kind": kind.name, "value": value, "weight": float(weights[row, column])})
    return rows


def absent(values: Floats) -> list[float | None]:
    """Turn NaN into None."""
    return [None if np.isnan(value) else value for value in values.tolist()]


def lists(values: Floats, steps: Steps) -> pa.Array:
    """Fold values of steps into one list an episode."""
    offsets = np.concatenate([[0], np.cumsum(steps.lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.float64()))
