"""The arms of the ablations: a route from a start, with one factor changed from the default."""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.digest import digest
from schemas.training_config import TrainConfig


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
        """Name the arm by what it comes to: other defaults, another arm."""
        config = TrainConfig.model_validate(self.train)
        recipes = [
            getattr(config, stage).model_dump(mode="json") for stage in self.route.split("+")
        ]
        made = STARTS[self.start]
        return digest(repr((made.sft, made.verified, self.route, recipes)), 10)


STARTS = {
    "signals": Start({}),
    "verified": Start({"epochs": 1.5}, 4000),
    "strong": Start({"epochs": 2.5}, 5000),
}


def _arms() -> dict[str, Arm]:
    """One factor at a time; the first comparisons were made from curriculum and batch."""
    drawn = {"curriculum": True, "scale_rewards": "batch"}
    grpo: dict[str, dict[str, Any]] = {
        "grpo": {},
        "grpo-batch-scaling": {"scale_rewards": "batch"},
        "grpo-curriculum": drawn,
        "grpo-curriculum-per-step": {**drawn, "process_weight": 0.5},
        "grpo-curriculum-group-scaling": {"curriculum": True},
        "grpo-curriculum-kl-penalty": {**drawn, "beta": 0.05},
        "grpo-curriculum-60-steps": {**drawn, "steps": 60},
        "grpo-per-step": {"process_weight": 0.5},
        "grpo-last-weights": {"average_last": 0.0},
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
    found |= {name: Arm("signals", name, {}) for name in ("kto", "rloo", "rejection", "sft+grpo")}
    for start in STARTS:
        if start != "signals":
            for route in ("grpo", "rloo", "rejection", "dpo"):
                found[f"{start}:{route}"] = Arm(start, route, {})
    return found


ARMS = _arms()
