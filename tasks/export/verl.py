"""verl's Parquet files: conversations for multi-turn SFT, and scenarios for RL.

Arguments and tools are JSON text: as nested columns every tool would get the keys of all others.
`trainable` is the mask by message. Verl 0.9.1 reads neither by itself; docs/export.md has the
dataset class that does.

Source: https://github.com/volcengine/verl/blob/v0.9.1/verl/utils/dataset/multiturn_sft_dataset.py
    and rl_dataset.py beside it (read in 0.9.1);
    https://verl.readthedocs.io/en/latest/preparation/prepare_data.html
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from tasks.export.chatml import json_text, message, read_turns
from tasks.export.conversation import Turn
from tasks.export.examples import Example, Use, split

USES: tuple[Use, ...] = ("sft", "rl")
SOURCE = "agent-flywheel"

_TEXT = pa.string()
_CALL = pa.struct(
    {"id": _TEXT, "type": _TEXT, "function": pa.struct({"name": _TEXT, "arguments": _TEXT})}
)
_MESSAGE = {"role": _TEXT, "content": _TEXT}
_ANY_MESSAGE = {**_MESSAGE, "tool_calls": pa.list_(_CALL), "tool_call_id": _TEXT}
SCHEMAS: dict[Use, pa.Schema] = {
    "sft": pa.schema(
        {
            "messages": pa.list_(pa.struct({**_ANY_MESSAGE, "trainable": pa.bool_()})),
            "tools": _TEXT,
            "enable_thinking": pa.bool_(),
        }
    ),
    "rl": pa.schema(
        {
            "data_source": _TEXT,
            "prompt": pa.list_(pa.struct(_MESSAGE)),
            "ability": _TEXT,
            "reward_model": pa.struct({"style": _TEXT, "ground_truth": _TEXT}),
            "extra_info": pa.struct(
                {
                    "index": pa.int64(), "split": _TEXT, "scenario_id": _TEXT,
                    "difficulty": _TEXT, "pass_rate": pa.float64(), "episodes": pa.int64(),
                    "logged": pa.list_(_TEXT), "tools": _TEXT,
                }
            ),
        }
    ),
}  # fmt: skip
"""Arrow schemas of the files."""


def rows(use: Use, given: Iterable[Example], left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Write examples as verl's rows.

    Args:
        use: One of `USES`.
        given: The examples.
        left_out: Counts, by reason, what cannot be said: a scenario without an id, which nothing
            could verify, or with calls in its prompt.
    """
    for number, example in enumerate(given):
        if use == "sft":
            yield {
                "messages": [_trainable(turn) for turn in example.turns],
                "tools": json_text(example.tools) if example.tools else None,
                "enable_thinking": False,
            }
        elif "scenario_id" not in example.facts:
            left_out["no scenario"] += 1
        elif any(turn.role == "tool" or turn.calls for turn in example.prompt):
            left_out["calls in the prompt"] += 1
        else:
            yield _scenario(example, number)


def _trainable(turn: Turn) -> dict[str, Any]:
    """Write a turn with its mask."""
    return {**message(turn, as_text=True), "trainable": turn.taught}


def _scenario(example: Example, number: int) -> dict[str, Any]:
    """Write a scenario; what its reward is found by is its id."""
    facts = example.facts
    kept = ("scenario_id", "difficulty", "pass_rate", "episodes", "logged")
    return {
        "data_source": SOURCE,
        "prompt": [{"role": turn.role, "content": turn.content} for turn in example.prompt],
        "ability": "agent",
        "reward_model": {"style": "rule", "ground_truth": facts["scenario_id"]},
        "extra_info": {
            "index": number,
            "split": "train",
            "tools": json_text(example.tools) if example.tools else None,
            **{key: facts.get(key) for key in kept},
        },
    }


def read(use: Use, written: Iterable[Mapping[str, Any]]) -> Iterator[Example]:
    """Read rows back."""
    for row in written:
        if use == "sft":
            said = row["messages"]
            whole = read_turns(said, [bool(each["trainable"]) for each in said])
            yield split(whole, tools=json.loads(row["tools"] or "[]"))
            continue
        about = {key: value for key, value in row["extra_info"].items() if value is not None}
        for key in ("index", "split"):
            about.pop(key)
        yield Example(
            prompt=read_turns(row["prompt"], [False] * len(row["prompt"])),
            tools=json.loads(about.pop("tools", "[]")),
            facts=about,
        )
