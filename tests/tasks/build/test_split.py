"""Groups stay on their side for ever, and what is held out is never trained on."""

import pytest

from schemas.errors import InvariantError, LeakError
from tasks.build.leaks import check_leaks
from tasks.build.split import split
from tasks.build.verdicts import Verdict


def verdict(name, *, scenario=None, session=None, question="", body=None):
    return Verdict(name, "2026-01-02", scenario, session, question, body or name, "success", 1, 1)


def sides(verdicts, known=(), share=0.5, salt="s"):
    return split(verdicts, known, salt=salt, share=share, night="2026-01-02")


def test_what_shares_a_session_scenario_or_question_is_on_one_side():
    chains = []
    for i in range(200):
        chains.append(verdict(f"a{i}", scenario=f"sc{i}", session=f"se{i}"))
        chains.append(verdict(f"b{i}", session=f"se{i}", question=f"q{i}"))
        chains.append(verdict(f"c{i}", question=f"q{i}"))
    side = sides(chains).side
    for i in range(200):
        assert side[f"a{i}"] == side[f"b{i}"] == side[f"c{i}"]


def test_the_share_of_held_out_groups_is_about_what_was_asked():
    alone = [verdict(f"e{i}", question=f"q{i}") for i in range(2000)]
    held = sum(side == "held_out" for side in sides(alone, share=0.1).side.values())
    # Binomial(2000, 0.1): mean 200, standard deviation 13.4; five of them are 67.
    assert abs(held - 200) < 67


def test_the_split_does_not_depend_on_order_and_does_on_salt():
    alone = [verdict(f"e{i}", question=f"q{i}") for i in range(200)]
    assert sides(alone).side == sides(alone[::-1]).side
    assert sides(alone).side != sides(alone, salt="t").side


def test_a_group_that_grows_stays_where_it_is():
    first = [verdict(f"e{i}", question=f"q{i}") for i in range(100)]
    before = sides(first)
    grown = [verdict(f"n{i}", question=f"q{i}", scenario=f"s{i}") for i in range(100)]
    after = sides(first + grown, before.new_keys)
    assert {name: after.side[name] for name in before.side} == before.side
    assert all(after.side[f"n{i}"] == before.side[f"e{i}"] for i in range(100))
    assert len(after.new_keys) == 100
    assert sides(first + grown, before.new_keys + after.new_keys).new_keys == []


def test_groups_of_both_sides_that_grow_together_are_retired_and_stay_so():
    alone = [verdict(f"e{i}", question=f"q{i}") for i in range(20)]
    before = sides(alone)
    held = next(name for name, side in before.side.items() if side == "held_out")
    train = next(name for name, side in before.side.items() if side == "train")
    bridges = [
        verdict("x", session="s", question=f"q{held[1:]}"),
        verdict("y", session="s", question=f"q{train[1:]}"),
    ]
    after = sides(alone + bridges, before.new_keys)
    assert {after.side[name] for name in (held, train, "x", "y")} == {"retired"}
    later = sides(alone, before.new_keys + after.new_keys)
    assert later.side[held] == later.side[train] == "retired"


def test_a_group_that_swallows_the_logs_stops_the_build():
    crowd = [verdict(f"e{i}", question="hello" if i < 60 else f"q{i}") for i in range(1000)]
    with pytest.raises(InvariantError, match="60 of 1000"):
        sides(crowd)
    assert sides(crowd[:900]).side


def test_a_leak_stops_the_build_by_whatever_trace_it_has():
    held = verdict("h", scenario="sc", session="se", question="q", body="b")
    check_leaks([verdict("fine", scenario="other", question="other")], [held])
    for twin in (
        verdict("t", scenario="sc"),
        verdict("t", session="se"),
        verdict("t", question="q"),
        verdict("t", body="b"),
    ):
        with pytest.raises(LeakError, match="1 training rows"):
            check_leaks([twin], [held])
