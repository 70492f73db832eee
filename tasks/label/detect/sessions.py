"""Re-asks between the episodes of a session: the same question again, soon after the answer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.label_config import SignalConfig
from tasks.label.block import Bools, Ints, strings
from tasks.label.detect.alike import alike
from tasks.label.detect.questions import read_questions
from tasks.label.detect.turns import LONGEST

NEXT = 5
"""Later episodes of its session whose questions an episode's is compared with."""

UNTIMED = np.int64(-(2**62))
"""Where the lines of episodes without a time stand on the clock: before all times."""

CHUNK = 1 << 18
"""Episodes whose questions are read at once: bounds the memory, and sessions stay whole."""

MINUTE = 60_000_000
"""Microseconds."""


def asked_again(
    session: Ints, question: pa.Array, began: Ints, ended: Ints, line: Ints, config: SignalConfig
) -> Bools:
    """Say which episodes' questions their session asked again soon after they had ended.

    What began before an episode had ended is a branch or a sub-agent of its run, no re-ask. Where
    an episode has no time, a later line decides, and any time comes after none.

    Args:
        session: Code of each episode's session, -1 where it has none, `(episodes,)`.
        question: Its question, lower case and squeezed; null or "" asks nothing.
        began: Microseconds since the epoch, -1 where unknown.
        ended: Likewise; where unknown, it ended as it began.
        line: Line of its source.
        config: How alike and how soon.
    """
    again = np.zeros(len(session), dtype=bool)
    question = pc.fill_null(strings(question), "")
    several = np.bincount(session[session >= 0], minlength=1) > 1
    kept = (session >= 0) & (pc.binary_length(question).to_numpy(zero_copy_only=False) > 0)
    found = np.flatnonzero(kept & several[np.maximum(session, 0)])
    timed = began[found] >= 0
    clock = np.where(timed, began[found], UNTIMED + line[found])
    found = found[np.lexsort((line[found], clock, session[found]))]
    for part in chunks(session[found], found):
        again[part] = again_in(
            session[part], question.take(pa.array(part)), began[part], ended[part], line[part],
            config,
        )  # fmt: skip
    return again


def chunks(session: Ints, found: Ints) -> list[Ints]:
    """Cut episodes in the order of their sessions into chunks of whole sessions."""
    cuts = np.unique(np.searchsorted(session, session[CHUNK::CHUNK]))
    return np.split(found, cuts)


def again_in(
    session: Ints, question: pa.Array, began: Ints, ended: Ints, line: Ints, config: SignalConfig
) -> Bools:
    """Say which episodes are asked again; they stand by session, then in the order of time."""
    clock = np.where(began >= 0, began, UNTIMED + line)
    ready = np.where(began >= 0, np.maximum(began + 1, ended), clock + 1)
    limit = np.where(began >= 0, np.maximum(began, ended) + config.reask_minutes * MINUTE, np.inf)
    # Equal questions stand together, so that the first one after the end is the only one to see.
    text = question.dictionary_encode().indices.to_numpy().astype(np.int64)
    asked = session * (int(text.max(initial=0)) + 1) + text
    order = np.argsort(asked, kind="stable")
    group = asked[order]
    first = first_after(group, clock[order], ready[order])
    again = np.zeros(len(session), dtype=bool)
    again[order] = in_time(group, clock[order], limit[order], first, np.arange(len(order)))
    near = np.flatnonzero(~again)
    return again | nearly(session, question, clock, ready, limit, near, config)


def nearly(
    session: Ints,
    question: pa.Array,
    clock: Ints,
    ready: Ints,
    limit: npt.NDArray[np.float64],
    near: Ints,
    config: SignalConfig,
) -> Bools:
    """Say which of some episodes have a nearly equal question among the next of their session."""
    first = first_after(session, clock, ready)[near]
    pairs = []
    for ahead in range(NEXT):
        soon = in_time(session, clock, limit, first + ahead, near)
        pairs.append(np.stack([near[soon], (first + ahead)[soon]]))
    left, right = np.concatenate(pairs, axis=1)
    again = np.zeros(len(session), dtype=bool)
    used = np.zeros(len(session), dtype=bool)
    used[left] = used[right] = True
    place = np.cumsum(used) - 1
    texts = question.filter(pa.array(used))
    texts = pc.if_else(pc.greater(pc.binary_length(texts), LONGEST), "", texts)
    same = alike(read_questions(texts), place[left], place[right], config.reask_similarity)
    again[left[same]] = True
    return again


def first_after(group: Ints, clock: Ints, ready: Ints) -> Ints:
    """Find the first episode of the same group that began when each was ready, `(episodes,)`.

    Args:
        group: Ascending.
        clock: When each began, ascending in a group.
        ready: From when another counts.

    Returns:
        A position; where there is none, that of another group or the end.
    """
    times = np.sort(clock)
    # Ranks are small where times are not: group and rank fit one number to search for.
    rank, wanted = np.searchsorted(times, clock), np.searchsorted(times, ready)
    number = np.cumsum(np.diff(group, prepend=group[:1]) != 0) * (len(times) + 1)
    return np.searchsorted(number + rank, number + wanted)


def in_time(
    group: Ints, clock: Ints, limit: npt.NDArray[np.float64], other: Ints, own: Ints
) -> Bools:
    """Say which others are of the same group as some episodes and began within their limits."""
    inside = np.minimum(other, len(group) - 1)
    return np.asarray(
        (other < len(group)) & (group[inside] == group[own]) & (clock[inside] <= limit[own])
    )
