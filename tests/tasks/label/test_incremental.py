"""Labels night by night: whatever came in whichever order, the newest row says what tables hold."""

import json
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.config import FlywheelConfig
from schemas.errors import MissingStateError
from tasks.ingest.ingest import ingest
from tasks.label.label import label, label_version_of
from tasks.label.signals import kinds_of
from tasks.label.standing import counted_anew, standing_of
from tasks.upkeep.compact import compact
from tasks.upkeep.forget import forget
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
    rules, warehouse = config.label, Warehouse(config.home)
    known = kinds_of(rules)
    gap, support = rules.decision_gap, rules.decision_support
    kept = standing_of(warehouse, known, gap, support, label_version_of(rules))
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


def test_a_signal_that_comes_with_a_continuation_is_about_the_whole(
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


def test_branches_read_on_two_nights_count_one_each(config, read, night, kinds, write):
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


def test_praise_that_was_heard_before_a_compaction_trips_no_wire_after_it(
    config, read, night, chat, write
):
    chats = [chat(f"r{n}", question=f"q{n}") for n in range(30)]
    thumbs = [event(f"r{n}", user_id="keen") for n in range(30)]
    # Two files, so that they are merged, and the signals look new.
    read(write("a.jsonl", *chats[:15], *thumbs[:15]))
    read(write("b.jsonl", *chats[15:], *thumbs[15:]))
    first = night()["tripwires"]
    assert len(first) == 1
    compact(config)
    read(write("c.jsonl", chat("new", question="new")))
    account = night()
    assert (account["labelled"], account["tripwires"]) == (1, [])


OPERATIONS = ("chats", "turn", "signals", "label", "all", "compact", "forget")


@settings(max_examples=2, derandomize=True, deadline=None)
@given(st.lists(st.sampled_from(OPERATIONS), min_size=6, max_size=7), st.randoms())
def test_after_any_operations_the_newest_row_says_what_the_tables_hold(operations, rng):
    with TemporaryDirectory() as folder:
        home = Home(Path(folder), rng)
        for operation in ("chats", "signals", *operations, "label"):
            getattr(home, operation)()
        known = home.evidence()
        assert home.label()["labelled"] == 0
        home.all()
        if not home.forgot:  # evidence of somebody forgotten stays until all are labelled
            assert home.evidence() == known


class Home:
    """A home in which things happen, one after the other, a day apart."""

    def __init__(self, folder, rng):
        self.folder, self.rng = folder, rng
        self.config = FlywheelConfig(home=folder / "home")
        self.day, self.turns, self.forgot = 2, 0, False
        self.names = ["call-0", "later"]

    @property
    def night(self):
        return f"2026-01-{self.day:02}"

    def clock(self):
        return datetime(2026, 1, 2, 3, tzinfo=UTC)

    def read(self, *records):
        self.day += 1
        path = self.folder / f"{self.day}.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        ingest(self.config, [str(path)], night=self.night, clock=self.clock)

    def chats(self):
        pick = self.rng.choice
        records = []
        for place in range(3):
            name = "later" if self.day == 5 and place == 0 else f"r{self.day}.{place}"
            self.names.append(name)
            call = {
                "id": "c",
                "function": {"name": "run_sql", "arguments": pick(['{"q": 1}', "{}"])},
            }
            talk = [
                ask(pick(["how many rows?", "which?"])),
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": pick(["1", "Error: no x"])},
                say(name),
            ]
            keys = {"session_id": pick(["z", name]), "user_id": pick(["u", "v"])}
            keys |= pick([{}, {"reward": pick([0.0, 1.0])}])
            at = START + 86_400 * (self.day - 2) + place
            records.append({"id": name, "messages": talk, "timestamp": at, **keys})
        self.read(*records)

    def turn(self):
        if self.turns < 3:
            self.read(turn(self.turns))
            self.turns += 1

    def signals(self):
        pick = self.rng.choice
        second = 86_400 * (self.day - 2) + 500
        said = [("thumbs", 1), ("thumbs", 0), ("outcome", 1), ("outcome", 0), ("export", 1)]
        events = [
            event(pick(self.names), *pick(said), second=second + n, user_id=pick(["v", "w"]))
            for n in range(3)
        ]
        self.read(*events, event(None, *pick(said), second=second, session_id=pick(["z", "s"])))

    def label(self, **keys):
        account = label(self.config, night=self.night, clock=self.clock, **keys)
        agrees(self.config)
        return account

    def all(self):
        return self.label(everything=True)

    def compact(self):
        compact(self.config)

    def forget(self):
        with suppress(MissingStateError):
            forget(self.config, "w", clock=self.clock)
            self.forgot = True

    def evidence(self):
        rows = Warehouse(self.config.home).sql(
            "SELECT episode_id, list_sort(list_transform(evidence, lambda e: e.kind || e.source))"
            " AS said FROM latest_labels ORDER BY 1"
        )
        return rows.to_pylist()


@pytest.mark.parametrize("stamp", ["0001-01-01T00:00:00Z", 0])
def test_an_absurd_time_stops_nothing(config, read, night, kinds, chat, write, stamp):
    read(write("a.jsonl", chat("a", question="a", answer="a", timestamp=stamp)))
    night()
    read(write("b.jsonl", chat("b", question="b", answer="b", timestamp=stamp)))
    read(write("f.jsonl", event("a") | {"timestamp": stamp}))
    night()
    assert kinds() == {"a": ["thumbs_up"], "b": []}


def test_many_new_episodes_are_labelled_in_several_runs_of_one_call(
    config, clock, chat, write, monkeypatch
):
    monkeypatch.setattr("tasks.label.label.MOST", 2)
    # Feedback first, then episodes in three commits of two: the last two hear what came before.
    events = [{"episode_id": f"r{n}", "kind": "export"} for n in range(6)]
    ingest(config, [write("f.jsonl", *events)], night=NIGHT, clock=clock)
    for part in range(3):
        chats = [chat(f"r{n}", question=f"q{n}") for n in (2 * part, 2 * part + 1)]
        ingest(config, [write(f"{part}.jsonl", *chats)], night=NIGHT, clock=clock)
    account = label(config, night=NIGHT, clock=clock)
    assert (account["labelled"], account["episodes"], account["success"]) == (6, 6, 6)
    assert "more" not in account
    assert Warehouse(config.home).read("labellings").num_rows == 3
