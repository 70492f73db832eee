"""Recipes of the stages that a night's training is made of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.section import Section

Optimizer = Literal["muon", "adamw"]
PairKind = Literal["episode", "decision_point", "correction", "retry"]


class SftConfig(Section):
    """Supervised fine-tuning on successes, loss on the agent's own tokens only."""

    learning_rate: float = Field(3e-3, gt=0)
    """Peak rate of the first night (cosine, 4% warm-up)."""
    refresh_learning_rate: float = Field(3e-4, gt=0)
    """Peak rate when the night starts from a champion."""
    optimizer: Optimizer = "muon"
    """`muon`: Muon on hidden matrices, AdamW on embeddings and norms; an adapter takes
    AdamW. `adamw`: AdamW on all."""
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
    kinds: tuple[PairKind, ...] = ("episode",)
    """Kinds of logged pairs used. `retry` prefers the call that an error had asked for to the one
    before it, which teaches to guess (docs/results.md)."""
    scenarios: int = Field(150, ge=0)
    """Fresh scenarios played for pairs of the policy's own, beside those from logs; 0 for none."""
    generations: int = Field(8, ge=2)
    """Rollouts a scenario."""
    agent_tokens_only: bool = True
    """False counts tool results and user turns into the loss, as TRL itself does; for comparison
    alone (docs/results.md)."""


class KtoConfig(Section):
    """Kahneman-Tversky optimisation on single episodes, liked or not; only agent tokens count."""

    learning_rate: float = Field(1e-4, gt=0)
    """Constant rate."""
    beta: float = Field(0.1, gt=0)
    """Strength of the pull towards the reference policy."""
    epochs: float = Field(1.0, gt=0)
    """Passes over the episodes."""
    batch_size: int = Field(16, ge=2)
    """Episodes a step."""
    max_episodes: int = Field(1200, ge=2)
    """Most episodes used in a night, half of each kind where there are enough."""
    agent_tokens_only: bool = True
    """False counts tool results and user turns into the loss, as TRL itself does."""


class GrpoConfig(Section):
    """Group-relative policy optimisation by play in the environment."""

    learning_rate: float = Field(2e-4, gt=0)
    """Constant AdamW rate. Twice as much learns in fewer steps from most starts, and takes what it
    knew from a policy that copies badly yet (docs/results.md)."""
    steps: int = Field(45, ge=1)
    """Optimiser steps."""
    scenarios_per_step: int = Field(24, ge=1)
    """Scenarios a step."""
    generations: int = Field(8, ge=2)
    """Rollouts of one scenario: the group."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature of rollouts."""
    loss_type: Literal["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"] = (
        "dapo"
    )
    """TRL's `loss_type`."""
    importance_sampling_level: Literal["token", "sequence"] = "token"
    """TRL's `importance_sampling_level`; `sequence` with loss `grpo` is GSPO."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """What advantages are divided by: the deviation of their group, of the batch, or nothing. With
    `process_weight` or a reward model take the batch's: where outcomes agree, small differences
    would count in full."""
    baseline: Literal["group", "leave_one_out"] = "group"
    """What a rollout's return is compared with: the mean of its group, or of the others in it."""
    process_weight: float = Field(0.0, ge=0)
    """Weight of the steps' process rewards beside the outcome; 0 credits the outcome alone."""
    discount: float = Field(1.0, gt=0, le=1)
    """Discount of later process rewards, a step."""
    beta: float = Field(0.0, ge=0)
    """KL penalty towards the starting policy."""
    epsilon_high: float | None = Field(None, gt=0)
    """Upper clip of the probability ratio; None is the lower one's width. Matters when a rollout is
    used more than once."""
    entropy_coef: float = Field(0.0, ge=0)
    """Weight of an entropy bonus that keeps exploration alive."""
    mask_truncated: bool = False
    """Leave episodes that ran into a limit out of the loss instead of counting them as failed."""
    curriculum: bool = False
    """Draw kinds of scenarios whose groups came out mixed more often than those that did not; it
    gained nothing in the demo (docs/results.md)."""
    kl_rows: int = Field(32, ge=0)
    """Rollouts a step on which the KL divergence from the start is measured; 0 for none."""
    average_last: float = Field(0.0, ge=0, le=1)
    """Share of the last steps whose weights are averaged into the result; 0 keeps the last, which
    were the better ones (docs/results.md)."""
    micro_batch: int = Field(48, ge=1)
    """Most rollouts in one forward and backward pass."""
    completion_share: float = Field(0.75, gt=0, le=1)
    """Longest episode after its prompt, as a share of the policy's context."""
    rollouts: Literal["player", "trl", "vllm"] = "player"
    """Who plays: our decode loop, TRL's own, or vLLM (GPU, extra `vllm`)."""
    vllm_mode: Literal["colocate", "server"] = "colocate"
    """Where vLLM runs: inside the trainer, or at `vllm_url`."""
    vllm_url: str = "http://127.0.0.1:8000"
    """Base URL of a `trl vllm-serve` server."""
    vllm_memory: float = Field(0.3, gt=0, lt=1)
    """Share of the GPU's memory that a colocated vLLM takes."""
    reward_model: bool = True
    """Score scenarios that the environment cannot judge by the night's reward model, where one is
    calibrated; False leaves them out."""


class RlooConfig(GrpoConfig):
    """REINFORCE with a leave-one-out baseline, over the same play as GRPO."""

    loss_type: Literal["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"] = (
        "dr_grpo"
    )
    """TRL's `loss_type`; `dr_grpo` sums over tokens and divides by a constant."""
    scale_rewards: Literal["group", "batch", "none"] = "none"
    """Advantages stay as they are."""
    baseline: Literal["group", "leave_one_out"] = "leave_one_out"
    """The mean of the other rollouts of the group."""


class RejectionConfig(Section):
    """On-policy rejection sampling: fine-tune on the policy's own best episodes."""

    scenarios: int = Field(250, ge=1)
    """Fresh scenarios; `rejection+rejection` is two rounds."""
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


class OffPolicyConfig(Section):
    """Policy gradient on logged episodes, corrected by their logged log-probabilities."""

    learning_rate: float = Field(1e-4, gt=0)
    """Constant rate."""
    epochs: float = Field(1.0, gt=0)
    """Passes over the episodes."""
    batch_size: int = Field(64, ge=2)
    """Episodes a step."""
    max_age: int = Field(3, ge=0)
    """Most versions that the policy that acted may lie behind the start."""
    least_share: float = Field(0.3, gt=0, le=1)
    """Least effective sample size of the importance weights, as a share of the episodes."""
    least_episodes: int = Field(100, ge=2)
    """Fewest usable episodes; with fewer the night's DPO or KTO is what is left."""
    clip: float = Field(2.0, gt=1)
    """Largest importance weight of a token (truncation)."""
