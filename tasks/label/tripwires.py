"""Tripwires: signs that a reward is being earned without the work.

Each looks at what one night labelled, as arrays. None of them changes a label: a wire that was
touched is something a person must look at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from schemas.labelling import Tripped
from tasks.label.block import Bools, Floats, Ints
from tasks.label.verdicts import Codes
from tasks.label.weights import FAILURE, SUCCESS

RISKY = 0.5
"""Share of failed calls from which a success looks wrong."""
SET_LEAST = 3
"""Verified runs with calls that make a set: fewer can fail in every call by chance."""
MALFORMED_SHARE = 0.02
"""Share of malformed calls among successes that is too much in any case."""
MALFORMED_LEAST = 3
"""Malformed calls among successes from which their share is looked at."""
LEAST = 20
"""Episodes, or pieces of feedback, from which a share says something."""
STANDARD_ERRORS = 3.0
"""How far from chance a difference must lie: one night in some 700 reaches that by itself."""
DRIFT_SHARE = 0.2
"""Change of a mean that matters to a person, as a share of it."""
DRIFT_EPISODES = 30
"""Successes from which a night's mean is near enough to normal to have a standard error."""
DRIFT_NIGHTS = 3
"""Earlier nights from which their spread is known at all: three give two differences."""
DRIFT_MEMORY = 30
"""Nights that the earlier mean looks back on, so that an agent may change and not alarm for ever.
"""
DOMINATED = 0.5
"""Share of a night's positive feedback that one user or session gives where it is dominated."""
SURE, SURE_NOT = 0.8, 0.2
"""Predictions that a verified outcome ought not to contradict."""
DISAGREEMENT = 0.2
"""Share of contradicted predictions that is too much: calibrated ones stay below."""


class Night(NamedTuple):
    """What one night labelled: arrays `(episodes,)`, and of positive feedback `(pieces,)`."""

    calls: Ints
    """Tool calls."""
    malformed: Ints
    """Calls whose arguments are no JSON object."""
    errors: Ints
    """Tool results that are errors."""
    characters: Ints
    """Characters that the agent wrote."""
    asked_back: Ints
    """Questions that it asked back."""
    tools_offered: Bools
    state: Codes
    """`UNLABELLED`, `FAILURE` or `SUCCESS` (tasks/label/weights.py)."""
    outcome: Floats
    """Verified value, fraction in [0, 1]; NaN where nobody verified."""
    predicted: Floats
    """What the other evidence says of a verified episode; NaN where there is none."""
    source: Ints
    """Code of the file or set that each was read from; -1 unknown."""
    scenario: Ints
    """Code of its scenario; -1 unknown."""
    user: Ints
    """Code of who gave each piece of positive feedback; -1 unknown, `(pieces,)`."""
    session: Ints
    """Code of the session it was given in; -1 unknown, `(pieces,)`."""


def tripped(night: Night, before: Mapping[str, float]) -> tuple[list[Tripped], dict[str, float]]:
    """List the tripwires that a night touched.

    Args:
        night: What it labelled.
        before: Means that the night before gave to keep; empty before the first.

    Returns:
        The tripwires touched, none when all is quiet; and means to keep for the night after, which
        hold those of `before` where this night has too few successes to say anything.
    """
    length, kept_length = _drift("length", "characters written", night.characters, night, before)
    asking, kept_asking = _drift("asking", "questions asked back", night.asked_back, night, before)
    found = [
        _success_with_tool_errors(night),
        _every_call_fails(night),
        _success_without_tools(night),
        _malformed_calls(night),
        length,
        asking,
        _feedback_dominated(night),
        _sources_disagree(night),
    ]
    return [wire for wire in found if wire is not None], kept_length | kept_asking


def _success_with_tool_errors(night: Night) -> Tripped | None:
    """Find successes of which at least half of the calls failed."""
    won = night.state == SUCCESS
    count = int(np.count_nonzero(won & (night.calls > 0) & (night.errors >= RISKY * night.calls)))
    return _if_any(
        "success_with_tool_errors",
        count,
        f"{count:,} of {np.count_nonzero(won):,} successes: labelled success although at least "
        f"{RISKY:.0%} of the tool calls failed",
    )


def _every_call_fails(night: Night) -> Tripped | None:
    """Find sources and scenarios that reward every run with 1 while every tool call fails.

    A verifier that calls everything a success has checked nothing. Runs that nobody verified are
    left out, and so are those that called no tool, unless one of them is a verified failure.
    """
    won = (night.state == SUCCESS) & ~np.isnan(night.outcome)
    lost = (night.state == FAILURE) & ~np.isnan(night.outcome)
    calling = won & (night.calls > 0)
    fine = calling & (night.errors < night.calls)
    hit = np.zeros(len(won), dtype=bool)
    parts = []
    for name, group in (("source", night.source), ("scenario", night.scenario)):
        _, code = np.unique(group, return_inverse=True)
        known = group >= 0
        runs = np.bincount(code, calling & known)
        bad = (runs >= SET_LEAST) & (np.bincount(code, (lost | fine) & known) == 0)
        hit |= calling & known & bad[code]
        parts.append(f"{np.count_nonzero(bad):,} {name}(s)")
    count = int(np.count_nonzero(hit))
    return _if_any(
        "every_call_fails",
        count,
        f"{count:,} verified successes, in {' and '.join(parts)} where every tool call failed and "
        "every logged reward is 1",
    )


def _success_without_tools(night: Night) -> Tripped | None:
    """Find successes that used none of the tools they were offered."""
    won = night.state == SUCCESS
    count = int(np.count_nonzero(won & night.tools_offered & (night.calls == 0)))
    return _if_any(
        "success_without_tools",
        count,
        f"{count:,} of {np.count_nonzero(won):,} successes: labelled success although tools were "
        "offered and none was used",
    )


def _malformed_calls(night: Night) -> Tripped | None:
    """Find malformed calls that pay: too many among successes, or more than among failures.

    Calls of one episode go wrong together, so that classes are compared by episodes that make a
    malformed call, not by calls.

    Source: the test of two proportions with pooled variance, e.g. Agresti, "Categorical Data
        Analysis" (2013), section 3.2.
    """
    classes = [night.state == FAILURE, night.state == SUCCESS]
    made = [int(night.malformed[rows].sum()) for rows in classes]
    calls = [int(night.calls[rows].sum()) for rows in classes]
    shares = [wrong / max(total, 1) for wrong, total in zip(made, calls, strict=True)]
    callers = [np.count_nonzero(rows & (night.calls > 0)) for rows in classes]
    wrong = [np.count_nonzero(rows & (night.malformed > 0)) for rows in classes]
    more = False
    if min(callers) >= LEAST:
        pooled = sum(wrong) / sum(callers)
        spread = np.sqrt(pooled * (1 - pooled) * (1 / callers[0] + 1 / callers[1]))
        more = wrong[1] / callers[1] - wrong[0] / callers[0] > STANDARD_ERRORS * spread
    if made[1] < MALFORMED_LEAST or not (shares[1] > MALFORMED_SHARE or more):
        return None
    return Tripped(
        kind="malformed_calls",
        count=made[1],
        detail=f"{made[1]:,} of {calls[1]:,} calls of successes are malformed ({shares[1]:.1%}), "
        f"against {shares[0]:.1%} of those of failures",
    )


def _drift(
    name: str, what: str, values: Ints, night: Night, before: Mapping[str, float]
) -> tuple[Tripped | None, dict[str, float]]:
    """Hold the mean of a night's successes against earlier nights'.

    It has drifted where it lies more than 3 standard errors and 20% from theirs. The first alone
    would name every tiny change of a large night, the second every small night. The error is made
    of the spread of this night's episodes and of the nights; the latter is taken from differences
    of successive nights, since a slow drift, which is what a policy that learns to please a length
    does, would hide in their plain variance. Earlier nights fade over `DRIFT_MEMORY` nights.

    Source: mean square successive difference, von Neumann, Kent, Bellinson, Hart, "The Mean Square
        Successive Difference" (1941).
    """
    keys = [f"{name}_{part}" for part in ("nights", "mean", "last", "jumps")]
    nights, mean, last, jumps = (before.get(key, 0.0) for key in keys)
    seen = values[night.state == SUCCESS]
    if len(seen) < DRIFT_EPISODES:
        return None, {key: before[key] for key in keys if key in before}
    now = float(seen.mean())
    error = float(np.sqrt(seen.var(ddof=1) / len(seen) + jumps / 2))
    far = abs(now - mean) > max(STANDARD_ERRORS * error, DRIFT_SHARE * mean)
    wire = None
    if nights >= DRIFT_NIGHTS and far:
        change = f"{now / mean - 1:+.0%}" if mean > 0 else "from none"
        wire = Tripped(
            kind=f"{name}_drift",
            count=len(seen),
            detail=f"{len(seen):,} successes have {now:,.2f} {what} on average, against "
            f"{mean:,.2f} in earlier nights ({change}; standard error {error:,.2f})",
        )
    fade = 1 / min(nights + 1, DRIFT_MEMORY)
    if nights > 0 and wire is None:  # a jump that alarmed must not widen what is taken for usual
        jumps += ((now - last) ** 2 - jumps) / min(nights, DRIFT_MEMORY)
    kept = (nights + 1, mean + fade * (now - mean), now, jumps)
    return wire, dict(zip(keys, kept, strict=True))


def _feedback_dominated(night: Night) -> Tripped | None:
    """Find a user or session that gave more than half of the positive feedback."""
    total = len(night.user)
    most, name = max(
        (int(np.unique(codes[codes >= 0], return_counts=True)[1].max(initial=0)), name)
        for name, codes in (("session", night.session), ("user", night.user))
    )
    if total < LEAST or most <= DOMINATED * total:
        return None
    return Tripped(
        kind="feedback_dominated",
        count=most,
        detail=f"one {name} gave {most:,} of {total:,} pieces of positive feedback "
        f"({most / total:.0%})",
    )


def _sources_disagree(night: Night) -> Tripped | None:
    """Find verified outcomes that contradict what the other evidence is sure of.

    Calibrated predictions are wrong as often as they say, so that more than 20% is not enough on
    few episodes: it must also lie 3 standard errors above what the predictions themselves expect.
    """
    held = ~np.isnan(night.outcome) & ~np.isnan(night.predicted)
    held &= (night.state == SUCCESS) | (night.state == FAILURE)
    predicted, won = night.predicted[held], night.state[held] == SUCCESS
    denied = int(np.count_nonzero(~won & (predicted > SURE)))
    unforeseen = int(np.count_nonzero(won & (predicted < SURE_NOT)))
    sure = predicted[(predicted > SURE) | (predicted < SURE_NOT)]
    expected = float(np.minimum(sure, 1 - sure).sum())
    chance = float(np.sqrt((sure * (1 - sure)).sum()))
    count = denied + unforeseen
    if len(predicted) < LEAST or count <= DISAGREEMENT * len(predicted):
        return None
    if count <= expected + STANDARD_ERRORS * chance:
        return None
    return Tripped(
        kind="sources_disagree",
        count=count,
        detail=f"{count:,} of {len(predicted):,} verified episodes contradict their other evidence "
        f"({count / len(predicted):.0%}): {denied:,} failures looked like successes, "
        f"{unforeseen:,} successes like failures",
    )


def _if_any(kind: str, count: int, detail: str) -> Tripped | None:
    """Make a tripwire of a count, unless it is 0."""
    return Tripped(kind=kind, count=count, detail=detail) if count else None
