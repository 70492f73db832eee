"""Guards: the first that drops a pair counts it, and a cap keeps the surest."""

import polars as pl

from tasks.build.preferences.guards import capped, sifted


def test_a_pair_is_counted_once_under_the_first_guard_that_drops_it():
    pairs = pl.DataFrame({"a": [1, 1, 0, 0], "b": [1, 0, 1, 0]})
    kept, guards = sifted(pairs, {"one": pl.col("a") > 0, "two": pl.col("b") > 0})
    # The first row is dropped by both.
    assert guards == {"one": 2, "two": 1}
    assert kept.rows() == [(0, 0)]


def test_a_guard_that_cannot_say_drops():
    kept, guards = sifted(pl.DataFrame({"a": [None, 0]}), {"one": pl.col("a") > 0})
    assert (kept["a"].to_list(), guards) == ([0], {"one": 1})


def test_guards_of_nothing_count_nothing():
    none = pl.DataFrame({"a": []}, schema={"a": pl.Int64})
    assert sifted(none, {"one": pl.col("a") > 0}).guards == {"one": 0}


def test_a_cap_keeps_the_surest_then_the_widest_of_each_problem():
    pairs = pl.DataFrame(
        {
            "problem": ["s", "s", "s", "t"],
            "confidence": [0.5, 0.9, 0.5, 0.1],
            "margin": [0.4, 0.4, 0.8, 0.4],
            "chosen_episode": ["a", "b", "c", "d"],
        }
    )
    kept, guards = capped(pairs, 2, "cap")
    assert kept["chosen_episode"].to_list() == ["b", "c", "d"]
    assert guards == {"cap": 1}
