"""What a user's own parts of labelling are given and what they answer.

Each is named in the configuration by `use: package.module:attribute`: a function, or a class whose
instance is called, made with `options`. One that cannot answer abstains with None, never 0; one
that raises is left out for that episode, counted and reported, and nothing else stops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Seen = Mapping[str, Any]
"""One episode: its columns in the table `episodes` (schemas/episode.py) as plain Python values,
with `messages` as a list of dicts. Read only."""


class OwnDetector(Protocol):
    """Says whether an episode shows something that speaks for or against success."""

    def __call__(self, episode: Seen, /) -> bool | None:
        """Give True where it shows, False where not, None where that cannot be said."""


class OwnReward(Protocol):
    """A verifier: says how far an episode succeeded, as a logged outcome would."""

    def __call__(self, episode: Seen, /) -> float | None:
        """Give a fraction in [0, 1], or None."""


class OwnRiskRule(Protocol):
    """Says how far an episode breaks a rule."""

    def __call__(self, episode: Seen, /) -> float | None:
        """Give a fraction in [0, 1], 0 where it keeps the rule, or None."""


class OwnJudge(Protocol):
    """Compares episodes of one scenario."""

    def __call__(self, episodes: Sequence[Seen], /) -> Sequence[float | None]:
        """Give each a fraction in [0, 1], best highest, or None."""
