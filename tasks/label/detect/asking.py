"""Over-asking: the agent asks the user back again and again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.label_config import SignalConfig
from tasks.label.block import ASSISTANT, USER, Block, Bools, Ints
from tasks.label.detect.phrases import holds

QUESTION = r"[?\x{ff1f}][\s\p{P}\p{S}]*$"
"""The last sentence asks; closing marks and an emoji may follow."""

POLITENESS = (
    r"(?i)(?:\b(?:anything|something|what|how) else\b|\bany (?:other|more|further)\b|\bfurther"
    r" (?:questions|assistance|help)\b|\bhow (?:can|may) i (?:help|assist)\b"
    r"|还有(?:什么|其他|别的)|(?:其他|别的)(?:需要|问题)|还能帮|可以帮您)"
    r"[^.!?。\x{ff01}\x{ff1f}\n]*" + QUESTION
)
"""Offers to go on: they hold nothing up."""


def over_asks(block: Block, config: SignalConfig) -> Bools:
    """Say where the agent asked back `config.over_asking` times or more, `(episodes,)`."""
    return questions_back(block) >= config.over_asking


def questions_back(block: Block) -> Ints:
    """Count the questions that the agent asked back, `(episodes,)`."""
    before_user = np.zeros(len(block.role), dtype=bool)
    before_user[:-1] = (block.role[1:] == USER) & (block.owner[1:] == block.owner[:-1])
    before_user &= block.role == ASSISTANT
    before_user[block.call_message] = False
    message = np.flatnonzero(before_user)
    said = pc.fill_null(block.content.take(pa.array(message)), "")
    asked = np.flatnonzero(holds(said, QUESTION))
    asked = asked[~holds(said.take(pa.array(asked)), POLITENESS)]
    return block.per_episode(block.owner[message[asked]])
