"""How much each piece of feedback counts, so that one user or session cannot outvote the others.

Who gives a thousand thumbs in a night, for whatever reason, is heard no louder than the cap; who
gives a few is heard in full. Nothing is thrown away: each piece only counts for less.
"""

from __future__ import annotations

import numpy as np

from schemas.label_config import SignalConfig
from tasks.label.block import Bools, Floats, Ints


def shares(kind: Ints, user: Ints, session: Ints, positive: Bools, config: SignalConfig) -> Floats:
    """Say how much each piece of a night's feedback counts.

    Of each kind, and of praise and blame apart, a user's pieces count together for at most
    `max(user_floor, user_share * pieces of that kind)`; each of them counts the same. So do a
    session's, and the smaller share holds. Praise and blame are capped alike: a campaign against an
    agent is poison as well.

    Args:
        kind: Code of the kind of evidence, `(pieces,)`.
        user: Code of who gave it, -1 where unknown: those are many people, and not capped.
        session: Code of the session it was given in, -1 where unknown: not capped.
        positive: Whether it speaks for success.
        config: `user_share` and `user_floor`.

    Returns:
        Fractions in (0, 1], `(pieces,)`.
    """
    group = 2 * kind.astype(np.int64) + positive
    return np.minimum(_capped(group, user, config), _capped(group, session, config))


def _capped(group: Ints, giver: Ints, config: SignalConfig) -> Floats:
    """Say how much each piece counts where no giver may exceed the cap of a group."""
    if len(group) == 0:
        return np.ones(0)
    cap = np.maximum(config.user_floor, config.user_share * np.bincount(group))
    _, pair, given = np.unique(
        group * (giver.max() + 2) + giver + 1, return_inverse=True, return_counts=True
    )
    return np.where(giver < 0, 1.0, np.minimum(1.0, cap[group] / given[pair]))
