"""Whether a night's training has room in memory, and what to change where it has not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from models.hardware import CPU, Device, find_device
from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError, MissingStateError
from schemas.model_shape import ModelShape
from schemas.training_config import HubPolicy, TrainConfig
from tasks.train.footprint import GB, Footprint, footprint

PLAYING = ("grpo", "rloo", "rejection", "dpo")
BATCHED = ("sft", "dpo", "kto", "off_policy")
LEAST_CONTEXT = 256
"""Tokens below which an episode is not cut further."""
CUDA_SHARE = 0.95
"""Share of a GPU's free memory that is planned with: the rest goes to fragmentation."""
WORTH = 0.99
"""A change that leaves more than this share of the need is none."""


class Change(NamedTuple):
    """A key to change, and to what."""

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key}: {shown(self.new)} (now {shown(self.old)})"


class Need(NamedTuple):
    """What the night takes of one device's memory at its worst."""

    total: int
    """Bytes."""
    stages: list[Footprint]
    """The largest stage of each candidate that trains at the same time, largest first."""


def shape_of_policy(config: FlywheelConfig) -> ModelShape:
    """Give the shape of the policy that is trained, without loading it.

    Raises:
        MissingStateError: There is no such model.
    """
    from models.shape import shape_of, tiny_shape
    from models.sources import described

    policy = config.train.policy
    if isinstance(policy, HubPolicy):
        return shape_of(described(config, policy.model))
    return tiny_shape(policy)


def need(shape: ModelShape, train: TrainConfig, routes: Sequence[str], memory: int = 0) -> Need:
    """Add up what candidates that train side by side take at the same time.

    On the CPU all processes share one memory; of GPUs each process of a candidate has its own.

    Args:
        shape: The model's.
        train: Recipes.
        routes: The night's candidates.
        memory: Bytes of the device.
    """
    largest = [
        max((footprint(shape, train, s, memory) for s in route.split("+")), key=lambda f: f.total)
        for route in routes
    ]
    largest.sort(key=lambda f: -f.total)
    together = largest[: train.processes]
    sharing = train.devices if train.device == "cpu" else 1
    return Need(sharing * sum(f.total for f in together), together)


def changes_that_fit(
    shape: ModelShape, train: TrainConfig, routes: Sequence[str], available: int, memory: int = 0
) -> tuple[list[Change], bool]:
    """Find what to change for a night to fit, the least harmful first.

    The order is that of the monitors when a stage runs out of memory: candidates one at a time,
    fewer generations, smaller batches, shorter episodes, gradient checkpointing, a smaller adapter.

    Returns:
        The changes, and whether they are enough.
    """
    changed: dict[str, Change] = {}
    for remedy in (_alone, _generations, _batches, _context, _checkpointing, _adapter):
        while (now := need(shape, train, routes, memory)).total > available:
            found = _best(remedy, shape, train, routes, now, memory)
            if found is None:
                break
            change, train = found
            first = changed.get(change.key, change).old
            changed[change.key] = Change(change.key, first, change.new)
    return list(changed.values()), need(shape, train, routes, memory).total <= available


def refuse_too_little(
    shape: ModelShape, train: TrainConfig, routes: Sequence[str], available: int, memory: int = 0
) -> None:
    """Stop a night that has no room before anything starts.

    Raises:
        ConfigurationError: Naming the stage, what it takes, what there is, and what to change.
    """
    found = need(shape, train, routes, memory)
    if found.total <= available:
        return
    changes, enough = changes_that_fit(shape, train, routes, available, memory)
    told = ", ".join(str(change) for change in changes)
    smaller = "choose a smaller model (train.policy) or a device with more memory"
    if enough:
        next_step = f"Set {told}."
    else:
        next_step = f"Set {told}, and {smaller}." if told else f"{smaller.capitalize()}."
    names = " beside ".join(f.stage for f in found.stages)
    parts = max(found.stages[0].parts.items(), key=lambda part: part[1])
    raise ConfigurationError(
        f"Training needs about {found.total / GB:.1f} GB ({names}; most of it {parts[0]}),"
        f" and {available / GB:.1f} GB are free.",
        next_step,
    )


def make_sure_of_room(config: FlywheelConfig, routes: Sequence[str]) -> None:
    """Stop a night before anything starts where model, device or memory are not there.

    A tiny policy is not looked at: it fits wherever Python does, and the look would cost more.

    Args:
        config: Policy and device.
        routes: The night's candidates.

    Raises:
        MissingStateError: There is no such model, or no such device.
        ConfigurationError: The memory is too little.
    """
    if not isinstance(config.train.policy, HubPolicy):
        return
    device = find_device(config.train.device)
    if device is None:
        raise MissingStateError(
            f"train.device is {config.train.device}, and this machine has none.",
            "Set train.device: cpu, or run it on a machine with a GPU (`flywheel doctor`).",
        )
    shape = shape_of_policy(config)
    refuse_too_little(shape, config.train, routes, usable(device), device.memory)


def usable(device: Device) -> int:
    """Give the bytes of a device that are planned with: of a GPU's a part goes to holes."""
    return device.free if device.name == CPU else int(CUDA_SHARE * device.free)


def shown(value: Any) -> str:
    """Write a value as YAML does."""
    return "null" if value is None else str(value).lower()


Remedy = Callable[[TrainConfig, set[str]], Iterator[tuple[Change, TrainConfig]]]


def _best(
    remedy: Remedy, shape: ModelShape, train: TrainConfig, routes: Sequence[str], now: Need,
    memory: int,
) -> tuple[Change, TrainConfig] | None:  # fmt: skip
    """Take a remedy's first change that makes the need smaller; None when it has none left."""
    stages = {f.stage for f in now.stages}
    for change, changed in remedy(train, stages):
        if need(shape, changed, routes, memory).total < WORTH * now.total:
            return change, changed
    return None


def _alone(train: TrainConfig, _stages: set[str]) -> Iterator[tuple[Change, TrainConfig]]:
    if train.processes > 1:
        yield _set(train, "processes", train.processes - 1)


def _generations(train: TrainConfig, stages: set[str]) -> Iterator[tuple[Change, TrainConfig]]:
    for stage in sorted(stages & set(PLAYING)):
        if (count := getattr(train, stage).generations) > 2:
            yield _set_of(train, stage, "generations", max(2, count // 2))


def _batches(train: TrainConfig, stages: set[str]) -> Iterator[tuple[Change, TrainConfig]]:
    for stage in sorted(stages):
        name = "sft" if stage == "rejection" else stage
        key = "batch_size" if name in BATCHED else "micro_batch"
        least = 2 if name in ("kto", "off_policy") else 1
        if (size := getattr(getattr(train, name), key)) > least:
            yield _set_of(train, name, key, max(least, size // 2))


def _context(train: TrainConfig, _stages: set[str]) -> Iterator[tuple[Change, TrainConfig]]:
    context = train.policy.context
    if context > LEAST_CONTEXT:
        yield _set_of(train, "policy", "context", max(LEAST_CONTEXT, context // 2))


def _checkpointing(train: TrainConfig, _stages: set[str]) -> Iterator[tuple[Change, TrainConfig]]:
    if not train.gradient_checkpointing:
        yield _set(train, "gradient_checkpointing", True)


def _adapter(train: TrainConfig, _stages: set[str]) -> Iterator[tuple[Change, TrainConfig]]:
    policy = train.policy
    if isinstance(policy, HubPolicy) and (policy.lora_rank is None or policy.lora_rank > 4):
        rank = policy.lora_rank // 2 if policy.lora_rank else 16
        yield _set_of(train, "policy", "lora_rank", rank)


def _set(train: TrainConfig, key: str, value: Any) -> tuple[Change, TrainConfig]:
    change = Change(f"train.{key}", getattr(train, key), value)
    return change, train.model_copy(update={key: value})


def _set_of(train: TrainConfig, part: str, key: str, value: Any) -> tuple[Change, TrainConfig]:
    section = getattr(train, part)
    change = Change(f"train.{part}.{key}", getattr(section, key), value)
    changed = section.model_copy(update={key: value})
    return change, train.model_copy(update={part: changed})
