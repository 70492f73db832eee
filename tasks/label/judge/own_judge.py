"""A judge of the user's own: each answer is kept, and a call counts against the night's budget."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.digest import digest
from schemas.label_config import JudgeConfig
from schemas.plugins import Seen
from tasks.label.judge.cache import Cache, key_of
from tasks.label.judge.verdict import Verdict, Verdicts
from tasks.label.own import Own, fraction

ABSTAINED = "it abstained"


class OwnJudge:
    """Asks a judge of the user's own; a call is a request.

    Args:
        config: What it is called, and how often a night may call it.
        own: The judge inside its boundary.
        cache: What it has answered before, and what nights have spent.
        night: Whose budget it is.
    """

    def __init__(self, config: JudgeConfig, own: Own, cache: Cache, night: str) -> None:
        self.asked = self.cached = self.tokens = 0
        self.stopped: str | None = None
        self._config, self._own, self._cache, self._night = config, own, cache, night
        self._version = [
            config.use,
            _code(config.use),
            msgspec.json.encode(config.options).decode(),
        ]

    def compare(self, groups: Sequence[Sequence[Seen]]) -> list[Verdicts]:
        """Judge some groups; the budget goes to the first of them."""
        return [self._one(group) for group in groups]

    def _one(self, group: Sequence[Seen]) -> Verdicts:
        rows = [msgspec.json.encode(episode, order="sorted").decode() for episode in group]
        key = key_of("own", *self._version, *rows)
        kept = self._cache.get(key)
        if kept is None:
            if not self._cache.claim(self._night, 1, self._config.budget):
                return None
            self.asked += 1
            before = self._own.failed
            kept = self._own(group, lambda answer: _fractions(answer, len(group)))
            if kept is None:
                failed = self._own.failed
                new = failed is not None and failed != before
                reason = f"it failed: {failed.message}" if failed and new else ABSTAINED
                return [Verdict(None, reason)] * len(group)
            self._cache.put(key, kept)
        else:
            self.cached += 1
        return [Verdict(score, "" if score is not None else ABSTAINED) for score in kept]


def _fractions(answer: Any, count: int) -> list[float | None]:
    """Take an answer as scores of a group.

    Raises:
        ValueError: There are more or fewer, or one is not in [0, 1].
    """
    scores = [None if score is None else fraction(score) for score in answer]
    if len(scores) != count:
        raise ValueError(f"{len(scores)} scores for {count} episodes")
    return scores


def _code(use: str) -> str:
    """Digest the file that a judge is in, so that another version of it is asked anew."""
    try:
        return digest(inspect.getsource(sys.modules[use.partition(":")[0]]))
    except (OSError, TypeError):
        return ""
