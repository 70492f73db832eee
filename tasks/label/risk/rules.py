"""The rules of the risk term: the built-in ones, a user's own, and the risk they come to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_type_hints

import numpy as np
from pydantic import TypeAdapter, ValidationError

from schemas.errors import ConfigurationError
from schemas.label_config import RiskRule
from tasks.label.block import Block, Floats
from tasks.label.own import Failed, Own, fraction
from tasks.label.risk.destructive import destructive
from tasks.label.risk.failing_calls import failing_calls
from tasks.label.risk.not_offered import not_offered
from tasks.label.risk.personal_data import personal_data
from tasks.label.risk.unverifiable import unverifiable

KEY = "label.risk"

BuiltIn = Callable[..., Floats]

BUILT_IN: dict[str, BuiltIn] = {
    "failing_calls": failing_calls,
    "destructive": destructive,
    "personal_data": personal_data,
    "not_offered": not_offered,
    "unverifiable": unverifiable,
}
"""Each takes a block and options, and gives `(episodes,)` in [0, 1], NaN where it abstains."""


class Rules:
    """The rules of a configuration, ready to be asked.

    Args:
        config: The rules, in order.

    Raises:
        ConfigurationError: A rule is not known, cannot be loaded, or refuses its options.
    """

    def __init__(self, config: Sequence[RiskRule]) -> None:
        self.names = named_apart([rule.use for rule in config])
        """What each rule is called; the second of one name is `name#2`."""
        self.weights: Floats = np.array([rule.weight for rule in config], np.float64)
        """Risk of breaking each outright, `(rules,)`."""
        self._built_in: dict[int, tuple[BuiltIn, dict[str, Any]]] = {}
        self._own: dict[int, Own] = {}
        for column, rule in enumerate(config):
            if rule.use in BUILT_IN:
                rule_of = BUILT_IN[rule.use]
                self._built_in[column] = rule_of, checked(rule.use, rule_of, rule.options)
            else:
                self._own[column] = Own(rule.use, KEY, rule.options, tuple(BUILT_IN))

    def broken(self, block: Block, episodes: Callable[[], Iterable[Mapping[str, Any]]]) -> Floats:
        """Say how far each episode breaks each rule, `(episodes, rules)`.

        Args:
            block: The episodes.
            episodes: Gives the same episodes as dicts (`schemas.plugins.Seen`), in order; asked
                only where there are rules of a user's own.

        Returns:
            Fractions in [0, 1]; NaN where a rule abstains.
        """
        found = np.full((len(block), len(self.names)), np.nan)
        for column, (rule, options) in self._built_in.items():
            found[:, column] = rule(block, **options)
        if self._own:
            for row, episode in enumerate(episodes()):
                for column, own in self._own.items():
                    answer = own(episode, fraction)
                    found[row, column] = np.nan if answer is None else answer
        return found

    def combined(self, broken: Floats) -> tuple[Floats, Floats]:
        """Make one risk of what the rules say.

        Each rule is a cause that does harm with the probability `weight * broken`, independently of
        the others; the risk is that of any harm. So it stays in [0, 1], more never lowers it, and
        one rule broken outright is not diluted by how many others were kept.

        Args:
            broken: As from `broken`, `(episodes, rules)`.

        Returns:
            Risk, `(episodes,)`; and what each rule contributes, `(episodes, rules)`, NaN where it
            abstains, which counts as nothing.

        Source: the noisy or (Pearl, "Probabilistic Reasoning in Intelligent Systems" (1988),
        section 4.3.2).
        """
        parts = broken * self.weights
        kept = 1.0 - np.where(np.isnan(parts), 0.0, parts)
        return 1.0 - kept.prod(axis=1), parts

    def failures(self) -> dict[str, Failed]:
        """Give the rules of a user's own that failed, by name."""
        return {
            self.names[column]: own.failed
            for column, own in self._own.items()
            if own.failed is not None
        }


def checked(name: str, rule: BuiltIn, options: Mapping[str, Any]) -> dict[str, Any]:
    """Give a built-in rule's options in the types that it takes.

    Raises:
        ConfigurationError: It takes no such option, or not such a value.
    """
    takes = list(inspect.signature(rule).parameters)[1:]
    hints = get_type_hints(rule)
    taken = {}
    for option, value in options.items():
        if option not in takes:
            raise ConfigurationError(
                f"{KEY}: {name!r} has no option {option!r}.",
                f"It takes {', '.join(takes) or 'none'}; built in are {', '.join(BUILT_IN)}.",
            )
        try:
            taken[option] = TypeAdapter(hints[option]).validate_python(value)
        except ValidationError as error:
            raise ConfigurationError(
                f"{KEY}: {name!r} cannot take {option} = {value!r}: {error.errors()[0]['msg']}.",
                "Correct `options` beside it.",
            ) from error
    return taken


def named_apart(uses: Sequence[str]) -> tuple[str, ...]:
    """Name rules by what they use, and number those that use the same."""
    names = []
    for place, use in enumerate(uses):
        before = uses[:place].count(use)
        names.append(f"{use}#{before + 1}" if before else use)
    return tuple(names)
