"""Asking an endpoint: each answer is kept, and a night spends no more than its budget.

It is asked about each group twice, the second time in reverse order, because language
models favour what stands first, or last. The two scores are averaged; where they are far apart the
order decided, and the judge abstains.

Source: Zheng et al., "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena" (2023),
arXiv:2306.05685, section 3.4 (swapping positions; there a pair, here a group with scores).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from schemas.digest import digest
from schemas.label_config import JudgeConfig
from schemas.plugins import Seen
from tasks.label.judge.cache import Cache, key_of
from tasks.label.judge.endpoint import Endpoint
from tasks.label.judge.question import PROMPT_VERSION
from tasks.label.judge.verdict import ALIKE, Verdict, Verdicts
from tasks.label.judge.view import shown

SWAYED_BY = 0.3
"""Difference of the scores in the two orders beyond which the order decided."""
SWAYED = "the order of the episodes swayed the judge"


class Job(NamedTuple):
    """One group as it is asked about."""

    number: int
    """Its place among the groups."""
    texts: list[str]
    """Its episodes as they are shown, each different text once, in an order of their own."""
    seat: list[int]
    """The text of each episode."""


class EndpointJudge:
    """Asks an endpoint, several questions at a time.

    Args:
        config: How to ask, and how much a night may ask.
        endpoint: Whom to ask.
        cache: What it has answered before, and what nights have spent.
        night: Whose budget it is.
    """

    def __init__(self, config: JudgeConfig, endpoint: Endpoint, cache: Cache, night: str) -> None:
        self.asked = self.cached = self.tokens = 0
        self._config, self._endpoint, self._cache, self._night = config, endpoint, cache, night
        self._turn = threading.Lock()

    @property
    def stopped(self) -> str | None:
        """Why it asks no more."""
        return self._endpoint.stopped

    def compare(self, groups: Sequence[Sequence[Seen]]) -> list[Verdicts]:
        """Judge some groups; the budget goes to the first of them."""
        found: list[Verdicts] = [None] * len(groups)
        jobs = (self._job(number, group) for number, group in enumerate(groups))
        workers = min(self._config.parallel, len(groups))
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(self._work, jobs, found) for _ in range(workers)]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._endpoint.halted.set()
                raise
        return found

    def _job(self, number: int, group: Sequence[Seen]) -> Job:
        """Show a group's episodes: equal ones once, in an order that tells nothing of them."""
        texts = [shown(episode, self._config.characters) for episode in group]
        different = sorted(set(texts), key=digest)
        return Job(number, different, [different.index(text) for text in texts])

    def _work(self, jobs: Iterator[Job], found: list[Verdicts]) -> None:
        """Take job after job until there is none, or all shall stop."""
        while not self._endpoint.halted.is_set():
            with self._turn:  # jobs start in order, so that the budget goes to the first
                job = next(jobs, None)
                if job is None:
                    return
                orders = (job.texts, job.texts[::-1])
                keys = [self._key(texts) for texts in orders]
                kept = [self._cache.get(key) for key in keys]
                missing = kept.count(None)
                alike = len(job.texts) < 2
                if not alike and missing and not self._may_ask(missing):
                    continue
                self.cached += not alike and not missing
            if alike:
                found[job.number] = [Verdict(None, ALIKE)] * len(job.seat)
                continue
            verdicts = self._ask(orders, keys, kept)
            found[job.number] = [verdicts[seat] for seat in job.seat]

    def _ask(
        self,
        orders: tuple[list[str], list[str]],
        keys: list[str],
        kept: list[list[float | None] | None],
    ) -> list[Verdict]:
        """Get the scores in both orders that are not kept, and bring them together."""
        unused = kept.count(None)
        for place, (texts, key) in enumerate(zip(orders, keys, strict=True)):
            if kept[place] is not None:
                continue
            reply = self._endpoint.ask(texts, lambda: self._spend(1))
            unused -= 1
            with self._turn:
                self.asked += reply.sent
                self.tokens += reply.tokens
            if reply.scores is None:
                self._cache.give_back(self._night, unused)
                return [Verdict(None, reply.reason)] * len(texts)
            self._cache.put(key, reply.scores)
            kept[place] = list(reply.scores)
        return both_orders(kept[0] or [], (kept[1] or [])[::-1])

    def _may_ask(self, requests: int) -> bool:
        return self.stopped is None and self._spend(requests)

    def _spend(self, requests: int) -> bool:
        return self._cache.claim(self._night, requests, self._config.budget)

    def _key(self, texts: Sequence[str]) -> str:
        return key_of("endpoint", self._endpoint.model, PROMPT_VERSION, *texts)


def both_orders(first: Sequence[float | None], second: Sequence[float | None]) -> list[Verdict]:
    """Average the scores of the same episodes in two orders; abstain where they are far apart."""
    verdicts = []
    for one, other in zip(first, second, strict=True):
        if one is None or other is None or abs(one - other) > SWAYED_BY + 1e-9:
            verdicts.append(Verdict(None, SWAYED))
        else:
            verdicts.append(Verdict((one + other) / 2))
    return verdicts
