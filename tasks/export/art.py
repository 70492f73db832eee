"""OpenPipe ART's trajectories: one `TrajectoryGroup` a line, the episodes of one scenario.

What is taught stands as a `Choice`, as if the model had just said it; all else is context. Rewards
are the labels' returns; metrics say whether an episode went well, and how sure that is. Logged
episodes have no log-probabilities: ART's GRPO takes them with `allow_training_without_logprobs`.

Source: https://github.com/OpenPipe/ART/blob/v0.5.18/src/art/trajectories.py (read in 0.5.18).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tasks.export.chatml import message, read_turn
from tasks.export.conversation import Turn
from tasks.export.examples import Example, Use, split

USES: tuple[Use, ...] = ("kto", "sft")


def rows(use: Use, given: Iterable[Example], left_out: Counter[str]) -> Iterator[dict[str, Any]]:  # noqa: ARG001 - one form
    """Write examples as groups, in the order in which each scenario first comes up.

    Args:
        use: One of `USES`; `kto` has successes and failures, which GRPO compares.
        given: The examples. One without a scenario is a group of its own.
        left_out: Counts, by reason, what has no reward.
    """
    groups: dict[str, list[Example]] = {}
    for number, example in enumerate(given):
        if example.facts.get("total") is None:
            left_out["no reward"] += 1
            continue
        groups.setdefault(example.facts.get("scenario_id") or f"\0{number}", []).append(example)
    for some in groups.values():
        scenario = some[0].facts.get("scenario_id")
        metadata = {"scenario_id": scenario} if scenario else {}
        yield {"trajectories": [_trajectory(each) for each in some], "metadata": metadata}


def _trajectory(example: Example) -> dict[str, Any]:
    """Write one episode."""
    facts = example.facts
    metadata = {"episode_id": facts["episode_id"]} if "episode_id" in facts else {}
    return {
        "messages_and_choices": [_choice(turn) for turn in example.turns],
        "tools": example.tools or None,
        "reward": facts["total"],
        "metrics": {"desirable": example.desirable, "confidence": facts.get("weight", 0.0)},
        "metadata": metadata,
    }


def _choice(turn: Turn) -> dict[str, Any]:
    """Write a turn: as a choice where it is taught."""
    made = message(turn, as_text=True)
    if not turn.taught:
        return made
    reason = "tool_calls" if turn.calls else "stop"
    return {"finish_reason": reason, "index": 0, "logprobs": None, "message": made}


def read(use: Use, written: Iterable[Mapping[str, Any]]) -> Iterator[Example]:  # noqa: ARG001 - one form
    """Read groups back, as examples one after the other."""
    for group in written:
        for row in group["trajectories"]:
            whole = [
                read_turn(each.get("message", each), "message" in each)
                for each in row["messages_and_choices"]
            ]
            yield split(
                whole, tools=row["tools"] or [], desirable=row["metrics"]["desirable"],
                facts={"total": row["reward"], **group["metadata"], **row["metadata"]},
            )  # fmt: skip
