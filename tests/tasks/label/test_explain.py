"""Why an episode has its label: found by any name that only it has, every part of it told."""

import pytest

from schemas.errors import InputError, MissingStateError
from tasks.ingest.ingest import ingest
from tasks.label.explain import SHOWN, explain, shortened, told_steps
from tasks.label.label import label
from tasks.label.weights import sigmoid
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"


@pytest.fixture
def night(config, clock, write):
    def go(name, *records):
        ingest(config, [write(name, *records)], night=NIGHT, clock=clock)
        return label(config, night=NIGHT, clock=clock)

    return go


def request(number, messages, answer):
    return {
        "timestamp": 1767322000 + number, "workload_id": "w", "client_id": "c", "session_id": "s",
        "request": {"model": "m", "messages": messages},
        "response": {
            "id": f"call-{number}",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}}],
        },
    }  # fmt: skip


def test_every_part_is_told_and_the_numbers_add_up(config, night, chat):
    look, good, bad = ("describe", "t(a)"), ("select 1", "1"), ("select 2", "Error: no such table")
    night(
        "a.jsonl",
        chat("good", calls=(look, good)),
        chat("bad", calls=(look, bad)),
        {"episode_id": "good", "kind": "export", "timestamp": 1767323045},
        {"episode_id": "good", "kind": "thumbs", "value": 1, "timestamp": 1767323046},
    )
    night("b.jsonl", {"episode_id": "good", "kind": "thumbs", "value": 1, "timestamp": 1767323047})
    told = explain(config, "good")
    assert told["question"] == "how many rows?"
    assert told == explain(config, told["episode_id"])
    assert told["label"]["state"] == "success"
    assert (told["label"]["decided_by"], told["label"]["revision"]) == ("feedback", 1)
    # Two thumbs say the same thing: the second weighs nothing, and stands last.
    assert [piece["kind"] for piece in told["evidence"]] == ["thumbs_up", "export", "thumbs_up"]
    # ln(0.30 / 0.06) and ln(0.30 / 0.10); the prior is even and nothing is learnt.
    weights = [piece["weight"] for piece in told["evidence"]]
    assert weights == pytest.approx([1.6094, 1.0986, 0.0], abs=1e-4)
    whole = told["prior"] + told["silence"] + sum(weights)
    assert float(sigmoid(whole)) == pytest.approx(told["label"]["success"])
    assert [old["revision"] for old in told["history"]] == [0]
    terms = told["terms"]
    assert terms["total"] == pytest.approx(
        terms["success"]
        - terms["weights"]["cost"] * terms["cost"]
        - terms["weights"]["risk"] * terms["risk"]
    )
    assert {part["name"] for part in terms["costs"]} == {"tool_calls"}
    first, second, third = told["steps"]
    assert (first["did"], first["told"], first["errors"]) == (
        'run_sql {"query": "describe"}', "t(a)", 0,
    )  # fmt: skip
    assert (first["visits"], first["rivals"]) == (2, 1)
    assert (second["visits"], second["rivals"]) == (1, 2)
    # The other way ended in failure, so that this one is worth more than their mean.
    assert second["q"] > second["v"]
    assert second["advantage"] > 0
    assert (third["did"], third["calls"]) == ("one", 0)


def test_an_unlabelled_episode_is_explained_without_values(config, night, chat):
    night("a.jsonl", chat("r"))
    told = explain(config, "r")
    assert told["label"]["state"] == "unlabelled"
    assert told["terms"]["total"] is None
    assert [step["visits"] for step in told["steps"]] == [None, None]
    assert (told["evidence"], told["history"]) == ([], [])


def test_a_name_of_none_or_of_several_is_refused_with_what_to_do(config, night, chat):
    night("a.jsonl", chat("a", session_id="s"), chat("b", question="b", session_id="s"))
    with pytest.raises(InputError, match="0 episodes go by 'nobody'"):
        explain(config, "nobody")
    with pytest.raises(InputError, match="2 episodes go by 's'"):
        explain(config, "s")


def test_an_episode_that_was_gone_on_from_is_explained_as_what_goes_on(config, night):
    asked = {"role": "user", "content": "how many?"}
    said = {"role": "assistant", "content": "one"}
    night("a.jsonl", request(0, [asked], "one"))
    [beginning] = Warehouse(config.home).read("episodes", ["episode_id"])["episode_id"].to_pylist()
    night("b.jsonl", request(10, [asked, said, {"role": "user", "content": "sure?"}], "yes"))
    whole = explain(config, "s")
    assert [step["did"] for step in whole["steps"]] == ["one", "yes"]
    with pytest.raises(InputError, match="goes on"):
        explain(config, beginning)


def test_what_has_no_label_yet_says_how_to_get_one(config, clock, chat, write):
    ingest(config, [write("a.jsonl", chat("r"))], night=NIGHT, clock=clock)
    with pytest.raises(MissingStateError, match="no label yet"):
        explain(config, "r")


def test_long_texts_are_shortened_to_one_line():
    assert shortened("a\n  b\tc") == "a b c"
    assert shortened("x" * 400) == "x" * (SHOWN - 1) + "…"
    message = {"tool_calls": [], "content": None, "error": False, "requestor": None}
    call = {"name": "f", "arguments": "{}"}
    steps = told_steps(
        {
            "messages": [
                message | {"role": "tool", "content": "before any step"},
                message | {"role": "assistant", "tool_calls": [call, call]},
                message | {"role": "tool", "content": "one"},
                message | {"role": "tool", "content": "two", "error": True},
                message | {"role": "tool", "content": "the user's own", "requestor": "user"},
                message | {"role": "assistant"},
            ]
        }
    )
    assert steps == [
        {"did": "f {}; f {}", "calls": 2, "told": "one two", "errors": 1},
        {"did": "", "calls": 0, "told": "", "errors": 0},
    ]
