"""Pairs of episodes: which are tried, which guard drops what, and what a cap leaves."""

import polars as pl
import pytest

from schemas.config import BuildConfig
from tasks.build.preferences.episodes import PER_SIDE, placed, tried

SCHEMA = {
    "episode_id": pl.String, "problem": pl.String, "side": pl.String, "group": pl.Int64,
    "state": pl.String, "confidence": pl.Float64, "total": pl.Float64, "body_digest": pl.String,
}  # fmt: skip


def verdict(
    name, state="success", *, total=None, confidence=0.8, problem="s", body=None, side="train",
    group=1,
):  # fmt: skip
    total = {"success": 0.9, "failure": 0.1, "unlabelled": 0.0}[state] if total is None else total
    return (name, problem, side, group, state, confidence, total, body or name)


def body(name, prompt="p", characters=100, steps=(3,), length=5):
    return {
        "episode_id": name, "prompt_digest": prompt, "characters": characters,
        "steps": list(steps), "length": length,
    }  # fmt: skip


def paired(*verdicts, bodies=None, **keys):
    """Pair all, with one prompt and length unless said otherwise; give rows, guards, candidates."""
    frame = pl.DataFrame(verdicts, schema=SCHEMA, orient="row")
    config = BuildConfig(**keys)
    known = {row[0]: body(row[0]) for row in verdicts} | (bodies or {})
    found = tried(frame, config)
    rows, guards = placed(found, pl.DataFrame([b for b in known.values() if b]), config)
    dropped = {name: count for name, count in guards.items() if count}
    assert sum(guards.values()) + len(rows) == found.candidates
    return rows, dropped, found.candidates


def sides(rows):
    return list(rows.select("chosen_episode", "rejected_episode").iter_rows())


@pytest.mark.parametrize(
    ("guard", "failure", "bodies"),
    [
        ("held_out", verdict("f", "failure", side="held_out"), {}),
        ("held_out", verdict("f", "failure", side="retired"), {}),
        ("split", verdict("f", "failure", group=2), {}),
        ("identical", verdict("f", "failure", body="s"), {}),
        ("confidence", verdict("f", "failure", confidence=0.1), {}),
        ("margin", verdict("f", "failure", total=0.7), {}),
        ("prompt", verdict("f", "failure"), {"f": body("f", prompt="other")}),
        # An episode in which the agent never spoke has no body.
        ("prompt", verdict("f", "failure"), {"f": None}),
        ("length", verdict("f", "failure"), {"f": body("f", characters=301)}),
    ],
)
def test_each_guard_drops_its_pair_and_counts_it(guard, failure, bodies):
    rows, dropped, _ = paired(verdict("s"), failure, bodies=bodies)
    assert (len(rows), dropped) == (0, {guard: 1})


def test_a_pair_that_fails_several_guards_is_counted_under_the_first():
    all_wrong = verdict("f", "failure", side="held_out", group=2, body="s", confidence=0.0)
    assert paired(verdict("s"), all_wrong)[1] == {"held_out": 1}
    no_train = verdict("f", "failure", body="s", confidence=0.0, total=0.9)
    assert paired(verdict("s"), no_train)[1] == {"identical": 1}


def test_a_pair_that_passes_every_guard_is_kept_with_its_margin_and_its_place():
    bodies = {"s": body("s", steps=(3, 5), length=7), "f": body("f", characters=300, length=4)}
    rows, dropped, _ = paired(verdict("s"), verdict("f", "failure", confidence=0.3), bodies=bodies)
    [row] = rows.to_dicts()
    # 0.9 - 0.1, and the smaller confidence.
    assert row["margin"] == pytest.approx(0.8)
    assert row["confidence"] == 0.3
    # Two messages of prompt; all that follows in each.
    assert [row[name] for name in ("prompt_end", "chosen_start", "chosen_end")] == [2, 3, 7]
    assert (row["rejected_start"], row["rejected_end"]) == (3, 4)
    assert not dropped


def test_only_problems_with_both_outcomes_have_candidates():
    rows, _, candidates = paired(
        verdict("a", problem="both"),
        verdict("b", "failure", problem="both"),
        verdict("c", problem="easy"),
        verdict("d", "failure", problem="hard"),
        verdict("e", "unlabelled", problem="easy"),
    )
    assert (sides(rows), candidates) == ([("a", "b")], 1)


def test_the_cap_keeps_the_surest_pairs_and_counts_the_rest():
    rows, dropped, _ = paired(
        verdict("s1", confidence=0.9),
        verdict("s2", confidence=0.5),
        verdict("f1", "failure", confidence=0.9),
        verdict("f2", "failure", confidence=0.7),
    )
    assert (sides(rows), dropped) == ([("s1", "f1"), ("s1", "f2")], {"cap": 2})


def test_a_question_asked_a_thousand_times_is_not_tried_a_million_times():
    many = [verdict(f"s{i}") for i in range(1000)]
    many += [verdict(f"f{i}", "failure") for i in range(1000)]
    found = tried(pl.DataFrame(many, schema=SCHEMA, orient="row"), BuildConfig())
    assert len(found.pairs) == PER_SIDE**2
    assert (found.candidates, found.untried) == (1_000_000, 1_000_000 - PER_SIDE**2)
    rows, dropped, _ = paired(*many)
    assert (len(rows), dropped) == (2, {"cap": 999_998})


def test_what_is_tried_is_the_surest_of_each_side():
    doubtful = [verdict(f"a{i:02}", confidence=0.5) for i in range(PER_SIDE)]
    found = tried(
        pl.DataFrame(
            [*doubtful, verdict("z", confidence=0.9), verdict("f", "failure")],
            schema=SCHEMA, orient="row",
        ),
        BuildConfig(),
    )  # fmt: skip
    # Of 33 successes the last by name is the surest, and the last but one is left out.
    names = set(found.pairs["chosen_episode"])
    assert "z" in names
    assert f"a{PER_SIDE - 1:02}" not in names


@pytest.mark.parametrize("seed", range(5))
def test_swapping_success_and_failure_swaps_the_sides(seed):
    drawn = pl.Series(range(40)).shuffle(seed).to_list()
    made = [
        verdict(
            f"e{i:02}", ("success", "failure")[n % 2], problem=f"s{i % 4}",
            confidence=(n % 7) / 7, total=(1 - n % 2) - n / 200,
        )
        for i, n in enumerate(drawn)
    ]  # fmt: skip
    other = {"success": "failure", "failure": "success"}
    swapped = [(*row[:4], other[row[4]], row[5], -row[6], row[7]) for row in made]
    keys = {"pair_cap_per_scenario": 1000}
    rows, dropped, candidates = paired(*made, **keys)
    back, dropped_back, candidates_back = paired(*swapped, **keys)
    assert (dropped, candidates) == (dropped_back, candidates_back)
    assert sorted(sides(rows)) == sorted((c, r) for r, c in sides(back))
    assert len(rows) > 10
