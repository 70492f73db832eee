"""Pairs of steps: the better against the worse action in one state, by what became of both."""

import json

import polars as pl
import pytest

from tasks.build.preferences.decisions import representatives

RIGHT, WRONG = ("select 1", "1"), ("select 2", "2")


@pytest.fixture
def branching(chat, write):
    """Write episodes of one problem that take one of two calls at first, each a number of times."""

    def lines(name, won=2, lost=2, scenario="s", first=(), **keys):
        records = [
            chat(
                f"{name}{kind}{i}", scenario_id=scenario, reward=reward, calls=(*first, call),
                answer=f"{name} {kind} {i}", **keys,
            )
            for kind, reward, call, count in (("a", 1.0, RIGHT, won), ("b", 0.0, WRONG, lost))
            for i in range(count)
        ]  # fmt: skip
        return write(f"{name}.jsonl", *records)

    return lines


def query_of(message):
    [call] = message["tool_calls"]
    return json.loads(call["arguments"])["query"]


def test_the_action_that_went_well_is_chosen_over_the_one_that_did_not(night, branching, of_kind):
    night.label(branching("x"))
    [row], guards = of_kind("decision_point", pair_length_ratio=1.0)
    assert [m["role"] for m in row["prompt"]] == ["system", "user"]
    assert [query_of(m) for m in row["chosen"]] == ["select 1"]
    assert [query_of(m) for m in row["rejected"]] == ["select 2"]
    # Two visits each, and two that count as nothing known: 2 / (2 + 2).
    assert (row["support"], row["confidence"]) == (2, 0.5)
    assert {n for n in guards if n.startswith("decision")} == set()
    # The steps stay short: the tool's results are in neither side.
    assert len(row["chosen"]) == len(row["rejected"]) == 1


def test_the_margin_is_the_difference_of_the_mean_returns(night, branching, of_kind):
    night.label(branching("x"))
    [row], _ = of_kind("decision_point")
    steps = night.verdicts().select("state", first=pl.col("step_returns").list.first())
    mean = {state: frame["first"].mean() for (state,), frame in steps.group_by("state")}
    assert row["margin"] == pytest.approx(mean["success"] - mean["failure"])
    assert row["state"] in {s[0] for s in night.verdicts()["step_states"]}


def test_a_step_deep_in_an_episode_has_all_before_it_as_its_prompt(night, branching, of_kind):
    night.label(branching("x", first=(("show tables", "a, b"),)))
    [row], _ = of_kind("decision_point")
    assert [m["role"] for m in row["prompt"]] == ["system", "user", "assistant", "tool"]
    assert row["prompt"] == night.seen()[row["chosen_episode"]][:4]
    assert query_of(row["rejected"][0]) == "select 2"


def test_earlier_nights_lend_their_visits(night, branching, of_kind):
    night.label(branching("x", won=1, lost=1), night="2026-01-01")
    alone = of_kind("decision_point", night="2026-01-01")
    assert (alone.rows, alone.guards["decision_support"]) == ([], 1)
    night.label(branching("y", won=1, lost=1))
    [row], _ = of_kind("decision_point")
    # One visit of each action this night, one the night before; both sides are this night's.
    assert row["support"] == 2
    own = set(night.verdicts()["episode_id"])
    assert {row["chosen_episode"], row["rejected_episode"]} <= own


def test_each_guard_drops_a_decision_point_and_counts_it(night, branching, of_kind):
    night.label(branching("x"))
    known = night.verdicts()
    lost = pl.when(pl.col("state") == "failure")
    changes = {
        "decision_held_out": {
            "verdicts": known.with_columns(side=lost.then(pl.lit("held_out")).otherwise("side"))
        },
        "decision_support": {"pair_support": 3},
        "decision_gap": {"pair_margin": 5.0},
        "decision_confidence": {"pair_confidence": 0.51},
        "decision_split": {
            "verdicts": known.with_columns(group=lost.then(7).otherwise(8).cast(pl.Int64))
        },
    }
    for guard, keys in changes.items():
        rows, guards = of_kind("decision_point", **keys)
        assert rows == []
        assert {n: c for n, c in guards.items() if n.startswith("decision")} == {guard: 1}


def test_a_problem_gives_no_more_decision_points_than_its_cap(night, chat, write, of_kind):
    # At both of two states one call wins and one loses: 4 ways, 2 episodes each.
    records = [
        chat(
            f"{i}{j}{k}", scenario_id="s", reward=float(i == j == 1), answer=f"{i} {j} {k}",
            calls=((f"first {i}", "x"), (f"then {j}", f"{i}")),
        )
        for i in (0, 1) for j in (0, 1) for k in (0, 1)
    ]  # fmt: skip
    night.label(write("a.jsonl", *records))
    rows, guards = of_kind("decision_point", pair_cap_per_scenario=1)
    # After `first 0` nothing wins: no gap there.
    assert (len(rows), guards["decision_cap"], guards["decision_gap"]) == (1, 1, 1)
    assert len(of_kind("decision_point").rows) == 2


def test_the_same_call_written_otherwise_is_no_decision(night, chat, write, of_kind):
    records = [
        chat(f"{i}{spaces}", scenario_id="s", reward=float(i), answer=f"{i} {spaces}")
        for i in (0, 1) for spaces in (0, 1)
    ]  # fmt: skip
    for number, record in enumerate(records):
        call = record["messages"][2]["tool_calls"][0]["function"]
        call["arguments"] = '{"query":' + " " * number + '"select 1"}'
    night.label(write("a.jsonl", *records))
    assert of_kind("decision_point").rows == []


def test_an_action_is_shown_by_its_surest_episode_else_by_its_return():
    def step(name, state, confidence, returned, action=1):
        return (name, 5, action, state, confidence, returned, 0, "s", 1)

    columns = ("episode_id", "step_state", "action", "state", "confidence", "returned", "step",
               "problem", "group")  # fmt: skip
    steps = pl.DataFrame(
        [
            step("a", "success", 0.5, 0.9),
            step("b", "success", 0.8, 0.7),
            step("c", "failure", 0.9, -0.2),
            step("d", "unlabelled", 0.0, 0.1, action=2),
            step("e", "unlabelled", 0.0, 0.4, action=2),
        ],
        schema=columns,
        orient="row",
    )

    def shown(better):
        chosen = representatives(steps, better=better).sort("action")
        return chosen["episode_id"].to_list()

    assert shown(True) == ["b", "e"]
    assert shown(False) == ["c", "d"]
