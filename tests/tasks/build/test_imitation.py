"""Which episodes and steps become rows to imitate, and in which order."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.config import BuildConfig
from tasks.build.imitation import (
    ANSWERING,
    failed_states,
    good_step_rows,
    kto_rows,
    sft_rows,
)
from tasks.build.night import night_verdicts
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

CONFIG = BuildConfig()
NIGHT = "2026-01-02"
COLUMNS = {
    "episode_id": pl.String,
    "problem": pl.String,
    "body_digest": pl.String,
    "state": pl.String,
    "confidence": pl.Float64,
    "total": pl.Float64,
    "side": pl.String,
    "step_states": pl.List(pl.Int64),
    "step_actions": pl.List(pl.Int64),
}
VALUES = {"state": pl.Int64, "action": pl.Int64, "visits": pl.Int64, "advantage": pl.Float64}


def verdict(
    name, state="success", *, confidence=0.8, total=None, problem=None, body=None, side="train",
    steps=(),
):  # fmt: skip
    """Make one row of a night; `steps` are pairs of state and action."""
    total = {"success": 0.9, "failure": 0.1}.get(state) if total is None else total
    states, actions = [s for s, _ in steps], [a for _, a in steps]
    return (name, problem or name, body or name, state, confidence, total, side, states, actions)


def frame(*rows):
    return pl.DataFrame(list(rows), COLUMNS, orient="row").with_columns(
        group=pl.lit(7, pl.Int64), scenario_id="problem"
    )


def ids(rows):
    return rows["episode_id"].to_list()


def test_sft_takes_confident_successes_of_the_train_side_best_first():
    chosen = sft_rows(
        frame(
            verdict("weak", confidence=0.1),
            verdict("good", confidence=0.5),
            verdict("best", confidence=0.9),
            verdict("twin", confidence=0.4, body="best"),
            verdict("cheap", confidence=0.5, total=0.95),
            verdict("also", confidence=0.5),
            verdict("failed", "failure"),
            verdict("unknown", "unlabelled", confidence=0.0),
            verdict("held", side="held_out"),
            verdict("gone", side="retired"),
        ),
        CONFIG,
    )
    # By confidence, then by total, then by id.
    assert ids(chosen) == ["best", "cheap", "also", "good"]
    assert chosen["rank"].to_list() == [0, 1, 2, 3]
    assert chosen["group"].to_list() == [7] * 4


def test_a_confidence_at_the_limit_is_enough():
    assert ids(sft_rows(frame(verdict("a", confidence=CONFIG.sft_confidence)), CONFIG)) == ["a"]


def test_sft_keeps_the_best_two_of_a_problem_and_a_twin_takes_no_place():
    rows = [verdict(f"e{i}", confidence=i / 10, problem="s") for i in range(3, 9)]
    twin = verdict("twin", confidence=0.75, problem="s", body="e8")
    assert ids(sft_rows(frame(*rows, twin), CONFIG)) == ["e8", "e7"]


def values(*rows):
    return pl.DataFrame(list(rows), VALUES, orient="row")


def test_a_good_step_is_one_that_served_others_better_than_their_other_choices():
    failed = verdict("f", "failure", steps=[(11, 1), (0, 0), (12, 2), (13, 3), (14, 4), (15, 5)])
    known = values(
        (11, 1, 3, 0.1),  # just enough of both
        (12, 2, 9, 0.0999),  # too little
        (13, 3, 2, 0.5),  # too few
        (14, 9, 9, 0.5),  # another action in that state
        (15, 5, 9, 0.3),
    )
    [row] = good_step_rows(frame(failed), known, CONFIG).to_dicts()
    assert row == {
        "episode_id": "f",
        "group": 7,
        "rank": 0,
        "good_steps": [True, False, False, False, False, True],
    }


def test_the_last_digit_of_a_sum_does_not_decide_on_a_step():
    # 0.3 - 0.2 falls short of 0.1 by 3e-17.
    failed = verdict("f", "failure", steps=[(11, 1)])
    assert good_step_rows(frame(failed), values((11, 1, 3, 0.3 - 0.2)), CONFIG).height == 1


def test_a_step_that_does_not_act_and_a_final_answer_are_never_good():
    failed = verdict("f", "failure", steps=[(0, 0), (11, ANSWERING)])
    known = values((0, 0, 9, 0.5), (11, ANSWERING, 9, 0.5))
    assert good_step_rows(frame(failed), known, CONFIG).height == 0


def test_answering_is_the_action_that_labels_give_a_last_step(config, clock, chat, write):
    verdicts = real_night(config, clock, write("a.jsonl", chat("r", reward=0.0)))
    [actions] = verdicts["step_actions"].to_list()
    # A call, then the answer.
    assert len(actions) == 2
    assert actions[1] == ANSWERING != actions[0]


def test_good_steps_are_those_of_failures_of_the_train_side_alone():
    steps, known = [(11, 1)], values((11, 1, 3, 0.2))
    rows = [
        verdict("won", steps=steps),
        verdict("unknown", "unlabelled", steps=steps),
        verdict("held", "failure", steps=steps, side="held_out"),
        verdict("like", "failure", steps=steps, body="won"),
        verdict("silent", "failure"),
        verdict("f", "failure", steps=steps),
    ]
    # `like` is word for word what succeeded tonight, and imitated whole.
    assert ids(good_step_rows(frame(*rows), known, CONFIG)) == ["f"]


def test_most_good_steps_come_first_then_the_best_and_the_cap_of_a_problem_holds():
    known = values((11, 1, 3, 0.2), (12, 2, 3, 0.3), (13, 3, 3, 0.6))
    rows = [
        verdict("one", "failure", steps=[(11, 1)], problem="p"),
        verdict("better", "failure", steps=[(13, 3)], problem="p"),
        verdict("two", "failure", steps=[(11, 1), (12, 2)], problem="p"),
        verdict("twin", "failure", steps=[(11, 1), (12, 2)], problem="q", body="two"),
    ]
    chosen = good_step_rows(frame(*rows), known, CONFIG)
    # Two good steps worth 0.5, then one worth 0.6; the third of its problem and a twin are out.
    assert ids(chosen) == ["twin", "better", "one"]
    assert chosen["good_steps"].to_list() == [[True, True], [True], [True]]


def test_values_are_wanted_of_the_states_in_which_failures_acted():
    rows = [
        verdict("f", "failure", steps=[(12, 1), (0, 0), (11, 1)]),
        verdict("g", "failure", steps=[(12, 2)]),
        verdict("won", steps=[(13, 1)]),
        verdict("held", "failure", steps=[(14, 1)], side="held_out"),
        verdict("silent", "failure"),
    ]
    assert failed_states(frame(*rows)).to_dict(as_series=False) == {"state": [11, 12]}


def test_good_steps_of_a_real_warehouse(config, clock, chat, write):
    # Three look first and win; one looks, then guesses, and loses; two guess at once and lose.
    look, guess, other = ("select 1", "1"), ("select x", "x"), ("select y", "y")
    records = [
        *(chat(f"w{i}", scenario_id="s", calls=(look,), answer=f"{i}", reward=1.0) for i in "123"),
        chat("lost", scenario_id="s", calls=(look, guess), reward=0.0),
        *(chat(f"l{i}", scenario_id="s", calls=(other,), answer=f"{i}", reward=0.0) for i in "12"),
    ]
    verdicts = real_night(config, clock, write("a.jsonl", *records))
    wanted = failed_states(verdicts).to_arrow()
    found = Warehouse(config.home).sql(
        "step_values_of", relations={"wanted": wanted}, shrinkage=2.0
    )
    # At the start, looking succeeded three times of four and guessing never in two.
    [row] = good_step_rows(verdicts, pl.DataFrame(found), CONFIG).to_dicts()
    assert row["good_steps"] == [True, False, False]


def test_kto_takes_sure_labels_of_both_kinds_with_their_weight():
    chosen, dropped = kto_rows(
        frame(
            verdict("up", confidence=0.5),
            verdict("down", "failure", confidence=0.9),
            verdict("weak", confidence=0.1),
            verdict("unknown", "unlabelled", confidence=0.9),
            verdict("held", side="held_out"),
        ),
        CONFIG,
    )
    assert chosen.to_dicts() == [
        {"episode_id": "down", "group": 7, "rank": 0, "desirable": False, "weight": 0.9},
        {"episode_id": "up", "group": 7, "rank": 1, "desirable": True, "weight": 0.5},
    ]
    assert dropped == {"twin": 0, "contradicted": 0}


def test_of_equal_bodies_the_surest_speaks_and_where_they_disagree_none():
    chosen, dropped = kto_rows(
        frame(
            verdict("a1", confidence=0.5, body="a"),
            verdict("a2", confidence=0.6, body="a"),
            verdict("b1", confidence=0.9, body="b"),
            verdict("b2", "failure", confidence=0.3, body="b"),
            verdict("b3", confidence=0.9, body="b"),
            # Not sure enough to contradict anybody.
            verdict("c1", confidence=0.9, body="c"),
            verdict("c2", "failure", confidence=0.1, body="c"),
        ),
        CONFIG,
    )
    assert ids(chosen) == ["c1", "a2"]
    assert dropped == {"twin": 1, "contradicted": 3}


episodes = st.lists(
    st.tuples(
        st.sampled_from("pqr"),
        st.sampled_from("abcdefgh"),
        st.sampled_from(["success", "failure", "unlabelled"]),
        st.sampled_from([0.1, 0.2, 0.5, 0.5, 0.9]),
        st.sampled_from(["train", "train", "held_out", "retired"]),
        st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2)), max_size=4),
    ),
    max_size=40,
)
KNOWN = values(*((state, action, 3, 0.1 * action) for state in range(4) for action in (1, 2)))


# The first example pays for polars' threads.
@settings(deadline=None)
@given(episodes, st.integers(1, 3), st.randoms())
def test_whatever_the_night_caps_hold_and_the_order_of_rows_changes_nothing(rows, cap, chance):
    config = BuildConfig(sft_cap_per_scenario=cap)
    verdicts = frame(
        *(
            verdict(f"e{i}", state, confidence=sure, problem=p, body=p + b, side=side, steps=steps)
            for i, (p, b, state, sure, side, steps) in enumerate(rows)
        )
    )
    order = list(range(verdicts.height))
    chance.shuffle(order)
    mixed = verdicts[order]
    sft, good = sft_rows(verdicts, config), good_step_rows(verdicts, KNOWN, config)
    kto, dropped = kto_rows(verdicts, config)
    assert sft.equals(sft_rows(mixed, config))
    assert good.equals(good_step_rows(mixed, KNOWN, config))
    assert kto.equals(kto_rows(mixed, config)[0])
    assert dropped == kto_rows(mixed, config)[1]
    for chosen in (sft, good, kto):
        told = chosen.join(verdicts, on="episode_id")
        assert told.height == chosen.height
        assert told["body_digest"].is_unique().all()
        assert (told["side"] == "train").all()
        assert chosen["rank"].to_list() == list(range(chosen.height))
    for chosen in (sft, good):
        of_problem = chosen.join(verdicts, on="episode_id")["problem"].value_counts()
        assert (of_problem["count"] <= cap).all()
    # Every problem with anything to imitate gives its cap, or all it has.
    fit = verdicts.filter(side="train", state="success").filter(pl.col("confidence") >= 0.2)
    bodies = fit.group_by("problem").agg(pl.col("body_digest").n_unique().clip(upper_bound=cap))
    assert sft.height == bodies["body_digest"].sum()
    assert all(any(steps) for steps in good["good_steps"])
    lengths = good.join(verdicts, on="episode_id", maintain_order="left")["step_states"].list.len()
    assert lengths.equals(good["good_steps"].list.len(), check_names=False)
    sure = verdicts.filter(pl.col("side") == "train", pl.col("state") != "unlabelled")
    assert kto.height + sum(dropped.values()) == (sure["confidence"] >= 0.2).sum()


def real_night(config, clock, *paths, night=NIGHT):
    """Ingest and label paths, and give the night's frame with all on the train side."""
    ingest(config, list(paths), night=night, clock=clock)
    label(config, night=night, clock=clock)
    verdicts = night_verdicts(Warehouse(config.home).catalog(), night)
    return verdicts.with_columns(side=pl.lit("train"), group=pl.lit(7, pl.Int64))


def test_tau_bench_gives_its_successes_two_of_a_task_and_all_its_labels(real_logs, config, clock):
    verdicts = real_night(config, clock, str(real_logs / "tau-bench"))
    # Of ten tasks six have one success, two have two and two have four: 6 + 4 x 2 = 14.
    per_task = verdicts.filter(state="success")["problem"].value_counts()["count"]
    assert (per_task.sum(), len(per_task)) == (18, 10)
    assert sft_rows(verdicts, CONFIG).height == per_task.clip(upper_bound=2).sum() == 14
    kto, dropped = kto_rows(verdicts, CONFIG)
    assert (kto.height, kto["desirable"].sum()) == (48, 18)
    assert dropped == {"twin": 0, "contradicted": 0}


def test_intercode_has_twins_and_none_that_disagree(real_logs, config, clock):
    verdicts = real_night(config, clock, str(real_logs / "intercode-sql"))
    kto, dropped = kto_rows(verdicts, CONFIG)
    # 625 episodes, 218 of them successes; 12 repeat another word for word.
    assert (kto.height, kto["desirable"].sum()) == (613, 206)
    assert dropped == {"twin": 12, "contradicted": 0}
