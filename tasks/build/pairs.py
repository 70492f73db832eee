"""Preference pairs: success against failure of one problem, a failed call against its repair."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.config import BuildConfig
from schemas.digest import digest
from tasks.build.verdicts import Verdict, best_first
from tasks.label.process import TOOL_ERROR

PER_SIDE = 32
"""Most successes, and most failures, of one problem that are tried against each other."""


class Body(NamedTuple):
    """What the guards need to know of an episode's messages."""

    prompt_digest: str
    characters: int


class PairChoice(NamedTuple):
    """A pair by its ids; the messages are fetched afterwards."""

    kind: str
    chosen_episode: str
    rejected_episode: str
    margin: float
    confidence: float
    failed: int | None = None
    """Retry: 1-based position of the message that failed."""
    working: int | None = None

    @property
    def pair_id(self) -> str:
        """Digest of what makes the pair."""
        named = f"{self.kind}:{self.chosen_episode}:{self.rejected_episode}:{self.failed}"
        return digest(named, 24)


class Problem(NamedTuple):
    """The episodes of one scenario or question, both kinds best (surest) first."""

    successes: list[Verdict]
    failures: list[Verdict]

    @property
    def candidates(self) -> int:
        """Number of success-failure combinations."""
        return len(self.successes) * len(self.failures)


def problems(verdicts: Iterable[Verdict]) -> list[Problem]:
    """Group labelled episodes by problem; only those with both outcomes are given."""
    groups: defaultdict[str, Problem] = defaultdict(lambda: Problem([], []))
    for verdict in sorted(verdicts, key=best_first):
        if verdict.state == "success":
            groups[verdict.problem].successes.append(verdict)
        elif verdict.state == "failure":
            groups[verdict.problem].failures.append(verdict)
    return [groups[name] for name in sorted(groups) if groups[name].candidates]


def episode_pairs(
    both: Iterable[Problem],
    bodies: Mapping[str, Body],
    train: set[str],
    config: BuildConfig,
    guards: Counter[str],
) -> list[PairChoice]:
    """Pair successes with failures; every combination that is dropped is counted under its guard.

    Args:
        both: Problems with both outcomes.
        bodies: Prompt and length by episode id; an episode without a step has none.
        train: Episodes on the training side of the split.
        config: Margin, confidence, length ratio and cap.
        guards: Counts of what was dropped; added to.
    """
    pairs = []
    for problem in both:
        tried = [(s, f) for s in problem.successes[:PER_SIDE] for f in problem.failures[:PER_SIDE]]
        guards["cap"] += problem.candidates - len(tried)
        passed = []
        for success, failure in tried:
            guard = dropped_by(success, failure, bodies, train, config)
            if guard is not None:
                guards[guard] += 1
                continue
            passed.append(
                PairChoice(
                    kind="episode",
                    chosen_episode=success.episode_id,
                    rejected_episode=failure.episode_id,
                    margin=(success.total or 0.0) - (failure.total or 0.0),
                    confidence=min(success.confidence, failure.confidence),
                )
            )
        passed.sort(key=lambda pair: (-pair.confidence, -pair.margin, pair.pair_id))
        guards["cap"] += max(0, len(passed) - config.pair_cap_per_scenario)
        pairs += passed[: config.pair_cap_per_scenario]
    return pairs


def dropped_by(
    success: Verdict,
    failure: Verdict,
    bodies: Mapping[str, Body],
    train: set[str],
    config: BuildConfig,
) -> str | None:
    """Name the first guard that drops a pair; None when it passes all."""
    chosen, rejected = bodies.get(success.episode_id), bodies.get(failure.episode_id)
    if success.episode_id not in train or failure.episode_id not in train:
        return "held_out"
    if chosen is None or rejected is None or chosen.prompt_digest != rejected.prompt_digest:
        return "prompt"
    if success.body_digest == failure.body_digest:
        return "identical"
    if min(success.confidence, failure.confidence) < config.pair_confidence:
        return "confidence"
    if (success.total or 0.0) - (failure.total or 0.0) < config.pair_margin:
        return "margin"
    shorter, longer = sorted((chosen.characters, rejected.characters))
    return "length" if longer > config.pair_length_ratio * max(shorter, 1) else None


def retry_pairs(
    retries: Iterable[tuple[str, int, int]],
    successes: Mapping[str, Verdict],
    config: BuildConfig,
    guards: Counter[str],
) -> list[PairChoice]:
    """Prefer the call that worked to the failed one before it, at the same prefix.

    Args:
        retries: Episode id and the positions of the failed and the working message.
        successes: Confident training successes by id: a repair in a failed episode proves little.
        config: Cap.
        guards: Counts of what was dropped; added to.
    """
    pairs = []
    per_problem: Counter[str] = Counter()
    for episode_id, failed, working in retries:
        verdict = successes[episode_id]
        if verdict.confidence < config.pair_confidence:
            guards["retry_confidence"] += 1
            continue
        if per_problem[verdict.problem] >= config.pair_cap_per_scenario:
            guards["retry_cap"] += 1
            continue
        per_problem[verdict.problem] += 1
        # Both sides share the outcome; they differ by the process reward of the failed call.
        pairs.append(
            PairChoice(
                "retry", episode_id, episode_id, -TOOL_ERROR, verdict.confidence, failed, working
            )
        )
    return pairs
