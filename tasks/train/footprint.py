"""How much memory a stage of training takes, from numbers alone: nothing is loaded.

What is counted is what a step holds at its worst moment: weights, gradients, the optimizer's
states, what the backward pass needs of the forward pass, the head's tile of logits (TRL computes
log-probabilities in tiles and never holds all logits), a copy of the start where one is kept, and
while it plays, keys and values of all rollouts side by side. Sequences are taken as long as the
configuration lets them be, so that a night of shorter ones takes less.

Against the peak resident memory of two steps on the CPU it is within a fifth, for SFT at 0.7 and 32
million parameters and GRPO at 0.7 (`python -m bench.memory`, docs/benchmarks.md); the allocator's
slack was set on these. On a GPU it has not been measured: runtime and slack there are guesses.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.model_shape import ModelShape
from schemas.training_config import HubPolicy, TrainConfig

MB, GB = 10**6, 10**9
RUNTIME = {"cpu": 620 * MB, "cuda": 900 * MB}
"""What a training process holds before it has a model: libraries, or a CUDA context besides."""
SLACK = {"cpu": 1.3, "cuda": 1.05}
"""What activations take over their own bytes: the CPU's allocator keeps holes between them."""
TILE_TOKENS, TILE_WORDS = 4096, 32_768
"""Largest tile of logits that TRL 1.16 holds."""
TOKENS_OF_DTYPE = {"float32": 4, "bfloat16": 2}


class Load(NamedTuple):
    """What one forward and backward pass is fed."""

    rows: int
    tokens: int
    """Of the longest row, prompt included."""


class Footprint(NamedTuple):
    """Bytes that a stage takes on one device, by what they are for."""

    stage: str
    parts: dict[str, int]
    """`runtime`, `weights`, `gradients`, `optimizer`, `copies`, `activations`, `head`, `rollouts`,
    `vllm`."""

    @property
    def total(self) -> int:
        """Bytes at the worst moment: a step either plays or learns, but keeps what it has."""
        learning = sum(self.parts[name] for name in ("gradients", "activations", "head"))
        kept = ("runtime", "weights", "optimizer", "copies", "vllm")
        return sum(self.parts[name] for name in kept) + max(learning, self.parts["rollouts"])


def footprint(shape: ModelShape, train: TrainConfig, stage: str, memory: int = 0) -> Footprint:
    """Estimate what a stage takes on one device.

    Args:
        shape: The model's.
        train: Recipes and policy.
        stage: Of `schemas.training_config.STAGES`.
        memory: Bytes of the device; a colocated vLLM takes a share of them.
    """
    policy = train.policy
    width = TOKENS_OF_DTYPE[policy.dtype] if isinstance(policy, HubPolicy) else 4
    rank = policy.lora_rank if isinstance(policy, HubPolicy) else None
    adapter = shape.adapter_rows * rank if rank else 0
    fed = load(train, stage)
    trained = adapter * 4 if rank else shape.parameters * width  # PEFT keeps adapters in float32
    return Footprint(stage, {
        "runtime": RUNTIME[train.device],
        "weights": shape.parameters * width + adapter * 4,
        "gradients": trained,
        "optimizer": _states(shape, train, stage, trained, width, bool(rank)),
        "copies": _copies(shape, train, stage, trained, width, bool(rank)),
        "activations": _activations(shape, train, fed, width, bool(rank)),
        "head": _head(shape, fed, width, trainable=not rank, device=train.device),
        "rollouts": _rollouts(shape, train, stage, width),
        "vllm": _vllm(train, stage, memory),
    })  # fmt: skip


def load(train: TrainConfig, stage: str) -> Load:
    """Say what one forward and backward pass of a stage is fed at most, on one of its devices."""
    context = train.policy.context
    if stage in ("grpo", "rloo"):
        recipe = train.grpo if stage == "grpo" else train.rloo
        rollouts = -(-recipe.scenarios_per_step * recipe.generations // train.devices)
        return Load(min(recipe.micro_batch, rollouts), context)
    # A pair is two rows; imitation of the policy's own play takes the batches of sft.
    batch = train.sft.batch_size if stage == "rejection" else getattr(train, stage).batch_size
    rows = -(-batch // train.devices)
    return Load(2 * rows if stage == "dpo" else rows, context)


def _states(
    shape: ModelShape, train: TrainConfig, stage: str, trained: int, width: int, adapter: bool
) -> int:
    """Count AdamW's two moments, or Muon's one on matrices and AdamW's two on the rest."""
    if stage not in ("sft", "rejection") or train.sft.optimizer == "adamw" or adapter:
        return 2 * trained
    return (shape.matrices + 2 * (shape.parameters - shape.matrices)) * width


def _copies(
    shape: ModelShape, train: TrainConfig, stage: str, trained: int, width: int, adapter: bool
) -> int:
    """Count the start that divergence is measured from, and the running mean of the weights."""
    if stage not in ("grpo", "rloo"):
        return 0  # dpo and kto compute the reference before they train
    recipe = train.grpo if stage == "grpo" else train.rloo
    start = 0 if adapter else shape.parameters * width
    kept = start if recipe.kl_rows else 0
    penalised = start if recipe.beta > 0 else 0
    return kept + penalised + (trained if recipe.average_last else 0)


def _activations(
    shape: ModelShape, train: TrainConfig, fed: Load, width: int, adapter: bool
) -> int:
    """Count what the backward pass needs.

    A layer keeps six values a position of the residual's width (two norms: what came in, scaled,
    and what goes out), five of the queries' and four of the keys' (before and after the norm,
    rotated, attended) and four of the feed-forward's. An adapter adds its own float32 copy of each
    linear layer's input. With checkpointing a layer keeps what came in, and one layer at a time
    all of it.
    """
    h, q, k, i = shape.hidden, shape.queries, shape.keys, shape.intermediate
    layer = (6 * h + 5 * q + 4 * k + 4 * i) * width
    if adapter:
        layer += (5 * h + q + i) * 4
    positions = fed.rows * fed.tokens
    mask = fed.rows * fed.tokens**2 * width
    kept = shape.layers * h * width + layer if train.gradient_checkpointing else (
        shape.layers * layer
    )  # fmt: skip
    return int(SLACK[train.device] * (positions * kept + mask))


def _head(shape: ModelShape, fed: Load, width: int, *, trainable: bool, device: str) -> int:
    """Count a tile of logits with what is computed on it, and the head's float32 gradients."""
    positions = fed.rows * fed.tokens
    tile = min(positions, TILE_TOKENS) * min(shape.vocabulary, TILE_WORDS)
    worked = tile * (width if device == "cuda" else 16)  # a kernel there, torch operations here
    weight = shape.vocabulary * shape.hidden * (4 + width) if trainable else 0
    return worked + weight + positions * shape.hidden * (4 + width)


def _rollouts(shape: ModelShape, train: TrainConfig, stage: str, width: int) -> int:
    """Count keys, values and the last position's float32 probabilities while episodes are played.

    vLLM, and TRL's own loop with it, count under `vllm`.
    """
    played = {
        "grpo": train.grpo.scenarios_per_step * train.grpo.generations,
        "rloo": train.rloo.scenarios_per_step * train.rloo.generations,
        "rejection": train.rejection.scenarios * train.rejection.generations,
        "dpo": train.dpo.scenarios * train.dpo.generations,
    }.get(stage, 0)
    rows = min(train.play_batch, -(-played // train.devices))
    held = train.policy.context * shape.layers * 2 * shape.keys * width
    return rows * (held + 4 * 4 * shape.vocabulary)


def _vllm(train: TrainConfig, stage: str, memory: int) -> int:
    """Count what a colocated vLLM takes: its own weights, keys and values are within it."""
    recipe: Any = {"grpo": train.grpo, "rloo": train.rloo}.get(stage)
    if recipe is None or recipe.rollouts != "vllm" or recipe.vllm_mode != "colocate":
        return 0
    return int(recipe.vllm_memory * memory)
