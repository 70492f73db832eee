"""Labels night by night: whatever came in whichever order, the newest row says what tables hold."""

from collections import Counter

import numpy as np
import pytest

from tasks.ingest.ingest import ingest
from tasks.label.label import label, label_version_of
from tasks.label.signals import kinds_of
from tasks.label.standing import counted_anew, standing_of
from tasks.upkeep.compact import compact
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"
START = 1767322000
"""2026-01-02, shortly before three."""


@pytest.fixture
def read(config, clock):
    def go(*paths, night=NIGHT):
        ingest(config, list(paths), night=night, clock=clock)

    return go


@pytest.fixture
def night(config, clock):
    """Label a night, and see that the newest row of `labellings` says what the tables hold."""

    def go(night=NIGHT, **keys):
        account = label(config, night=night, clock=clock, **keys)
        agrees(config)
        return account

    return go


@pytest.fixture
def kinds(config):
    """Give the kinds and sources of evidence of each visible episode, by its last message."""

    def go():
        rows = Warehouse(config.home).sql(
            "SELECT e.messages[-1].content AS said, l.evidence FROM latest_labels AS l"
            " JOIN episodes AS e USING (episode_id)"
        )
        return {
            row["said"]: sorted(piece["kind"] for piece in row["evidence"])
            for row in rows.to_pylist()
        }

    return go


def agrees(config):
    """See that what is added up night by night is what all labels say."""
    settings, warehouse = config.label, Warehouse(config.home)
    known = kinds_of(settings)
    gap, support = settings.decision_gap, settings.decision_support
    kept = standing_of(warehouse, known, gap, support, label_version_of(settings))
    assert kept.whole
    anew = counted_anew(warehouse, known, kept.last, gap, support)
    for one, other in zip(kept.counts, anew.counts, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(kept.bins, anew.bins, atol=1e-6)
    assert rounded(kept.totals) == rounded(anew.totals)
    assert kept.points == anew.points
    assert warehouse.sql("step_values_mended").num_rows == 0
    once = warehouse.sql("SELECT episode_id, revision FROM labels GROUP BY ALL HAVING count(*) > 1")
    assert once.num_rows == 0


def rounded(totals):
    return Counter({key: round(value, 6) for key, value in totals.items() if abs(value) > 1e-6})


def event(episode, kind="thumbs", value=1, second=500, **keys):
    return {
        "episode_id": episode, "kind": kind, "value": value, "timestamp": START + second, **keys
    }  # fmt: skip


def ask(text="how many rows?"):
    return {"role": "user", "content": text}


def say(text):
    return {"role": "assistant", "content": text}


def request(number, messages, answer, **keys):
    """Make one logged model call of session `s`."""
    return {
        "timestamp": START + number, "workload_id": "w", "client_id": "c", "session_id": "s",
        "request": {"model": "m", "messages": messages},
        "response": {
            "id": f"call-{number}",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}}],
        },
        **keys,
    }  # fmt: skip


TALK = [ask(), say("one"), ask("sure?"), say("yes"), ask("really?"), say("really")]


def turn(number):
    """Make the call of a turn of one talk; its answer is the last thing said."""
    return request(10 * number, TALK[: 2 * number + 1], TALK[2 * number + 1]["content"])


def test_a_signal_that_comes_with_a_compaction_finds_its_older_episode(
    config, read, night, kinds, chat, write
):
    read(write("a.jsonl", chat("a", question="a", answer="a")))
    read(write("b.jsonl", chat("b", question="b", answer="b")))
    night()
    compact(config)
    read(write("f.jsonl", event("a")))
    night()
    assert kinds() == {"a": ["thumbs_up"], "b": []}


def test_a_session_read_in_three_parts_between_two_nights_counts_once(
    config, read, night, kinds, write
):
    read(write("0.jsonl", turn(0)))
    night()
    read(write("1.jsonl", turn(1)))
    read(write("2.jsonl", turn(2)))
    assert night()["episodes"] == 1
    assert list(kinds()) == ["really"]


def test_a_signal_on_the_beginning_and_its_continuation_on_one_night(
    config, read, night, kinds, write
):
    read(write("0.jsonl", turn(0)))
    night()
    read(write("1.jsonl", turn(1)), write("f.jsonl", event("s", "export"), event("call-0")))
    account = night()
    assert (account["episodes"], account["success"]) == (1, 1)


def test_counting_anew_does_not_take_back_superseded_labels_twice(
    config, read, night, kinds, write
):
    read(write("0.jsonl", turn(0)), write("f.jsonl", event("s", "export")))
    night()
    compact(config)
    labels = Warehouse(config.home).read("labels")
    read(write("1.jsonl", turn(1)))
    # Labels changed by somebody else: everything is counted anew, with the whole in place.
    from deltalake import DeltaTable

    DeltaTable(Warehouse(config.home).location("labels")).alter.set_table_properties(
        {"delta.checkpointInterval": "7"}
    )
    assert Warehouse(config.home).read("labels").num_rows == labels.num_rows
    assert night()["episodes"] == 1


def test_all_labelled_anew_counts_decision_points_under_a_new_gap(
    config, clock, read, night, chat, write
):
    good, bad = ("select 1", "1"), ("select 2", "2")
    read(
        write("a.jsonl", chat("g", calls=(good,), reward=1.0), chat("b", calls=(bad,), reward=0.0))
    )
    assert night()["decision_points"] == 1
    other = config.model_copy(
        update={"label": config.label.model_copy(update={"decision_gap": 5.0})}
    )
    account = label(other, night=NIGHT, clock=clock, everything=True)
    assert account["decision_points"] == 0


def test_branches_of_a_beginning_read_on_two_nights(config, read, night, kinds, write):
    read(write("0.jsonl", turn(0)))
    night()
    said = TALK[:2]
    read(write("1.jsonl", request(10, [*said, ask("left?")], "left")))
    night()
    read(write("2.jsonl", request(20, [*said, ask("right?")], "right")))
    night()
    assert set(kinds()) == {"left", "right"}


def test_a_signal_told_after_a_kill_finds_what_the_killed_run_labelled(
    config, clock, read, night, kinds, chat, write, monkeypatch
):
    read(write("a.jsonl", chat("a", question="a", answer="a")))
    append = Warehouse.append

    def dies(self, table, rows, **keys):
        if table == "labellings":
            raise KeyboardInterrupt
        return append(self, table, rows, **keys)

    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "append", dies)
        with pytest.raises(KeyboardInterrupt):
            label(config, night=NIGHT, clock=clock)
    read(write("f.jsonl", event("a")))
    night()
    assert kinds() == {"a": ["thumbs_up"]}


@pytest.mark.parametrize("stamp", ["0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", 0])
def test_an_absurd_time_stops_nothing(config, read, night, kinds, chat, write, stamp):
    read(write("a.jsonl", chat("a", question="a", answer="a", timestamp=stamp)))
    night()
    read(write("b.jsonl", chat("b", question="b", answer="b", timestamp=stamp)))
    read(write("f.jsonl", event("a") | {"timestamp": stamp}))
    night()
    assert kinds() == {"a": ["thumbs_up"], "b": []}
