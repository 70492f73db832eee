"""How an episode is shown to a judge: what the agent was asked, what it did, saw and answered.

No id, reward, feedback, model name or date is shown, nor what a simulated user did with tools of
its own. What stands in an episode is data: lines after the first of a message are indented, so that
no message can look like several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.plugins import Seen


def shown(episode: Seen, characters: int) -> str:
    """Write an episode as text, its middle left out where it is long.

    The system message is left out: it is the same for the whole group, and long.

    Args:
        episode: A row of the table `episodes`.
        characters: Most characters of the text; at least 200.
    """
    lines = list(_lines(episode))
    text = "\n".join(lines)
    if len(text) <= characters:
        return text
    # No single result may push the question, the other calls or the answer out of sight.
    return cut("\n".join(cut(line, characters // 4) for line in lines), characters)


def said(episode: Seen) -> list[Mapping[str, Any]]:
    """Give the messages of an episode that the agent saw or said."""
    return [message for message in episode["messages"] or () if not _aside(message)]


def cut(text: str, limit: int) -> str:
    """Leave out the middle of a text that is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    note = f" [... {len(text)} characters, the middle is left out ...] "
    kept = max(limit - len(note), 0)
    return text[: kept - kept // 2] + note + text[len(text) - kept // 2 :]


def _aside(message: Mapping[str, Any]) -> bool:
    """Say whether a message is what a simulated user did: the agent never saw it."""
    if message.get("requestor") is not None:
        return True
    silent = not (message.get("content") or "").strip()
    return message["role"] == "user" and bool(message.get("tool_calls")) and silent


def _lines(episode: Seen) -> Iterator[str]:
    """Yield what each message says or does."""
    for message in said(episode):
        role, content = message["role"], message.get("content") or ""
        if role == "tool":
            yield _line("error" if message.get("error") else "result", content)
        elif role == "user":
            yield _line("user", content)
        elif role == "assistant":
            if content.strip():
                yield _line("agent", content)
            for call in message.get("tool_calls") or ():
                yield _line("call", f"{call['name']} {call['arguments']}")


def _line(kind: str, content: str) -> str:
    return f"{kind}: " + "\n  ".join(content.strip().splitlines())
