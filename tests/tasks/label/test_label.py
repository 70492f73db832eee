"""Labels over a real warehouse: evidence found, late signals, append-only, real logs."""

import pytest

from schemas.errors import MissingStateError
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"


@pytest.fixture
def run(config, clock):
    """Ingest paths, label, and give the account and the newest label of each logged id."""

    def go(*paths):
        if paths:
            ingest(config, list(paths), night=NIGHT, clock=clock)
        account = label(config, night=NIGHT, clock=clock)
        rows = Warehouse(config.home).sql(
            "SELECT e.logged_id, l.* FROM latest_labels l JOIN episodes e USING (episode_id)"
        )
        return account, {row["logged_id"]: row for row in rows.to_pylist()}

    return go


def event(episode, kind, value=1, **keys):
    return {"episode_id": episode, "kind": kind, "value": value, "timestamp": 1767323045, **keys}


def kinds(row):
    return {piece["kind"] for piece in row["evidence"]}


def test_without_episodes_there_is_nothing_to_label(config, clock):
    with pytest.raises(MissingStateError, match="no episodes"):
        label(config, night=NIGHT, clock=clock)


def test_each_tier_decides_where_none_above_it_speaks(run, chat, write):
    names = ["verified", "thumbed", "exported", "silent"]
    episodes = write("a.jsonl", *[chat(n, question=n) for n in names])
    events = write(
        "f.jsonl",
        event("verified", "outcome", 0, source="verifier"),
        event("verified", "thumbs", 1),
        event("thumbed", "thumbs", -1),
        event("thumbed", "reask"),
        event("exported", "export"),
    )
    account, labels = run(episodes, events)
    found = {name: (labels[name]["state"], labels[name]["decided_by"]) for name in names}
    assert found == {
        "verified": ("failure", "outcome"),
        "thumbed": ("failure", "feedback"),
        "exported": ("success", "implicit"),
        "silent": ("unlabelled", None),
    }
    assert account["by_source"] == {
        "outcome": 1, "feedback": 1, "implicit": 1, "judge": 0, "reward_model": 0,
    }  # fmt: skip
    states = ("episodes", "success", "failure", "unlabelled", "infrastructure_errors")
    assert [account[name] for name in states] == [4, 1, 2, 1, 0]
    assert labels["silent"]["total"] is None


def test_an_event_that_says_it_did_not_happen_is_no_evidence(run, chat, write):
    _, labels = run(write("a.jsonl", chat("r")), write("f.jsonl", event("r", "complaint", 0)))
    assert kinds(labels["r"]) == set()


def test_messages_are_evidence_of_their_own(run, chat, write):
    failing, again = ("select x", "Error: no x"), ("select 1", "1")
    _, labels = run(
        write(
            "a.jsonl",
            chat("ends badly", question="a", calls=(again, failing)),
            chat("recovers", question="b", calls=(failing, again)),
            chat("repeats", question="c", calls=(again, again)),
            chat("guesses", question="d", calls=()),
            chat("has no tools", question="e", calls=(), tools=None),
        )
    )
    assert {name: kinds(row) for name, row in labels.items()} == {
        "ends badly": {"final_error"},
        "recovers": set(),
        "repeats": {"repeated_call"},
        "guesses": {"no_tool_evidence"},
        "has no tools": set(),
    }
    # Three steps: a failed call costs 0.1; nothing is labelled, so nothing waits at the end.
    assert labels["recovers"]["step_rewards"] == pytest.approx([-0.1, 0, 0])
    assert labels["repeats"]["step_rewards"] == pytest.approx([0, -0.1, 0])


def test_the_same_question_again_in_a_session_is_a_reask_of_the_first(run, chat, write):
    _, labels = run(
        write(
            "a.jsonl",
            chat("first", session_id="s", timestamp="2026-01-01T10:00:00Z"),
            chat("again", session_id="s", timestamp="2026-01-01T10:01:00Z", answer="two"),
            chat("elsewhere", session_id="t", timestamp="2026-01-01T10:02:00Z"),
        )
    )
    assert {name: kinds(row) for name, row in labels.items()} == {
        "first": {"reask"}, "again": set(), "elsewhere": set(),
    }  # fmt: skip


def test_a_signal_of_a_session_is_about_the_last_episode_before_it(run, chat, write):
    _, labels = run(
        write(
            "a.jsonl",
            chat("one", question="a", session_id="s", timestamp=1767323000),
            chat("two", question="b", session_id="s", timestamp=1767323010),
            chat("three", question="c", session_id="s", timestamp=1767323099),
        ),
        write("f.jsonl", {"session_id": "s", "kind": "escalation", "timestamp": 1767323045}),
    )
    assert [kinds(labels[n]) for n in ("one", "two", "three")] == [set(), {"escalation"}, set()]


def test_labelling_twice_adds_nothing(config, run, chat, write):
    first, _ = run(write("a.jsonl", chat("r")), write("f.jsonl", event("r", "export")))
    again, _ = run()
    assert (first["labelled"], again["labelled"]) == (1, 0)
    assert again["tables"] == first["tables"]
    assert again["success"] == 1


def test_a_late_signal_relabels_its_episode_alone(config, run, chat, write):
    run(write("a.jsonl", chat("r", question="a"), chat("s", question="b")))
    account, labels = run(write("f.jsonl", event("r", "outcome", 1, source="verifier")))
    assert account["labelled"] == 1
    assert (labels["r"]["state"], labels["r"]["revision"]) == ("success", 1)
    assert (labels["s"]["state"], labels["s"]["revision"]) == ("unlabelled", 0)
    history = Warehouse(config.home).read("labels")
    assert sorted(history["state"].to_pylist()) == ["success", "unlabelled", "unlabelled"]


def test_a_signal_that_came_before_its_episode_is_found(run, chat, write, config, clock):
    ingest(config, [write("f.jsonl", event("r", "export"))], night=NIGHT, clock=clock)
    _, labels = run(write("a.jsonl", chat("r")))
    assert labels["r"]["state"] == "success"


def test_another_configuration_leaves_older_labels_until_all_are_asked_for(
    config, run, chat, write, clock
):
    first, _ = run(write("a.jsonl", chat("r")), write("f.jsonl", event("r", "export")))
    strict = config.label.model_copy(update={"success_above": 0.9})
    other = config.model_copy(update={"label": strict})
    kept = label(other, night=NIGHT, clock=clock)
    assert (kept["labelled"], kept["success"]) == (0, 1)
    assert kept["label_version"] != first["label_version"]
    anew = label(other, night=NIGHT, clock=clock, everything=True)
    assert (anew["labelled"], anew["success"], anew["unlabelled"]) == (1, 0, 1)
    rows = Warehouse(config.home).read("labels", ["revision", "label_version"]).to_pylist()
    versions = {row["revision"]: row["label_version"] for row in rows}
    assert versions == {0: first["label_version"], 1: anew["label_version"]}


def test_success_with_failing_tools_and_without_tools_trips_a_wire(run, chat, write):
    failing = ("select x", "Error: no x")
    account, _ = run(
        write(
            "a.jsonl",
            chat("r1", question="a", calls=(failing,), reward=1.0),
            chat("r2", question="b", calls=(), reward=1.0),
            chat("r3", question="c", reward=1.0),
        )
    )
    assert {wire["kind"]: wire["count"] for wire in account["tripwires"]} == {
        "success_with_tool_errors": 1,
        "success_without_tools": 1,
    }


def test_decision_points_are_where_another_call_led_elsewhere(run, chat, write):
    good, bad, look = ("select 1", "1"), ("select 2", "2"), ("describe", "t(a)")
    account, _ = run(
        write(
            "a.jsonl",
            chat("g1", calls=(look, good), reward=1.0),
            chat("g2", calls=(look, good), reward=1.0),
            chat("b1", calls=(look, bad), reward=0.0),
            chat("b2", calls=(look, bad), reward=0.0),
            chat("o1", question="other", calls=(good,), reward=1.0),
            chat("o2", question="other", calls=(bad,), reward=0.0),
        )
    )
    # After `describe` of the first question (twice each way), and at once in the other (once each).
    assert account["decision_points"] == 2
    assert account["decision_points_with_support"] == 1


def test_real_logs_keep_their_verified_outcomes(run, real_logs):
    account, _ = run(str(real_logs / "tau-bench"))
    assert (account["success"], account["failure"], account["unlabelled"]) == (18, 30, 0)
    assert account["by_source"]["outcome"] == 48
    # Predicted without the outcome, from what the messages show.
    assert 0 < account["calibration"]["n"] <= 48
    assert 0 <= account["calibration"]["ece"] <= 1
    assert account["decision_points"] > 0
