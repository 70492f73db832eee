"""The leak check: nothing held out, nor its twin, stands in a training set."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.errors import LeakError
from tasks.build.verdicts import Verdict


def traces(verdict: Verdict) -> set[tuple[str, str]]:
    """Give what would betray a held-out episode: its scenario, question, session and body."""
    named = [
        ("scenario", verdict.scenario_id),
        ("question", verdict.question),
        ("session", verdict.session_id),
        ("body", verdict.body_digest),
    ]
    return {(kind, value) for kind, value in named if value}


def check_leaks(training: Iterable[Verdict], held_out: Iterable[Verdict]) -> int:
    """Compare every training row with every held-out episode.

    Returns:
        0: the number of leaks in a build that may be used.

    Raises:
        LeakError: A training row shares a trace with a held-out episode.
    """
    secret = {trace for verdict in held_out for trace in traces(verdict)}
    leaks = [(v, sorted(traces(v) & secret)) for v in training if traces(v) & secret]
    if leaks:
        verdict, [(kind, value), *_] = leaks[0]
        raise LeakError(
            f"{len(leaks)} training rows share a trace with held-out episodes; the first,"
            f" {verdict.episode_id[:16]}, by its {kind} {value[:60]!r}",
            "Nothing was written. Check the table `splits` and the sources of that episode.",
        )
    return 0
