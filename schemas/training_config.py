"""Training configuration: which policy, which candidates, and what they may cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from schemas.monitor_config import MonitorConfig
from schemas.recipe_config import (
    DpoConfig,
    GrpoConfig,
    KtoConfig,
    OffPolicyConfig,
    RejectionConfig,
    RlooConfig,
    SftConfig,
)
from schemas.section import Section

STAGES = ("sft", "dpo", "kto", "grpo", "rloo", "rejection", "off_policy")
"""What a candidate's route is made of, joined by `+`: `sft+dpo+grpo`."""


def _known_stages(route: str) -> str:
    """Refuse a route with a stage that does not exist."""
    unknown = [stage for stage in route.split("+") if stage not in STAGES]
    if unknown:
        raise ValueError(f"no stage {unknown[0]!r}; join by + of {', '.join(STAGES)}")
    return route


Route = Annotated[str, AfterValidator(_known_stages)]


class TinyPolicy(Section):
    """A small Qwen3 trained from a random start, with a tokenizer trained on the night's logs."""

    kind: Literal["tiny"] = "tiny"
    """Which policy: `tiny` or `hub`."""
    hidden_size: int = Field(128, ge=16, multiple_of=16)
    """Width of the residual stream."""
    layers: int = Field(3, ge=1)
    """Number of transformer blocks."""
    heads: int = Field(4, ge=1)
    """Attention heads; divides `hidden_size`."""
    vocabulary: int = Field(700, ge=300)
    """Largest number of tokens the tokenizer may learn."""
    context: int = Field(512, ge=64)
    """Longest episode, tokens."""


class HubPolicy(Section):
    """A model from a hub, a folder or the registry, fine-tuned with LoRA or in full."""

    kind: Literal["hub"] = "hub"
    """Which policy: `tiny` or `hub`."""
    model: str
    """Hub id (`Qwen/Qwen3-0.6B`), folder, or version in MLflow (`models:/agent-policy/3`,
    `models:/agent-policy@champion`)."""
    lora_rank: int | None = Field(16, ge=1)
    """Rank of the LoRA adapter, merged when it is trained; None trains all weights, for which
    `dtype` should be float32: small steps are lost in bfloat16."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Precision of the weights."""
    context: int = Field(4096, ge=64)
    """Longest episode, tokens."""


Policy = Annotated[TinyPolicy | HubPolicy, Field(discriminator="kind")]


class TrainConfig(Section):
    """The policy and the candidates that compete each night."""

    policy: Policy = TinyPolicy()
    """Which policy is trained."""
    first_night: tuple[Route, ...] = ("sft",)
    """Candidates when there is no champion yet: stages joined by `+`. One must be `sft`; routes
    that begin with `sft+` go on from its policy, and so do those without it."""
    later_nights: tuple[Route, ...] = ("sft", "dpo", "kto", "grpo", "rejection")
    """Candidates when there is a champion; each starts from the champion."""
    sft: SftConfig = SftConfig()
    """Supervised fine-tuning."""
    dpo: DpoConfig = DpoConfig()
    """Preference optimisation on pairs."""
    kto: KtoConfig = KtoConfig()
    """Preference optimisation on single episodes."""
    grpo: GrpoConfig = GrpoConfig()
    """Reinforcement learning in the environment."""
    rloo: RlooConfig = RlooConfig()
    """The same with a leave-one-out baseline."""
    rejection: RejectionConfig = RejectionConfig()
    """Rejection sampling."""
    off_policy: OffPolicyConfig = OffPolicyConfig()
    """Reinforcement learning from logged episodes with log-probabilities."""
    monitors: MonitorConfig = MonitorConfig()
    """What is watched while it trains, and acted on."""
    rungs: tuple[float, ...] = (0.34, 1.0)
    """Shares of their steps after which candidates are compared; the last must be 1."""
    keep: float = Field(0.5, gt=0, le=1)
    """Share of the candidates that goes on after a rung, rounded up."""
    budget_minutes: float = Field(60.0, gt=0)
    """Most minutes that a night's training may take; what is cut short says so."""
    play_batch: int = Field(512, ge=1)
    """Episodes played side by side: what rollouts take of memory goes with it."""
    turn_share: float = Field(0.125, gt=0, le=1)
    """Longest turn of the agent, as a share of the policy's context."""
    checkpoint_steps: int = Field(20, ge=1)
    """Steps between the checkpoints that a killed stage is taken up from."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, more time."""
    processes: int = Field(2, ge=1)
    """Candidates trained side by side, one process each."""
    devices: int = Field(1, ge=1)
    """Processes that train one candidate together through accelerate: GPUs, or CPU processes."""
    threads: int = Field(1, ge=1)
    """CPU threads a training process uses when several run side by side."""
    validation_scenarios: int = Field(200, ge=20)
    """Validation scenarios that choose among candidates (greedy and sampled play)."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where tensors live."""

    @field_validator("first_night", "later_nights")
    @classmethod
    def _each_once(cls, routes: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse a candidate that is named twice."""
        if len(set(routes)) < len(routes):
            raise ValueError(f"a candidate is named twice: {', '.join(routes)}")
        return routes

    @field_validator("rungs")
    @classmethod
    def _ends_at_one(cls, rungs: tuple[float, ...]) -> tuple[float, ...]:
        """Refuse rungs that do not rise to 1."""
        if not rungs or rungs[-1] != 1.0 or sorted(set(rungs)) != list(rungs) or rungs[0] <= 0:
            raise ValueError("rungs must rise to 1, as in [0.34, 1.0]")
        return rungs
