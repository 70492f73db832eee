"""The scripted agent: right about half the time, and wrong in ways of its own."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from schemas.config import FlywheelConfig
from tasks.rollout.play import SCRIPTED, play_policy
from tasks.rollout.scenarios import Specification, draw
from tasks.rollout.scripted import HABITS, ScriptedAgent

At = Callable[..., Any]


def play(at: At, spec: Specification, *habits: str, moved: bool = False) -> list[Any]:
    """Play one episode with these habits and no others."""
    environment, tenant = at(moved=moved)
    agent = ScriptedAgent(environment, spec, tenant, np.random.default_rng(0))
    agent._habits = {name: name in habits for name in HABITS}
    return agent.play()


def queries(messages: list[Any]) -> list[str]:
    calls = [c for m in messages for c in m.tool_calls if c.name == "run_sql"]
    return [json.loads(c.arguments)["query"] for c in calls]


def tools(messages: list[Any]) -> list[str]:
    return [c.name for m in messages for c in m.tool_calls]


TOTAL = Specification("t", "total", "money", area="north", product="tea")
WINDOW = Specification("t", "count", "rows", area="north", days=30)
SHARE = Specification("t", "share", "money", area="north")
COMPARE = Specification("t", "compare", "money", "area", "north", versus="south")
LARGEST = Specification("t", "largest", "money", area="north")
TOP = Specification("t", "top", "money", "product", area="north")


def test_about_half_of_its_episodes_succeed(config: FlywheelConfig) -> None:
    scenarios = draw(config.seed, config.build.split_salt, "train", 300, 5)
    played = play_policy(config, SCRIPTED, scenarios, samples=1, greedy=False, seed=1)
    assert 0.4 <= sum(r.reward for r in played) / 300 <= 0.6


def test_each_kind_of_question_sometimes_succeeds_and_sometimes_fails(
    config: FlywheelConfig,
) -> None:
    scenarios = draw(config.seed, config.build.split_salt, "train", 300, 5)
    played = play_policy(config, SCRIPTED, scenarios, samples=1, greedy=False, seed=1)
    for kind in {s.slice for s in scenarios}:
        rewards = [r.reward for s, r in zip(scenarios, played, strict=True) if s.slice == kind]
        assert 0 < sum(rewards) < len(rewards), kind


@pytest.mark.parametrize("spec", [TOTAL, WINDOW, SHARE, COMPARE, LARGEST, TOP])
def test_without_its_habits_it_asks_what_was_meant(at: At, spec: Specification) -> None:
    messages = play(at, spec)
    assert tools(messages)[0] == "describe_table"
    assert not any(m.error for m in messages)
    assert messages[-1].content.startswith("It is ")


def test_it_finds_a_moved_table(at: At) -> None:
    messages = play(at, TOTAL, moved=True)
    assert [m.error for m in messages if m.role == "tool"] == [True, False, False]
    assert "_new" in queries(messages)[0]


def test_it_may_give_up_on_a_moved_table(at: At) -> None:
    messages = play(at, TOTAL, "gives_up", moved=True)
    assert messages[-1].content == "I could not find it."


def test_it_may_guess_columns_before_it_looks(at: At) -> None:
    messages = play(at, TOTAL, "guesses_columns", moved=True)
    assert tools(messages)[0] == "run_sql"
    assert messages[1].error


def test_it_may_assume_the_date(at: At) -> None:
    assert "calendar" in tools(play(at, WINDOW))
    messages = play(at, WINDOW, "assumes_the_date")
    assert "calendar" not in tools(messages)
    assert "2026-01-15" in queries(messages)[0]


def test_it_may_drop_a_filter(at: At) -> None:
    assert queries(play(at, TOTAL))[0].count(" = '") == 2
    assert queries(play(at, TOTAL, "drops_a_filter"))[0].count(" = '") == 1


def test_it_may_take_the_other_measure(at: At) -> None:
    right, wrong = (queries(play(at, TOTAL, *h))[0] for h in ((), ("takes_the_other_measure",)))
    assert right != wrong
    assert right.split(" FROM ")[1] == wrong.split(" FROM ")[1]


def test_it_may_sum_for_the_largest(at: At) -> None:
    assert "MAX(" in queries(play(at, LARGEST))[0]
    assert "SUM(" in queries(play(at, LARGEST, "sums_the_largest"))[0]


def test_it_may_count_for_the_top(at: At) -> None:
    assert "ORDER BY SUM(" in queries(play(at, TOP))[0]
    assert "ORDER BY COUNT(*)" in queries(play(at, TOP, "counts_for_top"))[0]


def test_it_may_divide_by_the_wrong_whole(at: At) -> None:
    messages = play(at, SHARE)
    right = [q.split(" FROM ")[0] for q in queries(messages)]
    assert len(right) == 2
    assert right[0] == right[1]
    wrong = play(at, SHARE, "wrong_whole")
    assert queries(wrong) != queries(messages)


def test_it_may_answer_a_part_of_a_comparison(at: At) -> None:
    assert len(queries(play(at, COMPARE))) == 2
    assert len(queries(play(at, COMPARE, "answers_a_part"))) == 1


def test_it_may_slip_a_digit(at: At) -> None:
    right, wrong = (
        play(at, TOTAL, *habits)[-1].content.strip("It is.") for habits in ((), ("slips_a_digit",))
    )
    assert right[:-1] == wrong[:-1]
    assert (int(right[-1]) + 1) % 10 == int(wrong[-1])
