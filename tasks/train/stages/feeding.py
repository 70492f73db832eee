"""Episodes made into what imitation reads: tokens of several passes, some retold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.chat import to_chat
from models.cutting import Fitted, fit
from models.mask_audit import sft_under_mask
from models.masks import Conversation, Masked
from models.policy import LoadedPolicy
from schemas.episode import Message
from schemas.errors import TrainingError
from tasks.train.augment import retell, vocabulary
from tasks.train.stages.bench import Bench


class Told(NamedTuple):
    """An episode to imitate."""

    messages: list[Message]
    tools: str | None = None
    train_on: Sequence[bool] = ()


def passes(
    bench: Bench, policy: LoadedPolicy, episodes: Sequence[Told], *, seed: int, epochs: float,
    retold_share: float,
) -> Fitted:  # fmt: skip
    """Tokenise episodes once a pass, a share of them retold with other values each time.

    Raises:
        TrainingError: None of them fits the policy's context.
    """
    rng = np.random.default_rng([seed, 21])
    words = vocabulary([episode.messages for episode in episodes])
    told: list[Conversation] = []
    for part in range(int(np.ceil(epochs))):
        count = round(min(1.0, epochs - part) * len(episodes))
        for index in rng.permutation(len(episodes))[:count]:
            messages, tools, train_on = episodes[int(index)]
            if rng.random() < retold_share:
                messages = retell(messages, rng, words)
            told.append(Conversation(to_chat(messages), tools, train_on))
    fitted = fit(told, policy.tokenizer, bench.config.train.policy.context)
    if not fitted.kept:
        raise TrainingError(
            "No episode is left to imitate: none fits the policy's context.",
            "Raise train.policy.context.",
        )
    return fitted


def rows(fitted: Fitted) -> list[Masked]:
    """Give the tokens of what is left to imitate."""
    return [row for _, row in fitted.kept]


def account(fitted: Fitted, policy: LoadedPolicy) -> dict[str, int]:
    """Count what imitation is fed: each pass over an episode by itself."""
    return {
        "tokens": fitted.tokens, "cut": fitted.cut, "left_out": fitted.left_out,
        **audited(sft_under_mask(fitted.kept, policy.tokenizer)),
    }  # fmt: skip


def audited(counts: dict[str, int]) -> dict[str, int]:
    """Name the tokens that the loss covers by who said them, in a sample of the rows."""
    return {f"{who}_tokens_under_mask": count for who, count in counts.items()}
