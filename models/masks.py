"""Token ids with a mask of what the agent itself said: the only tokens a loss may touch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from transformers.tokenization_utils_base import PreTrainedTokenizerBase


class Masked(msgspec.Struct, frozen=True):
    """A tokenised conversation."""

    input_ids: list[int]
    agent_mask: list[int]
    """1 for each token the agent produced: content, calls and end tokens; else 0."""


def tokenise(
    chats: Sequence[list[dict[str, Any]]],
    tokenizer: PreTrainedTokenizerBase,
    tools: str | None = None,
) -> list[Masked]:
    """Render conversations through the chat template and mask the agent's tokens.

    Args:
        chats: Messages as `models.chat.to_chat` gives them.
        tokenizer: Its template marks the agent's text with `{% generation %}`.
        tools: Tool schemas as JSON text, as logged, for templates that show them.
    """
    if not chats:
        return []
    made: Any = tokenizer.apply_chat_template(
        list(chats), tools=json.loads(tools) if tools else None, tokenize=True, return_dict=True,
        return_assistant_tokens_mask=True,
    )  # fmt: skip
    return [
        Masked(list(ids), [int(m) for m in mask])
        for ids, mask in zip(made["input_ids"], made["assistant_masks"], strict=True)
    ]
