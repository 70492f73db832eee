"""Where the champion stands: against the logged agent, and what on-policy learning has won."""

from __future__ import annotations

from typing import Any

from schemas.config import FlywheelConfig
from schemas.progress import Progress, report
from tasks.evaluate.attempts import CHAMPION, LOGGED, read_attempts
from tasks.evaluate.compare import paired_difference
from tasks.evaluate.evaluate import evaluate
from tasks.evaluate.metrics import clustered_mean, scenario_means
from warehouse.tables import Warehouse

ON_POLICY = {"dpo", "grpo", "rloo", "rejection"}
"""Stages that learn from the policy's own play."""
SHORT = {"frozen_params": "params", "frozen_compositions": "compositions"}
"""Split in the tables -> its short name in results."""


def standing(config: FlywheelConfig, evaluation: dict[str, Any], winner: str) -> dict[str, Any]:
    """Compare a winner with the logged agent, by kind of frozen scenarios.

    Args:
        config: Where the tables are, and the seed of the bootstrap.
        evaluation: What the contest returned.
        winner: Name in its `models`: the challenger's, or `champion`.

    Returns:
        `params` and `compositions`, each with greedy success of `champion` and `logged_agent`,
        the champion's `sampled` success, `n`, and `ci95` of champion minus logged agent.
    """
    warehouse = Warehouse(config.home)
    mine, theirs = (
        read_attempts(warehouse, evaluation["models"][name]["evaluation"])
        for name in (winner, LOGGED)
    )
    found = {}
    for split, short in SHORT.items():
        ours = [a for a in mine if a.split == split]
        a = _greedy(ours)
        b = _greedy([x for x in theirs if x.split == split])
        sampled = scenario_means([x for x in ours if x.mode == "sampled"])
        gain = paired_difference(a, b, config.seed)
        found[short] = {
            "champion": clustered_mean((c, v) for c, _, v in a).estimate,
            "logged_agent": clustered_mean((c, v) for c, _, v in b).estimate,
            "sampled": clustered_mean(sampled.values()).estimate,
            "n": gain.n, "ci95": [gain.low, gain.high],
        }  # fmt: skip
    return found


def on_policy_gain(
    config: FlywheelConfig, *, night: str, train: dict[str, Any], evaluation: dict[str, Any],
    progress: Progress = report,
) -> dict[str, Any] | None:  # fmt: skip
    """Measure what a promoted on-policy candidate wins over supervised learning alone.

    The baseline is the night's own SFT candidate, else the champion before. Call it after the
    decision: the frozen scenarios judge here, they never choose.

    Args:
        config: What is played.
        night: `YYYY-MM-DD`.
        train: What the train stage returned.
        evaluation: What the contest returned.
        progress: Told about the baseline's play.

    Returns:
        `night`, `candidate`, `baseline`, `difference` and `ci95` on all frozen scenarios, greedy;
        None when the challenger was not an on-policy one.
    """
    name = evaluation["challenger"]
    if ON_POLICY.isdisjoint(name.split("+")):
        return None
    models, baseline = evaluation["models"], CHAMPION
    if "sft" in train["policies"]:
        baseline = "sft"
        models = models | evaluate(
            config, night=night, candidates={"sft": train["policies"]["sft"]}, progress=progress
        )["models"]  # fmt: skip
    warehouse = Warehouse(config.home)
    a, b = (
        _greedy(read_attempts(warehouse, models[who]["evaluation"])) for who in (name, baseline)
    )
    gain = paired_difference(a, b, config.seed)
    return {
        "night": night, "candidate": name, "baseline": baseline, "difference": gain.estimate,
        "ci95": [gain.low, gain.high],
    }  # fmt: skip


def _greedy(attempts: list[Any]) -> list[tuple[str, str, float]]:
    """Give (specification, scenario, success) of greedy attempts."""
    return [(a.specification, a.scenario_id, a.success) for a in attempts if a.mode == "greedy"]
