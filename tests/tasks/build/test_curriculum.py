"""Which logged scenarios reinforcement gets, in which order, and what is dropped."""

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.config import BuildConfig
from tasks.build.curriculum import most_hard, scenarios
from tasks.build.night import night_verdicts
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

CONFIG = BuildConfig()
COLUMNS = {"episode_id": pl.String, "scenario_id": pl.String, "state": pl.String, "side": pl.String}
MARKS = {"+": "success", "-": "failure", "?": "unlabelled"}


def frame(outcomes, side="train"):
    """Make episodes of scenarios from marks, such as `{"a": "+-?"}`."""
    rows = [
        (f"{name}{place}", name, MARKS[mark], side)
        for name, marks in outcomes.items()
        for place, mark in enumerate(marks)
    ]
    return pl.DataFrame(rows, COLUMNS, orient="row").with_columns(group=pl.lit(7, pl.Int64))


def test_the_nearest_to_a_half_come_first_and_then_the_first_by_id():
    # Pass rates: far 3/4, two 2/3, one 1/3, even 1/2: as far from a half as 1/4, 1/6, 1/6 and 0.
    found, dropped = scenarios(
        frame({"far": "+++-", "two": "++-", "one": "+--", "even": "-+"}), CONFIG
    )
    assert found["scenario_id"].to_list() == ["even", "one", "two", "far"]
    assert found["pass_rate"].to_list() == pytest.approx([1 / 2, 1 / 3, 2 / 3, 3 / 4])
    assert found["rank"].to_list() == [0, 1, 2, 3]
    assert dropped == {"few": 0, "easy": 0, "hard": 0}


def test_a_scenario_names_its_labelled_episodes_and_the_one_that_prompts():
    found, _ = scenarios(frame({"s": "?-?+"}).reverse(), CONFIG)
    assert found.to_dicts() == [
        {
            "scenario_id": "s",
            "group": 7,
            "episodes": 2,
            "pass_rate": 0.5,
            "difficulty": "mixed",
            "logged": ["s1", "s3"],
            "prompt_episode": "s1",
            "rank": 0,
        }
    ]


def test_what_all_solve_is_dropped_and_of_what_nobody_solves_a_share_stays():
    mixed = {f"m{place}": "+-" for place in range(10)}
    hard = {f"h{place}": "---" for place in range(5)}
    easy = {f"e{place}": "++" for place in range(3)}
    found, dropped = scenarios(frame(mixed | hard | easy), CONFIG)
    # A fifth of ten mixed ones; they come last.
    assert found["difficulty"].to_list() == ["mixed"] * 10 + ["hard"] * 2
    assert found["scenario_id"].to_list()[-2:] == ["h0", "h1"]
    assert found["pass_rate"].to_list()[-2:] == [0.0, 0.0]
    assert dropped == {"few": 0, "easy": 3, "hard": 3}


@pytest.mark.parametrize(
    ("mixed", "share", "most"),
    # 0.2 x 14 is 2.8: two. A share above 0 allows one, unless there is nothing beside it.
    [(14, 0.2, 2), (15, 0.2, 3), (2, 0.2, 1), (0, 0.2, 0), (9, 0.0, 0), (9, 1.0, 9)],
)
def test_how_many_hard_ones_may_stand_beside_mixed_ones(mixed, share, most):
    assert most_hard(mixed, share) == most


def test_a_pass_rate_needs_enough_labelled_episodes():
    config = CONFIG.model_copy(update={"scenario_episodes": 3})
    # Two, and two labelled ones of four, fall short of three.
    found, dropped = scenarios(frame({"two": "+-", "half": "+-??", "enough": "+--"}), config)
    assert found["scenario_id"].to_list() == ["enough"]
    assert dropped == {"few": 2, "easy": 0, "hard": 0}


def test_held_out_and_retired_episodes_and_those_without_scenario_do_not_count():
    bare = frame({"none": "+-"}).with_columns(scenario_id=pl.lit(None, pl.String))
    verdicts = pl.concat(
        [frame({"a": "+-"}), frame({"b": "+-"}, "held_out"), frame({"c": "+-"}, "retired"), bare]
    )
    found, dropped = scenarios(verdicts, CONFIG)
    assert found["scenario_id"].to_list() == ["a"]
    assert sum(dropped.values()) == 0


def test_a_night_without_scenarios_has_an_empty_frame_of_the_same_columns():
    empty, dropped = scenarios(frame({}), CONFIG)
    full, _ = scenarios(frame({"s": "+-"}), CONFIG)
    assert empty.height == 0
    assert empty.schema == full.schema
    assert dropped == {"few": 0, "easy": 0, "hard": 0}


nights = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.text("+-?", min_size=1, max_size=6), max_size=30
)


# The first example pays for polars' threads.
@settings(deadline=None)
@given(nights, st.floats(0, 1), st.integers(2, 4), st.randoms())
def test_whatever_the_night_caps_hold_and_the_order_of_rows_changes_nothing(
    outcomes, share, least, chance
):
    config = BuildConfig(scenario_hard_share=share, scenario_episodes=least)
    verdicts = frame(outcomes)
    found, dropped = scenarios(verdicts, config)
    order = list(range(verdicts.height))
    chance.shuffle(order)
    again, dropped_again = scenarios(verdicts[order], config)
    assert found.equals(again)
    assert dropped == dropped_again
    assert found.height + sum(dropped.values()) == len(outcomes)
    assert all(rate < 1 for rate in found["pass_rate"])
    assert all(count >= least for count in found["episodes"])
    kinds = found["difficulty"].to_list()
    mixed, hard = kinds.count("mixed"), kinds.count("hard")
    assert hard <= max(1 if share and mixed else 0, share * mixed)
    # Every one with both outcomes stays.
    marks = [said.replace("?", "") for said in outcomes.values()]
    assert mixed == sum({"+", "-"} == set(said) and len(said) >= least for said in marks)
    spread = [rate * (1 - rate) for rate in found["pass_rate"]]
    assert all(a >= b - 1e-12 for a, b in pairwise(spread))


@pytest.mark.parametrize(
    ("log", "kinds", "dropped"),
    [
        # 12 tasks: 8 with both outcomes, 2 that all solve, 2 that none does; int(0.2 x 8) stays.
        ("tau-bench", {"mixed": 8, "hard": 1}, {"few": 0, "easy": 2, "hard": 1}),
        # 125 tasks: 100 with both outcomes, 4 that all solve, 21 that none does; 0.2 x 100 stay.
        ("intercode-sql", {"mixed": 100, "hard": 20}, {"few": 0, "easy": 4, "hard": 1}),
    ],
)
def test_real_logs_have_scenarios_worth_playing(log, kinds, dropped, real_logs, config, clock):
    ingest(config, [str(real_logs / log)], night="2026-01-02", clock=clock)
    label(config, night="2026-01-02", clock=clock)
    verdicts = night_verdicts(Warehouse(config.home).catalog(), "2026-01-02")
    sided = verdicts.with_columns(side=pl.lit("train"), group=pl.lit(7, pl.Int64))
    found, lost = scenarios(sided, CONFIG)
    assert dict(found["difficulty"].value_counts().iter_rows()) == kinds
    assert lost == dropped
    assert found["prompt_episode"].is_in(verdicts["episode_id"].implode()).all()
