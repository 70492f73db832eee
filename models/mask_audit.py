"""How many tokens of whom a loss covers: counted in the batches that TRL's own collators make.

The masks come from the marks of the chat template. Here the same tokens are given to their speakers
another way, by rendering a conversation up to each message, so that a template with wrong marks or
a collator that widens a mask shows as tokens of tool, user or system under the loss. Rendering
every beginning costs more than training does, so that an even sample of the rows is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from models.chat import ROLES
from models.cutting import Trained
from models.masks import Conversation, Masked, render_prefix, rendered
from models.trainers.preference import AgentTokensCollator, masked_pair

SPEAKERS = (*ROLES, "template")
"""Who a token may belong to; `template` is the head of an answer, which the policy is given."""

IGNORED = -100
"""Label of a token outside the loss."""

SAMPLE = 200
"""Most rows that are counted."""


def sft_under_mask(rows: Sequence[Trained], tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Count whose tokens supervised fine-tuning learns from.

    Args:
        rows: What is trained on; an even sample of it is counted.
        tokenizer: With its chat template.

    Returns:
        Tokens under the loss by speaker, of SPEAKERS.
    """
    sample = _sample(rows)
    if not sample:
        return dict.fromkeys(SPEAKERS, 0)
    examples = [
        {
            "input_ids": row.input_ids,
            "labels": [
                i if m else IGNORED for i, m in zip(row.input_ids, row.agent_mask, strict=True)
            ],
        }
        for _, row in sample
    ]
    collate = DataCollatorForLanguageModeling(pad_token_id=_padding(tokenizer))
    labels = collate(examples)["labels"]
    speakers = [speakers_of(one, row, tokenizer) for one, row in sample]
    return under_mask((labels != IGNORED).numpy(), speakers)


def dpo_under_mask(
    pairs: Sequence[tuple[Trained, Trained]], tokenizer: PreTrainedTokenizerBase,
    *, agent_tokens_only: bool = True,
) -> dict[str, int]:  # fmt: skip
    """Count whose tokens preference learning weighs.

    Args:
        pairs: Chosen and rejected; those whose sides have no say are passed over.
        tokenizer: With its chat template.
        agent_tokens_only: False counts as TRL's own collator weighs.

    Returns:
        Tokens under the loss by speaker, of SPEAKERS.
    """
    told = [(pair, masked_pair(pair[0][1], pair[1][1])) for pair in _sample(pairs)]
    usable = [(pair, made) for pair, made in told if made is not None]
    if not usable:
        return dict.fromkeys(SPEAKERS, 0)
    examples = [
        {name: getattr(made, name) for name in made.__struct_fields__} for _, made in usable
    ]
    kind = AgentTokensCollator if agent_tokens_only else DataCollatorForPreference
    batch = kind(pad_token_id=_padding(tokenizer)).torch_call(examples)
    sides = [pair[side] for side in (0, 1) for pair, _ in usable]
    speakers = [speakers_of(one, row, tokenizer) for one, row in sides]
    return under_mask(batch["completion_mask"].numpy(), speakers)


def under_mask(mask: NDArray[Any], speakers: Sequence[NDArray[np.int8]]) -> dict[str, int]:
    """Count the tokens under a mask by speaker.

    Args:
        mask: `(batch, time)`, padded on the right; not 0 where the loss covers a token.
        speakers: For each row, whose each token is, as an index into SPEAKERS.
    """
    counts = np.zeros(len(SPEAKERS), dtype=np.int64)
    for row, said in zip(mask, speakers, strict=True):
        counts += np.bincount(said[row[: len(said)] != 0], minlength=len(SPEAKERS))
    return dict(zip(SPEAKERS, counts.tolist(), strict=True))


def speakers_of(
    conversation: Conversation, row: Masked, tokenizer: PreTrainedTokenizerBase
) -> NDArray[np.int8]:
    """Say whose each token of a conversation is, without looking at the template's marks.

    Raises:
        ValueError: The tokens are not those of the conversation.
    """
    ((text, _),) = rendered([conversation], tokenizer)
    borders = _borders(conversation, len(text), tokenizer)
    pieces = [text[start:stop] for (start, _), (stop, _) in pairwise(borders)]
    names = [SPEAKERS.index(name) for _, name in borders[:-1]]
    apart = tokenizer(pieces, add_special_tokens=False)["input_ids"]
    if [token for ids in apart for token in ids] == row.input_ids:
        return np.repeat(names, [len(ids) for ids in apart]).astype(np.int8)
    encoding = tokenizer([text], add_special_tokens=False).encodings[0]
    if list(encoding.ids) != row.input_ids:
        raise ValueError("these are not the conversation's tokens")
    starts = [start for start, _ in encoding.offsets]
    places = np.searchsorted([start for start, _ in borders[:-1]], starts, side="right") - 1
    return np.array(names, dtype=np.int8)[places]


def _borders(
    conversation: Conversation, length: int, tokenizer: PreTrainedTokenizerBase
) -> list[tuple[int, str]]:
    """Say where in the text each speaker begins; the last border is the end of the text."""
    borders: list[tuple[int, str]] = []
    done = 0
    for place, message in enumerate(conversation.chat):
        role = message["role"]
        if role == "assistant":
            opened = render_prefix(conversation, place, tokenizer, opened=True)
            borders.append((done, "template"))
            done = max(done, len(opened or ""))
        borders.append((done, role))
        # A beginning that the template refuses, or that ends amid results, moves no border back.
        whole = render_prefix(conversation, place + 1, tokenizer)
        done = max(done, min(len(whole or ""), length))
    return [*borders, (length, "")]


def _sample(rows: Sequence[Any]) -> list[Any]:
    step = max(1, -(-len(rows) // SAMPLE))
    return list(rows[::step])


def _padding(tokenizer: PreTrainedTokenizerBase) -> int:
    found = tokenizer.pad_token_id
    return int(found if isinstance(found, int) else tokenizer.eos_token_id)
