"""The arms of the ablations: a route from a start, with one factor changed from the default."""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.digest import digest


class Start(NamedTuple):
    """A policy that arms begin from."""

    sft: dict[str, Any]
    """Changes to the recipe."""
    verified: int = 0
    """Imitate so many verified successes; 0 imitates the build's, chosen by signals."""


class Arm(NamedTuple):
    """What is compared."""

    start: str
    route: str
    train: dict[str, Any]
    """Changes to the training configuration."""

    def key(self) -> str:
        """Name the arm by what it is."""
        return digest(repr((self.start, self.route, sorted(self.train.items()))), 10)


STARTS = {
    "signals": Start({}),
    "verified": Start({"epochs": 1.5}, 4000),
    "strong": Start({"epochs": 2.5}, 5000),
}


def _arms() -> dict[str, Arm]:
    """One factor at a time from the default."""
    grpo: dict[str, dict[str, Any]] = {
        "grpo": {},
        "grpo-per-step": {"process_weight": 0.5},
        "grpo-group-scaling": {"scale_rewards": "group"},
        "grpo-kl-penalty": {"beta": 0.05},
        "grpo-last-weights": {"average_last": 0.0},
        "grpo-even-scenarios": {"curriculum": False},
        "grpo-entropy-bonus": {"entropy_coef": 0.01},
        "grpo-60-steps": {"steps": 60},
        "grpo-cispo": {"loss_type": "cispo"},
        "grpo-gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    }
    dpo: dict[str, dict[str, Any]] = {
        "dpo": {},
        "dpo-stock-mask": {"agent_tokens_only": False},
        "dpo-logged": {"scenarios": 0},
        "dpo-logged-stock-mask": {"scenarios": 0, "agent_tokens_only": False},
        "dpo-logged-decision-points": {"scenarios": 0, "kinds": ("decision_point",)},
    }
    found = {name: Arm("signals", "grpo", {"grpo": changed}) for name, changed in grpo.items()}
    found |= {name: Arm("signals", "dpo", {"dpo": changed}) for name, changed in dpo.items()}
    for start in STARTS:
        mark = "" if start == "signals" else f"{start}:"
        found[f"{mark}grpo"] = Arm(start, "grpo", {})
        found[f"{mark}rloo"] = Arm(start, "rloo", {})
        found[f"{mark}rejection"] = Arm(start, "rejection", {})
        found[f"{mark}dpo"] = Arm(start, "dpo", {})
    found["kto"] = Arm("signals", "kto", {})
    return found


ARMS = _arms()
