"""Every known error says what was wrong and what to do next, and the tree is drawn as it is."""

import re

import pytest

from schemas import errors
from schemas.errors import FlywheelError, InvariantError, LeakError


def subclasses(kind: type) -> set[type]:
    return {kind, *(deeper for child in kind.__subclasses__() for deeper in subclasses(child))}


def test_the_drawn_tree_names_every_error() -> None:
    drawn = set(re.findall(r"\b[A-Z]\w+Error\b", errors.__doc__ or ""))
    assert drawn == {kind.__name__ for kind in subclasses(FlywheelError)}


def test_an_error_keeps_message_and_next_step_apart() -> None:
    error = LeakError("Scenario 12 is in training and frozen.", "Change the split salt.")
    assert (error.message, error.next_step) == (
        "Scenario 12 is in training and frozen.",
        "Change the split salt.",
    )
    assert str(error) == "Scenario 12 is in training and frozen. Change the split salt."
    assert error.kind == "LeakError"


def test_a_leak_is_a_broken_promise() -> None:
    with pytest.raises(InvariantError):
        raise LeakError("a", "b")
