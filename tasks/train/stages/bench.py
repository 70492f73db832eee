"""What a stage works with: the night's data, the environment, and where it stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from models.chat import TEMPLATE, to_chat
from models.policy import LoadedPolicy, add_adapter, load_policy
from models.sources import resolved
from models.tiny import new_policy
from models.tokenizer import render, train_tokenizer
from models.trainers.run import Acted, Ran
from schemas.config import FlywheelConfig
from schemas.dataset import Pair, Trajectory
from schemas.errors import TrainingError
from schemas.training_config import TinyPolicy
from tasks.rollout.environment import World


class Bench(msgspec.Struct):
    """What a candidate works with."""

    config: FlywheelConfig
    world: World
    successes: list[Trajectory]
    """The build's `sft` rows."""
    pairs: list[Pair]
    unpaired: list[Trajectory]
    """The build's `kto` rows."""
    start: str | None
    """Folder of the policy to start from; None on the first night."""
    seed: int
    folder: Path
    """The candidate's own: a folder a stage, and the policy it comes to."""
    progress: Callable[[str, int, int], None]
    """Told stage, steps done and in all."""
    build: str = ""
    """Digest of the build that the rows are of."""
    told: Callable[[str, Acted], None] = lambda *_: None
    """Told stage and what its monitors did, when they did it."""


class Fed(msgspec.Struct):
    """What a stage was fed, and what came of it; the policy was trained in place."""

    account: dict[str, Any]
    """Counts of what it learnt from, as they stand in the night's record."""
    ran: Ran


def start(bench: Bench, source: str | None) -> LoadedPolicy:
    """Load the policy that a stage starts from; on the first night make one."""
    return _base(bench) if source is None else loaded(bench, source)


def loaded(bench: Bench, source: str) -> LoadedPolicy:
    """Load a policy to be trained, with a fresh adapter where the configuration asks for one."""
    made = bench.config.train.policy
    if isinstance(made, TinyPolicy):
        return load_policy(source, bench.config.train.device)
    policy = load_policy(source, bench.config.train.device, made.dtype)
    return policy if made.lora_rank is None else add_adapter(policy, made.lora_rank, bench.seed)


def _base(bench: Bench) -> LoadedPolicy:
    """Make the first night's start: a hub model, or a tiny policy that knows the logs' words."""
    made = bench.config.train.policy
    if not isinstance(made, TinyPolicy):
        return loaded(bench, resolved(bench.config, made.model))
    if not bench.successes:
        raise TrainingError(
            "There is no successful episode to learn the first words from.",
            "Give it more logs with feedback, or start from a hub model (train.policy.kind: hub).",
        )
    texts = render([to_chat(t.messages) for t in bench.successes], TEMPLATE)
    tokenizer = train_tokenizer(texts, made.vocabulary)
    model = new_policy(made, tokenizer, bench.seed)
    model.to(bench.config.train.device)  # type: ignore[arg-type] # its decorator hides the signature
    return LoadedPolicy(model, tokenizer, "")
