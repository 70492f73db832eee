"""TRL's conversational datasets: SFT, DPO, KTO, and prompts for GRPO, as JSON lines.

TRL has no mask by message: with `assistant_only_loss=True` it trains on all that the agent says.
What a build would train on stands beside the messages in `train_on`, which TRL leaves alone.

Source: https://huggingface.co/docs/trl/v1.16.0/en/dataset_formats and, read in TRL 1.16.0,
    https://github.com/huggingface/trl/blob/v1.16.0/trl/data_utils.py
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tasks.export.chatml import messages, read_turns
from tasks.export.examples import Example, Use, split

USES: tuple[Use, ...] = ("sft", "dpo", "kto", "rl")
NO_TURN = "a prompt that is not the agent's turn"
"""Templates are asked for a generation prompt, which only a user or a result calls for."""


def rows(use: Use, given: Iterable[Example], left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Write examples as TRL's rows.

    Args:
        use: One of `USES`.
        given: The examples.
        left_out: Counts, by reason, what TRL would refuse.
    """
    for example in given:
        tools = {"tools": example.tools} if example.tools else {}
        if use == "sft":
            said = messages(example.turns, as_text=False)
            yield {"messages": said, "train_on": [t.taught for t in example.turns], **tools}
            continue
        if not example.prompt or example.prompt[-1].role not in ("user", "tool"):
            left_out[NO_TURN] += 1
            continue
        row = {"prompt": messages(example.prompt, as_text=False), **tools}
        completion = messages(example.completion, as_text=False)
        if use == "dpo":
            rejected = messages(example.rejected, as_text=False)
            yield {**row, "chosen": completion, "rejected": rejected}
        elif use == "kto":
            yield {**row, "completion": completion, "label": example.desirable}
        else:
            yield {**row, **example.facts}


def read(use: Use, written: Iterable[Mapping[str, Any]]) -> Iterator[Example]:
    """Read TRL's rows back."""
    for row in written:
        tools = row.get("tools") or []
        if use == "sft":
            yield split(read_turns(row["messages"], row["train_on"]), tools=tools)
            continue
        yield Example(
            prompt=read_turns(row["prompt"], [False] * len(row["prompt"])),
            completion=read_turns(row.get("chosen") or row.get("completion") or []),
            rejected=read_turns(row.get("rejected") or []),
            tools=tools,
            desirable=row.get("label"),
        )
