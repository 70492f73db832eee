"""The kinds of evidence, and what each says before this installation's logs have proven it.

A kind is described by how often it shows on successes and on failures; the logarithm of the ratio
is its default weight. The rates are modest guesses on purpose: verified outcomes move them.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from schemas.errors import ConfigurationError
from schemas.label_config import LabelConfig

Tier = Literal["feedback", "implicit", "judge"]


class Kind(NamedTuple):
    """One kind of evidence. Silence about it counts once its weight is learnt, never before."""

    name: str
    tier: Tier
    given_success: float
    """Assumed share of successes that show it, fraction in (0, 1)."""
    given_failure: float
    """Assumed share of failures that show it, fraction in (0, 1)."""
    reason: str

    @property
    def log_odds(self) -> float:
        """Weight before anything is learnt (natural log)."""
        return math.log(self.given_success / self.given_failure)


KINDS: tuple[Kind, ...] = (
    Kind("thumbs_up", "feedback", 0.30, 0.06, "said of the answer itself, though some are polite"),
    Kind("thumbs_down", "feedback", 0.05, 0.30, "said of the answer itself, at times of its tone"),
    Kind("rating_high", "feedback", 0.30, 0.06, "four or more of five"),
    Kind("rating_low", "feedback", 0.05, 0.30, "two or less of five"),
    Kind("score_high", "feedback", 0.60, 0.20, "an evaluator's score of a half or more"),
    Kind("score_low", "feedback", 0.20, 0.60, "an evaluator's score under a half"),
    Kind("correction", "feedback", 0.03, 0.20, "the user wrote what was right"),
    Kind("export", "implicit", 0.30, 0.10, "the answer was used; people also export to check"),
    Kind("reask", "implicit", 0.08, 0.30, "the question was asked again; some ask to be sure"),
    Kind("complaint", "implicit", 0.03, 0.15, "rare, and now and then about something else"),
    Kind("escalation", "implicit", 0.03, 0.15, "a person had to take over"),
    Kind("correction_said", "implicit", 0.05, 0.20, "the user said no; the next turn may mend it"),
    Kind("complaint_said", "implicit", 0.03, 0.12, "the user's words; they may mean the product"),
    Kind("escalation_said", "implicit", 0.03, 0.12, "asked for a person, at times from habit"),
    Kind("thanks_said", "implicit", 0.20, 0.08, "the last words were thanks, some of them polite"),
    Kind("abandoned", "implicit", 0.05, 0.15, "ends before an answer; logs are cut off, too"),
    Kind("over_asking", "implicit", 0.06, 0.12, "the agent asked back again and again"),
    Kind("final_error", "implicit", 0.02, 0.12, "the last thing a tool said was an error"),
    Kind("loop", "implicit", 0.04, 0.12, "the same call three times and more"),
    Kind("repeated_call", "implicit", 0.20, 0.27, "the same call again; too weak alone"),
    Kind("no_tool_evidence", "implicit", 0.10, 0.14, "tools offered, none used; too weak alone"),
    Kind("judge_high", "judge", 0.60, 0.25, "a judge put it in the upper half of its group"),
    Kind("judge_low", "judge", 0.25, 0.60, "a judge put it in the lower half of its group"),
)  # fmt: skip
"""The built-in kinds, in the order of the columns of an evidence matrix."""

COLUMN: dict[str, int] = {kind.name: index for index, kind in enumerate(KINDS)}
"""Kind name to its column; kinds of a user's own detectors follow (`kinds_of`)."""


def kinds_of(config: LabelConfig) -> tuple[Kind, ...]:
    """Give the kinds under a configuration: the built-in ones, then those of its detectors.

    Raises:
        ConfigurationError: `label.assumed` names none of them, or a detector takes a built-in name.
    """
    own = tuple(
        Kind(found.name, "implicit", found.success, found.failure, f"detector {found.use}")
        for found in config.detectors
    )
    for kind in own:
        if kind.name in COLUMN:
            raise ConfigurationError(
                f"label.detectors: {kind.name!r} is a built-in kind of evidence.",
                "Give the detector another name.",
            )
    names = [kind.name for kind in (*KINDS, *own)]
    for name in config.assumed:
        if name not in names:
            raise ConfigurationError(
                f"label.assumed names {name!r}; there are {', '.join(names)}.",
                "Take one of these.",
            )
    return tuple(
        kind._replace(
            given_success=config.assumed[kind.name].success,
            given_failure=config.assumed[kind.name].failure,
        )
        if kind.name in config.assumed
        else kind
        for kind in (*KINDS, *own)
    )
