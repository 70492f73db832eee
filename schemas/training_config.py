"""Training configuration: which policy, which candidates, and their recipes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A frozen part of the configuration that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


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
    """A model from a hub id or local path, fine-tuned with LoRA or in full."""

    kind: Literal["hub"] = "hub"
    """Which policy: `tiny` or `hub`."""
    model: str
    """Hub id or local path."""
    lora_rank: int | None = Field(16, ge=1)
    """Rank of the LoRA adapter, merged when it is trained; None trains all weights."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Precision of the weights."""
    context: int = Field(4096, ge=64)
    """Longest episode, tokens."""


Policy = Annotated[TinyPolicy | HubPolicy, Field(discriminator="kind")]


class SftConfig(Section):
    """Supervised fine-tuning on successes, loss on the agent's own tokens only."""

    learning_rate: float = Field(3e-3, gt=0)
    """Peak rate of the first night (cosine, 4% warm-up)."""
    refresh_learning_rate: float = Field(3e-4, gt=0)
    """Peak rate when the night starts from a champion."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """`muon`: Muon on hidden matrices, AdamW on embeddings and norms. `adamw`: AdamW on all."""
    epochs: float = Field(3.0, gt=0)
    """Passes over the successes on the first night; later nights take one."""
    batch_size: int = Field(8, ge=1)
    """Episodes a step."""
    retold_share: float = Field(0.95, ge=0, le=1)
    """Share of episodes retold with other values in each pass; 0 for none."""


class DpoConfig(Section):
    """Direct preference optimisation on pairs, tool and user tokens masked."""

    learning_rate: float = Field(1e-4, gt=0)
    """Constant rate."""
    beta: float = Field(0.1, gt=0)
    """Strength of the pull towards the reference policy."""
    sft_weight: float = Field(0.3, ge=0)
    """Weight of the likelihood of the chosen answer beside the preference loss."""
    epochs: float = Field(1.0, gt=0)
    """Passes over the pairs."""
    batch_size: int = Field(16, ge=1)
    """Pairs a step."""
    max_pairs: int = Field(600, ge=1)
    """Most pairs used in a night."""
    kinds: tuple[Literal["episode", "decision_point", "correction", "retry"], ...] = ("episode",)
    """Kinds of logged pairs used. `retry` prefers the call that an error had asked for to the one
    before it, which teaches to guess (docs/results.md)."""
    scenarios: int = Field(150, ge=0)
    """Fresh scenarios played for pairs of the policy's own, beside those from logs; 0 for none."""
    generations: int = Field(8, ge=2)
    """Rollouts a scenario."""


class GrpoConfig(Section):
    """Group-relative policy optimisation by play in the environment."""

    learning_rate: float = Field(4e-4, gt=0)
    """Constant AdamW rate."""
    steps: int = Field(30, ge=1)
    """Optimiser steps."""
    scenarios_per_step: int = Field(24, ge=1)
    """Fresh scenarios a step."""
    generations: int = Field(8, ge=2)
    """Rollouts of one scenario: the group."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature of rollouts."""
    loss_type: Literal["grpo", "dr_grpo", "dapo", "bnpo", "cispo"] = "dapo"
    """TRL's `loss_type`."""
    scale_rewards: Literal["group", "batch", "none"] = "batch"
    """TRL's `scale_rewards`."""
    beta: float = Field(0.0, ge=0)
    """KL penalty towards the starting policy."""
    average_last: float = Field(0.4, ge=0, le=1)
    """Share of the last steps whose weights are averaged into the result; 0 keeps the last."""


class RejectionConfig(Section):
    """On-policy rejection sampling: fine-tune on the policy's own best episodes."""

    rounds: int = Field(1, ge=1)
    """Sample-and-train rounds."""
    scenarios: int = Field(250, ge=1)
    """Fresh scenarios a round."""
    generations: int = Field(8, ge=2)
    """Rollouts a scenario."""
    keep: int = Field(2, ge=1)
    """Shortest distinct clean successes kept a scenario."""
    epochs: float = Field(2.0, gt=0)
    """Passes over what was kept."""
    retold_share: float = Field(0.7, ge=0, le=1)
    """Share of the kept episodes retold with other values in each pass; 0 for none."""
    learning_rate: float = Field(6e-4, gt=0)
    """Peak rate; the optimizer is that of `sft`."""


class TrainConfig(Section):
    """The policy and the candidates that compete each night."""

    policy: Policy = TinyPolicy()
    """Which policy is trained."""
    first_night: tuple[Literal["sft", "dpo", "grpo", "rejection"], ...] = ("sft",)
    """Candidates when there is no champion yet; each starts from the night's SFT policy."""
    later_nights: tuple[Literal["sft", "dpo", "grpo", "rejection"], ...] = (
        "sft", "dpo", "grpo", "rejection",
    )  # fmt: skip
    """Candidates when there is a champion; each starts from the champion."""
    sft: SftConfig = SftConfig()
    """Supervised fine-tuning."""
    dpo: DpoConfig = DpoConfig()
    """Preference optimisation."""
    grpo: GrpoConfig = GrpoConfig()
    """Reinforcement learning in the environment."""
    rejection: RejectionConfig = RejectionConfig()
    """Rejection sampling."""
    processes: int = Field(2, ge=1)
    """Candidates trained side by side, one process each."""
    threads: int = Field(1, ge=1)
    """CPU threads a training process uses when several run side by side."""
    validation_scenarios: int = Field(200, ge=20)
    """Validation scenarios that choose among candidates (greedy and sampled play)."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where tensors live."""
