"""The judge by rules: it needs no model, and looks only at what the episode itself shows.

Each rule gives a fraction; their weighted sum is held against the group's mean, so that the score
is 0.5 for what is usual in the group. It abstains where the group's episodes do not differ.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.plugins import Seen
from tasks.label.judge.verdict import ALIKE, Verdict, Verdicts
from tasks.label.judge.view import said

ANSWERED = 0.35
"""The agent's last message answers and makes no call: without one the user has nothing."""
WORKED = 0.2
"""Share of calls that were well-formed and brought no error; 1 where none was made."""
GROUNDED = 0.2
"""Share of the answer's numbers that stand in a result or a user's message; 1 where it has none.
What is added up by the agent itself counts against it, hence no more than this."""
ENDED_WELL = 0.15
"""The last result is no error: what is said after an error is said without knowing."""
NO_LOOP = 0.1
"""Share of calls that are not the same call made before; 1 where none was made."""

_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
_LIST = re.compile(r"^\s*1[.)]\s", re.MULTILINE)
_LIST_MARK = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)


class RuleJudge:
    """Compares by the rules above; it asks nobody and spends nothing."""

    asked = 0
    cached = 0
    tokens = 0
    stopped: str | None = None

    def compare(self, groups: Sequence[Sequence[Seen]]) -> list[Verdicts]:
        """Judge each group."""
        return [compare(group) for group in groups]


def compare(group: Sequence[Seen]) -> list[Verdict]:
    """Score the episodes of a group, each held against the mean."""
    merits = [merit(episode) for episode in group]
    if max(merits) - min(merits) < 1e-9:
        return [Verdict(None, ALIKE)] * len(merits)
    mean = sum(merits) / len(merits)
    return [Verdict(min(max(0.5 + value - mean, 0.0), 1.0)) for value in merits]


def merit(episode: Seen) -> float:
    """Sum what the rules say of one episode, fraction in [0, 1]."""
    messages = said(episode)
    spoken = [message for message in messages if message["role"] == "assistant"]
    results = [message for message in messages if message["role"] == "tool"]
    calls = [call for message in spoken for call in message.get("tool_calls") or ()]
    answer = _answer(spoken)
    failed = sum(bool(result.get("error")) for result in results)
    malformed = sum(bool(call.get("malformed")) for call in calls)
    different = len({(call["name"], call["arguments"]) for call in calls})
    count = max(len(calls), 1)
    return (
        ANSWERED * bool(answer)
        + WORKED * (1 - min(max(failed, malformed), count) / count)
        + GROUNDED * grounded(answer, messages)
        + ENDED_WELL * (not (results and results[-1].get("error")))
        + NO_LOOP * (different / count if calls else 1)
    )


def grounded(answer: str, messages: Sequence[Mapping[str, Any]]) -> float:
    """Give the share of an answer's numbers that were seen, exactly or before rounding.

    Args:
        answer: What the agent said last.
        messages: Of these, results and what users said count.
    """
    told = _NUMBER.findall(_LIST_MARK.sub("", answer) if _LIST.search(answer) else answer)
    if not told:
        return 1.0
    sources = [m.get("content") or "" for m in messages if m["role"] in {"tool", "user"}]
    seen = sorted({abs(_value(number)) for text in sources for number in _NUMBER.findall(text)})
    return sum(_is_seen(number, seen) for number in told) / len(told)


def _is_seen(number: str, seen: Sequence[float]) -> bool:
    """Say whether a number may be one of those seen, rounded to as many places as it has."""
    value = abs(_value(number))
    half = 0.5 * 10.0 ** -len(number.partition(".")[2]) + 1e-9
    place = bisect_left(seen, value - half)
    return place < len(seen) and seen[place] <= value + half


def _answer(spoken: Sequence[Mapping[str, Any]]) -> str:
    """Give what the agent said last; empty where its last message calls, or says nothing."""
    if not spoken or spoken[-1].get("tool_calls"):
        return ""
    return (spoken[-1].get("content") or "").strip()


def _value(number: str) -> float:
    return float(number.replace(",", ""))
