"""Successive halving: who goes on after a rung, who is told why not, and what time allows."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tasks.train.halving import Budget, Standing, halve, ranked


class Rounds:
    """Trains by a table of scores, and keeps what it was asked for."""

    def __init__(self, scores: dict[str, list[float | str | None]]) -> None:
        self._scores = {name: list(own) for name, own in scores.items()}
        self.asked: list[tuple[list[str], float, float]] = []

    def __call__(
        self, names: Sequence[str], until: float, part: float
    ) -> Mapping[str, dict[str, Any]]:
        self.asked.append((list(names), until, part))
        found: dict[str, dict[str, Any]] = {}
        for name in names:
            score = self._scores[name].pop(0)
            if isinstance(score, str):
                found[name] = {"error": score, "next": "Mend it."}
            elif score is not None:
                found[name] = {"validation": score}
        return found


def test_half_of_the_candidates_go_on_and_the_others_are_told_by_whom_they_were_beaten() -> None:
    rounds = Rounds({"a": [0.715], "b": [0.83, 0.9], "c": [0.821, 0.95], "d": [0.2]})
    standings = halve(["a", "b", "c", "d"], (0.34, 1.0), 0.5, rounds)
    assert [names for names, _, _ in rounds.asked] == [["a", "b", "c", "d"], ["b", "c"]]
    assert standings["a"].stopped == "stopped after 34%: 71.5 is behind 83.0 and 82.1"
    assert standings["b"].stopped == standings["c"].stopped == ""
    assert [one.name for one in ranked(list(standings.values()))] == ["c", "b", "a", "d"]


def test_an_odd_number_is_rounded_up() -> None:
    rounds = Rounds({"a": [0.1, 0.1], "b": [0.2, 0.2], "c": [0.05]})
    halve(["a", "b", "c"], (0.34, 1.0), 0.5, rounds)
    assert rounds.asked[1][0] == ["a", "b"]


def test_of_equal_scores_the_one_named_first_goes_on() -> None:
    rounds = Rounds({"a": [0.5, 0.6], "b": [0.5]})
    standings = halve(["a", "b"], (0.5, 1.0), 0.5, rounds)
    assert standings["b"].stopped == "stopped after 50%: 50.0 is no more than 50.0"
    assert rounds.asked[1][0] == ["a"]


def test_a_single_candidate_is_trained_to_its_end_at_once() -> None:
    rounds = Rounds({"a": [0.7]})
    standings = halve(["a"], (0.34, 0.67, 1.0), 0.5, rounds)
    assert rounds.asked == [(["a"], 1.0, 1.0)]
    assert standings["a"].reached == 1.0


def test_one_that_is_left_alone_skips_the_rungs_between() -> None:
    rounds = Rounds({"a": [0.7, 0.8], "b": [0.6]})
    halve(["a", "b"], (0.25, 0.5, 1.0), 0.5, rounds)
    assert [(names, until) for names, until, _ in rounds.asked] == [
        (["a", "b"], 0.25), (["a"], 1.0),
    ]  # fmt: skip


def test_a_candidate_that_fails_makes_room_for_no_one_worse_and_stands_with_its_error() -> None:
    rounds = Rounds({"a": ["It broke."], "b": [0.3, 0.4], "c": [0.2]})
    standings = halve(["a", "b", "c"], (0.34, 1.0), 0.5, rounds)
    assert standings["a"].error == {"error": "It broke.", "next": "Mend it."}
    assert rounds.asked[1][0] == ["b"]  # half of the two that were scored
    assert [one.name for one in ranked(list(standings.values()))] == ["b", "c"]


def test_one_that_fails_on_a_later_rung_is_out() -> None:
    rounds = Rounds({"a": [0.9, "It broke."], "b": [0.3]})
    standings = halve(["a", "b"], (0.34, 1.0), 0.5, rounds)
    assert [one.name for one in ranked(list(standings.values()))] == ["b"]


def test_what_time_did_not_allow_is_told_and_the_best_of_what_there_is_comes_first() -> None:
    rounds = Rounds({"a": [0.7, None], "b": [0.8, None], "c": [None], "d": [0.1]})
    standings = halve(["a", "b", "c", "d"], (0.34, 1.0), 0.5, rounds)
    assert standings["b"].stopped == "stopped after 34%: the budget of time was spent"
    assert standings["c"].stopped == "stopped before it began: the budget of time was spent"
    assert [one.name for one in ranked(list(standings.values()))] == ["b", "a", "d"]


def test_a_rung_has_the_share_of_the_time_that_it_is_of_the_work() -> None:
    rounds = Rounds({name: [0.5, 0.5] for name in "abcd"})
    halve(list("abcd"), (0.25, 1.0), 0.5, rounds)
    # Four candidates for a quarter is 1.0 of a route; two for the other three quarters is 1.5.
    assert [part for _, _, part in rounds.asked] == [pytest.approx(1.0 / 2.5), 1.0]


def test_no_candidates_are_no_rounds() -> None:
    rounds = Rounds({})
    assert halve([], (0.34, 1.0), 0.5, rounds) == {}
    assert rounds.asked == []


def test_each_of_those_that_wait_has_an_equal_share_of_what_is_left() -> None:
    now = [100.0]
    budget = Budget(60.0, 2, lambda: now[0])
    # Four candidates on two processes are two turns; half of the time is this round's.
    assert budget.share(4, 0.5) == 15.0
    now[0] = 120.0
    assert budget.left == 40.0
    assert budget.share(2) == 40.0
    now[0] = 161.0
    assert (budget.left, budget.share(1)) == (0.0, 0.0)


def test_a_candidate_that_was_never_scored_has_reached_nothing() -> None:
    assert Standing("a").reached == 0.0
    assert ranked([Standing("a")]) == []
