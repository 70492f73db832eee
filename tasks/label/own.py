"""The one boundary around a user's own rewards, detectors, risk rules and judges.

A part of their own that raises, or answers something it may not, has abstained: that is counted
with its first message, reported, and stops nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from schemas.errors import ConfigurationError
from tasks.plugins import load


class Failed(NamedTuple):
    """How often one part failed, and what it said first."""

    times: int
    message: str


class Own:
    """One part of a user's own, called inside the boundary.

    Args:
        use: `package.module:attribute`.
        key: Configuration key it stands under, for messages.
        options: Keyword arguments that make it.
        built_in: Names that could have been used instead, for messages.

    Raises:
        ConfigurationError: It cannot be loaded or called.
    """

    def __init__(
        self, use: str, key: str, options: dict[str, Any], built_in: tuple[str, ...] = ()
    ) -> None:
        self.use = use
        self.failed: Failed | None = None
        """None while all went well."""
        self._part = load(use, key, options, built_in)
        if not callable(self._part):
            raise ConfigurationError(
                f"{key}: {use!r} is no function.", "Name a function, or a class with __call__."
            )

    def __call__(self, argument: Any, check: Callable[[Any], Any]) -> Any | None:
        """Ask it; None where it abstains, raises, or fails `check`.

        Args:
            argument: What it is told.
            check: Turns an answer into what it means; raises ValueError or TypeError where it may
                not be answered.
        """
        try:
            answer = self._part(argument)
            return None if answer is None else check(answer)
        except Exception as error:  # noqa: BLE001 - the boundary around users' code
            count = self.failed.times if self.failed else 0
            first = self.failed.message if self.failed else f"{type(error).__name__}: {error}"
            self.failed = Failed(count + 1, first)
            return None


def fraction(answer: Any) -> float:
    """Take an answer as a fraction.

    Raises:
        ValueError: It is not in [0, 1].
    """
    value = float(answer)
    if not 0 <= value <= 1:
        raise ValueError(f"{value!r} is not in [0, 1]")
    return value
