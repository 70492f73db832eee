"""Which episodes become trajectories: to imitate, to prefer, or to play."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from schemas.config import BuildConfig
from schemas.digest import digest
from tasks.build.verdicts import Verdict, best_first


def sft_episodes(verdicts: Iterable[Verdict], config: BuildConfig) -> list[Verdict]:
    """Choose confident successes, best first, no body twice, few of one problem."""
    good = [v for v in verdicts if v.state == "success" and v.confidence >= config.sft_confidence]
    chosen = []
    bodies: set[str] = set()
    per_problem: Counter[str] = Counter()
    for verdict in sorted(good, key=best_first):
        if verdict.body_digest in bodies:
            continue
        if per_problem[verdict.problem] >= config.sft_cap_per_scenario:
            continue
        bodies.add(verdict.body_digest)
        per_problem[verdict.problem] += 1
        chosen.append(verdict)
    return chosen


def replayed(
    older: Iterable[Verdict], own: list[Verdict], config: BuildConfig, night: str
) -> list[Verdict]:
    """Draw older successes against forgetting: other ones every night, none that stands in `own`.

    Args:
        older: Episodes of earlier nights.
        own: The night's own choice, whose number sets theirs.
        config: Share and limits.
        night: Salt of the draw.
    """
    bodies = {verdict.body_digest for verdict in own}
    fit = [v for v in sft_episodes(older, config) if v.body_digest not in bodies]
    fit.sort(key=lambda v: digest(f"{night}:{v.episode_id}"))
    return fit[: int(config.replay_share * len(own))]


def kto_episodes(verdicts: Iterable[Verdict], config: BuildConfig) -> list[Verdict]:
    """Choose confident verdicts of both kinds; of equal bodies the surest speaks."""
    sure = [
        v for v in verdicts if v.state != "unlabelled" and v.confidence >= config.sft_confidence
    ]
    by_body: dict[str, Verdict] = {}
    for verdict in sorted(sure, key=best_first):
        by_body.setdefault(verdict.body_digest, verdict)
    return list(by_body.values())


def rl_episodes(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Choose one episode of each scenario, for its prompt."""
    by_scenario: dict[str, Verdict] = {}
    for verdict in sorted(verdicts, key=lambda v: v.episode_id):
        if verdict.scenario_id is not None:
            by_scenario.setdefault(verdict.scenario_id, verdict)
    return list(by_scenario.values())
