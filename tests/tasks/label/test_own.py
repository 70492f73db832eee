"""A user's own part abstains where it fails, and stops nothing."""

import pytest

from schemas.errors import ConfigurationError
from tasks.label.own import Failed, Own, fraction


class Moody:
    """Raises, answers too much, abstains or answers, as it is told."""

    def __init__(self, scale=1):
        self.scale = scale

    def __call__(self, told):
        if told == "raise":
            raise RuntimeError("no mood")
        return None if told is None else told * self.scale


def moody(**options):
    return Own(f"{__name__}:Moody", "label.rewards", options)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _module())


def _module():
    import types

    module = types.ModuleType(__name__)
    module.Moody = Moody
    return module


def test_answers_pass_and_none_abstains():
    part = moody(scale=2)
    assert part(0.25, fraction) == 0.5
    assert part(None, fraction) is None
    assert part.failed is None


def test_what_raises_or_is_no_fraction_abstains_and_is_counted_with_its_first_message():
    part = moody()
    assert [part(told, fraction) for told in ("raise", 7, 1)] == [None, None, 1.0]
    assert part.failed == Failed(2, "RuntimeError: no mood")


def test_what_is_no_function_is_refused_before_any_work():
    with pytest.raises(ConfigurationError, match="no function"):
        Own("math:pi", "label.rewards", {})
