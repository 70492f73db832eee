"""Judge groups of episodes, and say which of each group are the better and which the worse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from schemas.label_config import JudgeConfig
from tasks.label.block import Bools, Floats, Ints
from tasks.label.judge.cache import Cache
from tasks.label.judge.own_judge import OwnJudge
from tasks.label.judge.rules import RuleJudge
from tasks.label.judge.verdict import Judge, Verdict
from tasks.label.own import Own

STRETCH = 64
"""Groups whose episodes are in memory at once, at least."""
SILENT_WITHIN = 0.1
"""Spread of a group's scores up to which it says nothing of its episodes."""
BUILT_IN = ("rules", "endpoint")

Episodes = Callable[[Ints], list[Mapping[str, Any]]]
"""Gives rows of the table `episodes`, one for each position asked for, in that order."""


class Judged(NamedTuple):
    """What a judge said of a night's groups."""

    scores: Floats
    """Score of each episode beside its group, in [0, 1], `(episodes,)`; NaN where the judge
    abstained or was not asked."""
    source: str
    """`judge` and its name or model: the source of the evidence."""
    asked: int
    """Requests made, retries included; of a judge of one's own, calls."""
    cached: int
    """Groups that needed no request, because their answers were kept."""
    abstained: dict[str, int]
    """Episodes that it abstained on, by reason."""
    over_budget: int
    """Groups that were left for lack of budget."""
    tokens: int
    """Tokens the endpoint says were used."""


def check(config: JudgeConfig) -> None:
    """See that a judge can be asked at all, before any work.

    Raises:
        ConfigurationError: The endpoint has no address or model, or a judge cannot be loaded.
    """
    if config.use == "endpoint":
        from tasks.label.judge.endpoint import Endpoint

        with Endpoint(config):
            pass
    elif config.use != "rules":
        _own(config)


def judge(
    config: JudgeConfig,
    home: Path,
    night: str,
    groups: Sequence[Ints],
    episodes: Episodes,
    total: int | None = None,
) -> Judged:
    """Judge groups, in order, as far as the night's budget goes.

    A second run of the same night finds its answers kept and spends nothing for them.

    Args:
        config: Which judge, and how it is asked.
        home: The run-time folder, where answers are kept.
        night: Whose budget it is, `YYYY-MM-DD`.
        groups: Positions of the episodes of each group; no episode is in two.
        episodes: Reads episodes; asked only for those of groups.
        total: Episodes there are; None for as many as the groups name.

    Raises:
        ConfigurationError: The endpoint has no address or model, or a judge cannot be loaded.
        InputError: What is kept of earlier answers cannot be read or written.
    """
    highest = max((int(group.max()) for group in groups), default=-1)
    scores = np.full(highest + 1 if total is None else total, np.nan)
    abstained: Counter[str] = Counter()
    left: list[Ints] = []
    with _opened(config, home, night) as asked:
        stretches = _stretches(groups, max(STRETCH, 2 * config.parallel))
        for stretch in stretches:
            verdicts = asked.compare(_rows(stretch, episodes))
            for group, found in zip(stretch, verdicts, strict=True):
                if found is None:
                    left.append(group)
                else:
                    _note(group, found, scores, abstained)
            if all(found is None for found in verdicts):
                break  # nothing kept here and nobody to ask: the rest need not be read
        left += [group for stretch in stretches for group in stretch]
        if left and asked.stopped:
            abstained[asked.stopped] += sum(map(len, left))
            left = []
    source = f"judge {config.model if config.use == 'endpoint' else config.use}"
    return Judged(
        scores, source, asked.asked, asked.cached, dict(abstained), len(left), asked.tokens
    )


def halves(scores: Floats, groups: Sequence[Ints]) -> tuple[Bools, Bools]:
    """Say which episodes stand above the middle of their group's scores, and which below.

    The middle is half-way between the best and the worst. A group whose scores lie within
    `SILENT_WITHIN` of each other says nothing, nor does what is exactly in the middle.

    Args:
        scores: Score of each episode, `(episodes,)`; NaN where it has none.
        groups: Positions of the episodes of each group; no episode is in two.

    Returns:
        Those above and those below, each `(episodes,)`.
    """
    high, low = np.zeros(len(scores), bool), np.zeros(len(scores), bool)
    if not groups:
        return high, low
    members = np.concatenate(groups)
    sizes = np.array([len(group) for group in groups])
    begins = np.cumsum(sizes) - sizes
    best = np.fmax.reduceat(scores[members], begins)
    worst = np.fmin.reduceat(scores[members], begins)
    speaks = np.repeat(best - worst > SILENT_WITHIN + 1e-9, sizes)  # NaN compares as False
    above = scores[members] - np.repeat((best + worst) / 2, sizes)
    high[members] = speaks & (above > 1e-9)
    low[members] = speaks & (above < -1e-9)
    return high, low


def _note(group: Ints, found: Sequence[Verdict], scores: Floats, abstained: Counter[str]) -> None:
    """Write down what was said of one group."""
    for episode, verdict in zip(group.tolist(), found, strict=True):
        if verdict.score is None:
            abstained[verdict.reason] += 1
        else:
            scores[episode] = verdict.score


def _stretches(groups: Sequence[Ints], size: int) -> Iterator[Sequence[Ints]]:
    """Yield the groups, `size` at a time."""
    for begin in range(0, len(groups), size):
        yield groups[begin : begin + size]


def _rows(groups: Sequence[Ints], episodes: Episodes) -> list[list[Mapping[str, Any]]]:
    """Read the episodes of some groups at once."""
    wanted = np.unique(np.concatenate(groups))
    row = dict(zip(wanted.tolist(), episodes(wanted), strict=True))
    return [[row[episode] for episode in group.tolist()] for group in groups]


def _own(config: JudgeConfig) -> Own:
    return Own(config.use, "label.judge", config.options, BUILT_IN)


@contextmanager
def _opened(config: JudgeConfig, home: Path, night: str) -> Iterator[Judge]:
    """Open the judge that is configured, and what it needs."""
    if config.use == "rules":
        yield RuleJudge()
        return
    with ExitStack() as stack:
        if config.use == "endpoint":
            from tasks.label.judge.asking import EndpointJudge
            from tasks.label.judge.endpoint import Endpoint

            endpoint = stack.enter_context(Endpoint(config))
            cache = stack.enter_context(Cache(home))
            yield EndpointJudge(config, endpoint, cache, night)
        else:
            own = _own(config)
            yield OwnJudge(config, own, stack.enter_context(Cache(home)), night)
