"""Pairs of calls: a failed one against its repair, in episodes that went well."""

import polars as pl
import pytest

GOOD, BAD, MENDED = ("select 1", "1"), ("select x", "Error: no x"), ("select y", "2")


def retries(guards):
    return {name: count for name, count in guards.items() if name.startswith("retry")}


def test_the_call_that_worked_is_preferred_at_the_same_prefix(night, chat, write, of_kind):
    night.label(write("a.jsonl", chat("r", calls=(GOOD, BAD, MENDED), reward=1.0)))
    [row], guards = of_kind("retry")
    [logged] = night.seen().values()
    # system, user, the first call and its result.
    assert row["prompt"] == logged[:4]
    assert row["rejected"] == [logged[4]]
    assert row["chosen"] == [logged[6]]
    # What a call that fails costs.
    assert row["margin"] == pytest.approx(0.1)
    assert retries(guards) == {}


def test_what_is_no_repair_makes_no_pair(night, chat, write, of_kind):
    ways = [
        # Another failure follows.
        (BAD, ("select z", "Error: no z")),
        # The very same call worked: nothing was better about it.
        (BAD, (BAD[0], "1")),
        # Nothing follows.
        (GOOD, BAD),
    ]
    records = [chat(f"{i}", question=f"{i}?", calls=w, reward=1.0) for i, w in enumerate(ways)]
    night.label(write("a.jsonl", *records))
    assert of_kind("retry").rows == []


def test_of_two_failures_only_the_second_was_repaired(night, chat, write, of_kind):
    night.label(write("a.jsonl", chat("r", calls=(BAD, BAD, GOOD), reward=1.0)))
    [row], _ = of_kind("retry")
    assert len(row["prompt"]) == 4


def test_a_repair_in_a_failed_or_a_held_out_episode_proves_nothing(night, chat, write, of_kind):
    night.label(
        write(
            "a.jsonl",
            chat("lost", question="a", calls=(BAD, MENDED), reward=0.0),
            chat("won", question="b", calls=(BAD, MENDED), reward=1.0),
        )
    )
    assert len(of_kind("retry").rows) == 1
    held = night.verdicts().with_columns(side=pl.lit("held_out"))
    assert of_kind("retry", verdicts=held).rows == []


def test_each_guard_drops_a_retry_and_counts_it(night, chat, write, of_kind):
    calls = (BAD, MENDED, ("select p", "Error: no p"), ("select q", "3"))
    night.label(write("a.jsonl", chat("r", calls=calls, reward=1.0)))
    rows, guards = of_kind("retry", pair_cap_per_scenario=1)
    # The first of the two stands in the log before the second.
    assert ([len(row["prompt"]) for row in rows], retries(guards)) == ([2], {"retry_cap": 1})
    doubtful = night.verdicts().with_columns(confidence=pl.lit(0.1))
    rows, guards = of_kind("retry", verdicts=doubtful)
    assert (rows, retries(guards)) == ([], {"retry_confidence": 2})
