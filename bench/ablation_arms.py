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
        said: list[Any] = [made.sft, made.verified, self.route, recipes]
        if "monitors" in self.train:
            said.append(config.monitors.model_dump(mode="json"))
        return digest(repr(tuple(said)), 10)


STARTS = {
    "signals": Start({}),
    "verified": Start({"epochs": 1.5}, 4000),
    "strong": Start({"epochs": 2.5}, 5000),
}


FAST = {"learning_rate": 4e-4, "steps": 30, "average_last": 0.4}
"""The recipe of play that most comparisons were made from; the default is slower by now, and keeps
its last weights."""


def _arms() -> dict[str, Arm]:
    """One factor at a time, from `grpo-fast` or, the first ones, from curriculum and batch."""
    drawn = {**FAST, "curriculum": True, "scale_rewards": "batch"}
    grpo: dict[str, dict[str, Any]] = {
        "grpo": {},
        "grpo-fast": FAST,
        "grpo-mean-weights": {"average_last": 0.4},
        "grpo-30-steps": {"steps": 30, "average_last": 0.4},
        "grpo-fast-batch-scaling": {**FAST, "scale_rewards": "batch"},
        "grpo-curriculum": drawn,
        "grpo-curriculum-per-step": {**drawn, "process_weight": 0.5},
        "grpo-curriculum-group-scaling": {**FAST, "curriculum": True},
        "grpo-curriculum-kl-penalty": {**drawn, "beta": 0.05},
        "grpo-curriculum-60-steps": {**drawn, "steps": 60},
        "grpo-fast-last-weights": {**FAST, "average_last": 0.0},
        "grpo-fast-entropy-bonus": {**FAST, "entropy_coef": 0.01},
        "grpo-fast-cispo": {**FAST, "loss_type": "cispo"},
        "grpo-fast-gspo": {
            **FAST, "loss_type": "grpo", "importance_sampling_level": "sequence",
        },
    }  # fmt: skip
    dpo: dict[str, dict[str, Any]] = {
        "dpo": {},
        "dpo-stock-mask": {"agent_tokens_only": False},
        "dpo-logged": {"scenarios": 0},
        "dpo-logged-decision-points": {"scenarios": 0, "kinds": ("decision_point",)},
    }
    found = {name: Arm("signals", "grpo", {"grpo": changed}) for name, changed in grpo.items()}
    found["rloo-fast"] = Arm("signals", "rloo", {"rloo": FAST})
    found |= {name: Arm("signals", "dpo", {"dpo": changed}) for name, changed in dpo.items()}
    found |= {name: Arm("signals", name, {}) for name in ("kto", "rejection")}
    found["sft+grpo-fast"] = Arm("signals", "sft+grpo", {"grpo": FAST})
    found["verified:sft+grpo-fast"] = Arm("verified", "sft+grpo", {"grpo": FAST})
    for start in STARTS:
        if start != "signals":
            found[f"{start}:grpo"] = Arm(start, "grpo", {})
            found[f"{start}:grpo-fast"] = Arm(start, "grpo", {"grpo": FAST})
            mean = Arm(start, "grpo", {"grpo": {"average_last": 0.4}})
            found[f"{start}:grpo-mean-weights"] = mean
    short = {"steps": 30, "average_last": 0.4}
    found["verified:grpo-30-steps"] = Arm("verified", "grpo", {"grpo": short})
    kept_near = {**FAST, "beta": 0.05}
    found["verified:grpo-fast-kl-penalty"] = Arm("verified", "grpo", {"grpo": kept_near})
    band = {"grpo": FAST, "monitors": {"kl_high": 0.05}}
    found["grpo-fast-kl-band"] = Arm("signals", "grpo", band)
    found["verified:grpo-fast-kl-band"] = Arm("verified", "grpo", band)
    return found


ARMS = _arms()
