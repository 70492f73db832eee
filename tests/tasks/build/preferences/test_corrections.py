"""Pairs of answers: what counts as a user's own answer, and whose answer it takes the place of."""

import polars as pl
import pytest

from tasks.build.preferences.corrections import answers


@pytest.fixture
def told(night, chat, write):
    """Label one night with some chats and what is said of them."""

    def go(*events, chats=None):
        records = chats or [chat("r", answer="It is 40.")]
        night.label(write("a.jsonl", *records, *events))

    return go


def correction(comment, name="r", **keys):
    return {"episode_id": name, "kind": "correction", "comment": comment, **keys}


def test_the_users_answer_takes_the_place_of_the_last_one(told, night, of_kind):
    told(correction("It is 42."))
    [row], guards = of_kind("correction")
    [logged] = night.seen().values()
    # system, user, call, result, answer.
    assert row["prompt"] == logged[:4]
    assert row["rejected"] == logged[4:]
    [chosen] = row["chosen"]
    assert (chosen["role"], chosen["content"]) == ("assistant", "It is 42.")
    assert {**chosen, "content": None} == {**logged[4], "content": None}
    assert not {name for name in guards if name.startswith("correction")}


def test_its_margin_is_what_a_sure_answer_has_over_the_label(told, night, of_kind):
    told(correction("It is 42."))
    [row], _ = of_kind("correction")
    [label] = night.verdicts().to_dicts()
    assert label["state"] == "failure"
    # A correction alone: log-odds ln(0.03 / 0.20) = -1.90, so success 0.13 and confidence 0.74;
    # 1 - 0.13 = 0.87.
    assert row["confidence"] == pytest.approx(0.74, abs=0.005)
    assert row["margin"] == pytest.approx(0.87, abs=0.005)


def test_it_may_be_a_value_and_name_the_episode_by_its_own_id(told, night, of_kind, write):
    told()
    [name] = night.verdicts()["episode_id"]
    event = {"episode_id": name, "kind": "correction", "value": "It is 42."}
    night.label(write("late.jsonl", event))
    assert of_kind("correction").rows[0]["chosen"][0]["content"] == "It is 42."


def test_what_names_a_session_alone_or_takes_itself_back_corrects_nothing(told, chat, of_kind):
    event = {"session_id": "x", "kind": "correction", "comment": "It is 42."}
    told(event, correction("It is 42.", value=0), chats=[chat("r", session_id="x")])
    rows, guards = of_kind("correction")
    assert rows == []
    assert not {name for name in guards if name.startswith("correction")}


def test_each_guard_drops_a_correction_and_counts_it(told, chat, of_kind):
    right, cut = chat("right", question="a", reward=1.0), chat("cut", question="b")
    cut["messages"].pop()
    told(
        correction("It is 42.", "right"),
        correction("It is 42.", "cut"),
        correction("That's wrong.", "empty"),
        correction("?!", "silent"),
        correction("  it is\n40. ", "same"),
        chats=[
            right,
            # It ends on a call: there is no answer to take the place of.
            cut,
            *(chat(n, question=n, answer="It is 40.") for n in ("empty", "silent", "same")),
        ],
    )
    rows, guards = of_kind("correction")
    assert rows == []
    assert {n: c for n, c in guards.items() if n.startswith("correction")} == {
        "correction_success": 1,
        "correction_empty": 2,
        "correction_answer": 1,
        "correction_identical": 1,
    }


def test_an_episode_that_is_held_out_is_not_corrected(told, night, of_kind):
    told(correction("It is 42."))
    held = night.verdicts().with_columns(side=pl.lit("held_out"))
    rows, guards = of_kind("correction", verdicts=held)
    assert (rows, guards["correction_held_out"]) == ([], 1)


def test_of_several_corrections_the_last_one_counts(told, of_kind):
    told(
        correction("It is 43.", timestamp="2026-01-02T05:00:00Z"),
        correction("It is 42.", timestamp="2026-01-02T04:00:00Z"),
    )
    [row], guards = of_kind("correction")
    assert row["chosen"][0]["content"] == "It is 43."
    assert guards["correction_repeated"] == 1


def test_a_problem_gives_no_more_corrections_than_its_cap(told, chat, of_kind):
    chats = [chat(f"r{i}", answer=f"It is {i}.") for i in range(3)]
    told(*(correction("It is 42.", f"r{i}") for i in range(3)), chats=chats)
    rows, guards = of_kind("correction")
    assert (len(rows), guards["correction_cap"]) == (2, 1)


@pytest.mark.parametrize(
    ("comment", "answer"),
    [
        ("It is 42.", "It is 42."),
        ("No", "No"),
        ("No, it is 42.", "No, it is 42."),
        ("That's wrong, it is 42.", "it is 42."),
        ("No, that's wrong. It is 42, or 43.", "It is 42, or 43."),
        ("You forgot the tax! The total is 42.", "The total is 42."),
        ("SELECT a, b FROM t; -- both", "SELECT a, b FROM t; -- both"),
        ("不对\uff0c是42", "是42"),
        # Complaints, and what cannot be told from one.
        ("wrong", ""),
        ("That's wrong!", ""),
        ("No, that is not what I asked.", ""),
        ("I want to talk to a human", ""),
        ("It is 42. You forgot the tax.", ""),
        ("", ""),
    ],
)
def test_complaints_before_an_answer_are_left_out(comment, answer):
    assert answers(pl.Series([comment])).to_list() == [answer]


def test_comments_do_not_run_into_each_other():
    comments = pl.Series(["That's wrong", "It is 42.", "No, ", "that's wrong. 7"])
    assert answers(comments).to_list() == ["", "It is 42.", "No,", "7"]
    assert answers(pl.Series([], dtype=pl.String)).to_list() == []
