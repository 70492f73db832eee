"""Simulated users: each reaction comes as often as it is said to."""

import math
from collections import Counter

import numpy as np
import pytest

from tasks.rollout.users import RATES, react

DRAWS = 20_000


def counted(right: bool) -> Counter[str]:
    rng = np.random.default_rng(int(right))
    seen: Counter[str] = Counter()
    for _ in range(DRAWS):
        for event in react(right, rng):
            seen[f"{event['kind']}={event['value']}"] += 1
    return seen


@pytest.mark.parametrize("right", [True, False])
def test_each_reaction_comes_at_its_rate(right: bool) -> None:
    seen = counted(right)
    rate = {name: chances[0 if right else 1] for name, chances in RATES.items()}
    expected = {
        "export=1": rate["export"],
        "reask=1": rate["reask"],
        "complaint=1": rate["complaint"],
        "thumbs=1": rate["thumbs_up"],
        # A thumb up hides a thumb down: nobody gives both.
        "thumbs=0": rate["thumbs_down"] * (1 - rate["thumbs_up"]),
        f"outcome={int(right)}": rate["verified"],
    }
    for name, p in expected.items():
        standard_error = math.sqrt(p * (1 - p) / DRAWS)
        assert seen[name] / DRAWS == pytest.approx(p, abs=3 * standard_error), name
    assert f"outcome={int(not right)}" not in seen


def test_only_the_verifier_tells_the_truth() -> None:
    rng = np.random.default_rng(2)
    events = [event for _ in range(500) for event in react(False, rng)]
    assert {e["source"] for e in events if e["kind"] == "outcome"} == {"verifier"}
    assert {e["source"] for e in events if e["kind"] != "outcome"} == {"user"}


def test_an_answer_is_exported_more_often_when_right_and_asked_again_when_wrong() -> None:
    assert RATES["export"][0] > RATES["export"][1]
    assert RATES["reask"][0] < RATES["reask"][1]
