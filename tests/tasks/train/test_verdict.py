"""The choice in words: against whom, on what, and what is kept of everybody else."""

from typing import Any

import pytest

from schemas.errors import TrainingError
from tasks.train.halving import Standing
from tasks.train.verdict import verdict


def scored(validation: float, n: int = 200, stopped: str = "") -> dict[str, Any]:
    """Make what a worker wrote for a candidate."""
    stage = {"name": "sft", "steps": 9, "of": 9, "stopped": stopped, "acted": []}
    return {
        "name": "", "stages": [stage], "validation": validation, "validation_greedy": validation,
        "validation_sampled": validation, "validation_n": n, "seconds": 4.0, "health": ["told"],
        "history": [], "policy": f"policy {validation}",
    }  # fmt: skip


def standing(name: str, *scores: float, **how: Any) -> Standing:
    """Make a candidate that was scored after a third, and then at the end."""
    rungs = [(0.34, scored(s, 100)) for s in scores[:1]] + [(1.0, scored(s)) for s in scores[1:]]
    return Standing(name, rungs, **how)


def of(*standings: Standing, start: float | None = None, **left_out: str) -> dict[str, Any]:
    names = [*(one.name for one in standings), *left_out]
    known = None if start is None else {"validation": start}
    return verdict(names, {one.name: one for one in standings}, left_out, known)


def test_the_choice_is_told_with_the_next_best_and_the_start() -> None:
    found = of(standing("dpo", 0.8, 0.919), standing("grpo", 0.9, 0.965), start=0.9)
    assert found["chosen"] == "grpo"
    assert found["reason"] == (
        "grpo 96.5 against 91.9 of the next (dpo) on 200 validation scenarios; the start has 90.0"
    )
    assert found["start_validation"] == 0.9
    assert [c["decided"] for c in found["candidates"]] == [
        "91.9 is behind 96.5 of grpo", "chosen",
    ]  # fmt: skip


def test_that_nothing_beat_the_start_is_said() -> None:
    found = of(standing("dpo", 0.8, 0.85), start=0.9)
    assert found["chosen"] == "dpo"
    assert found["reason"].endswith("; nothing beat the start, which has 90.0")


def test_of_equals_the_one_named_first_is_chosen_and_the_other_told_so() -> None:
    found = of(standing("dpo", 0.8, 0.9), standing("grpo", 0.9, 0.9))
    assert found["chosen"] == "dpo"
    assert "as grpo, which the configuration names later" in found["reason"]
    assert found["candidates"][1]["decided"] == "90.0 is no more than 90.0 of dpo"


def test_a_candidate_alone_needs_no_rival() -> None:
    found = of(standing("sft", 0.8, 0.9))
    assert found["reason"] == "sft 90.0 on 200 validation scenarios; it is the only candidate"


def test_only_policies_that_came_as_far_as_the_chosen_one_are_handed_on() -> None:
    loser = standing("sft", 0.99, stopped="stopped after 34%: 99.0 is behind 99.5")
    found = of(standing("dpo", 0.8, 0.9), loser)
    assert found["chosen"] == "dpo"
    assert found["policies"] == {"dpo": "policy 0.9"}
    record = found["candidates"][1]
    assert record["stopped_at"] == {"rung": 0.34, "reason": loser.stopped}
    assert record["decided"] == loser.stopped
    assert (record["validation"], record["validation_n"]) == (0.99, 100)


def test_each_candidate_keeps_its_rungs_and_the_seconds_of_all() -> None:
    (record,) = of(standing("dpo", 0.8, 0.9))["candidates"]
    assert [(r["until"], r["validation"], r["n"]) for r in record["rungs"]] == [
        (0.34, 0.8, 100), (1.0, 0.9, 200),
    ]  # fmt: skip
    assert record["seconds"] == 8.0
    assert record["stopped_at"] is None


def test_what_was_cut_by_time_says_so() -> None:
    cut = Standing("dpo", [(1.0, scored(0.5, stopped="time"))])
    assert of(cut)["candidates"][0]["rungs"][0]["cut"] is True


def test_when_time_was_spent_the_best_of_what_there_is_is_chosen_and_that_is_said() -> None:
    spent = "stopped after 34%: the budget of time was spent"
    found = of(standing("dpo", 0.8, stopped=spent), standing("grpo", 0.9, stopped=spent))
    assert found["chosen"] == "grpo"
    assert found["reason"] == (
        "grpo 90.0 against 80.0 of the next (dpo) on 100 validation scenarios, after 34% of its "
        "steps; the budget of time was spent before all were compared to their end"
    )


def test_a_failure_stands_with_its_error_beside_the_others() -> None:
    broke = {"error": "It broke.", "next": "Mend it."}
    found = of(standing("dpo", 0.8, 0.9), standing("grpo", 0.95, error=broke))
    assert found["chosen"] == "dpo"
    failed = found["candidates"][1]
    assert failed["validation"] is None
    assert failed["health"] == ["told", "It broke."]
    assert failed["decided"] == "failed: It broke."
    assert set(found["policies"]) == {"dpo"}


def test_what_was_left_out_stands_with_its_reason() -> None:
    left_out = of(standing("sft", 0.8, 0.9), kto="no disliked episode")["candidates"][1]
    assert left_out["name"] == "kto"
    assert left_out["validation"] is None
    assert left_out["health"] == ["left out: no disliked episode"]


def test_a_night_whose_every_candidate_failed_is_an_error() -> None:
    broke = {"error": "It broke.", "next": "Mend it."}
    with pytest.raises(TrainingError, match=r"It broke\. Mend it\."):
        of(Standing("sft", error=broke), Standing("grpo", error=broke))


def test_a_night_without_time_for_any_candidate_is_an_error() -> None:
    spent = Standing("sft", stopped="stopped before it began: the budget of time was spent")
    with pytest.raises(TrainingError, match=r"budget of time was spent.*budget_minutes"):
        of(spent)
