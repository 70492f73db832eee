"""Signals and episodes find each other, whichever comes first and however late."""

from datetime import date

import pytest

from schemas.label_config import LabelConfig, SignalConfig
from tasks.ingest.ingest import ingest
from tasks.label.hearing import between, days_before, days_of
from tasks.label.label import label
from warehouse.tables import Warehouse

START = 1767322000
"""2026-01-02, shortly before three."""
DAY = 86_400


@pytest.fixture
def night(config, clock, write):
    """Ingest records as one file of a night and label; gives the account."""

    def go(when, *records, **keys):
        if records:
            ingest(config, [write(f"{when}.jsonl", *records)], night=when, clock=clock)
        return label(config, night=when, clock=clock, **keys)

    return go


@pytest.fixture
def heard(config):
    """Give the signals' kinds on each episode, by the log's id."""

    def go():
        rows = Warehouse(config.home).sql(
            "SELECT e.logged_id AS name, l.evidence FROM latest_labels AS l"
            " JOIN episodes AS e USING (episode_id)"
        )
        return {
            row["name"]: sorted(
                piece["kind"] for piece in row["evidence"] if piece["source"].startswith("signal")
            )
            for row in rows.to_pylist()
        }

    return go


def event(kind="export", after=500, **keys):
    return {"kind": kind, "value": 1, "timestamp": START + after, **keys}


def request(number, messages, answer):
    return {
        "timestamp": START + number, "workload_id": "w", "client_id": "c", "session_id": "s",
        "request": {"model": "m", "messages": messages},
        "response": {
            "id": f"call-{number}",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}}],
        },
    }  # fmt: skip


def test_a_late_signal_finds_its_episode_by_any_of_its_names(config, night, heard, chat):
    keys = {"timestamp": START, "session_id": "t"}
    night("2026-01-02", chat("r", question="a", **keys), chat("q", question="b"))
    night("2026-01-03", request(0, [{"role": "user", "content": "c"}], "one"))
    by_name = {"r": [], "q": [], "s": []}
    assert heard() == by_name
    ids = Warehouse(config.home).read("episodes", ["logged_id", "episode_id"]).to_pylist()
    names = {row["logged_id"]: row["episode_id"] for row in ids}
    account = night(
        "2026-01-12",
        event("export", episode_id="r"),
        event("complaint", 9 * DAY, episode_id=names["q"]),
        event("escalation", 9 * DAY, episode_id="call-0"),
        event("thumbs", 9 * DAY, session_id="t"),
    )
    assert heard() == {"r": ["export", "thumbs_up"], "q": ["complaint"], "s": ["escalation"]}
    assert account["labelled"] == 3


def test_an_episode_older_than_signals_wait_is_found_when_all_are_labelled(
    config, clock, chat, write, heard
):
    few = config.model_copy(
        update={"label": LabelConfig(signals=SignalConfig(wait_days=5, reask_minutes=60))}
    )

    def go(when, *records, **keys):
        ingest(few, [write(f"{when}.jsonl", *records)], night=when, clock=clock)
        return label(few, night=when, clock=clock, **keys)["labelled"]

    go("2026-01-02", chat("r", timestamp=START))
    assert go("2026-02-02", event(after=30 * DAY, episode_id="r")) == 0
    assert heard() == {"r": []}
    # The episode of the first night, and the one that came with the last.
    assert go("2026-02-03", chat("s", question="b"), everything=True) == 2
    assert heard() == {"r": ["export"], "s": []}


def test_a_signal_waits_for_its_episode_as_long_as_is_said(config, clock, chat, write, heard):
    few = config.model_copy(update={"label": LabelConfig(signals=SignalConfig(wait_days=5))})

    def go(when, *records):
        ingest(few, [write(f"{when}.jsonl", *records)], night=when, clock=clock)
        return label(few, night=when, clock=clock)

    go("2026-01-02", chat("r"), event(episode_id="soon"), event(episode_id="late"))
    go("2026-01-06", chat("soon", question="b"), event(session_id="nobody's"))
    go("2026-01-20", chat("late", question="c"))
    assert heard() == {"r": [], "soon": ["export"], "late": []}


def test_a_signal_read_twice_or_for_nobody_adds_no_label(night, heard, chat):
    night("2026-01-02", chat("r"), event(episode_id="r"))
    again = night("2026-01-03", event(episode_id="r"), event(episode_id="nobody"))
    assert (again["labelled"], heard()) == (0, {"r": ["export"]})
    # The one for nobody waits, and one more comes.
    last = night("2026-01-04", chat("nobody", question="b"), event("complaint", episode_id="r"))
    assert last["labelled"] == 2
    assert heard() == {"r": ["complaint", "export"], "nobody": ["export"]}


def test_without_times_a_session_is_judged_by_its_last_night_and_line(night, heard, chat):
    night(
        "2026-01-02",
        chat("first", question="a", session_id="s"),
        chat("second", question="b", session_id="s"),
    )
    night(
        "2026-01-03",
        chat("third", question="c", session_id="s"),
        event("complaint", session_id="s"),
    )
    assert heard() == {"first": [], "second": [], "third": ["complaint"]}
    night("2026-01-03", everything=True)
    assert heard() == {"first": [], "second": [], "third": ["complaint"]}


def test_a_question_asked_again_on_a_later_night_is_a_reask_of_the_older_episode(
    config, night, chat
):
    def asked(name, after):
        return chat(name, session_id="s", timestamp=START + after)

    night("2026-01-02", asked("one", 0))
    night("2026-01-03", asked("two", 0.9 * DAY))
    night("2026-01-06", asked("three", 3.5 * DAY))
    rows = Warehouse(config.home).sql(
        "SELECT e.logged_id, l.evidence, l.revision FROM latest_labels AS l JOIN episodes AS e"
        " USING (episode_id) ORDER BY 1"
    )
    # A day is the most between a question and its repetition.
    assert [
        (row["logged_id"], [piece["kind"] for piece in row["evidence"]], row["revision"])
        for row in rows.to_pylist()
    ] == [("one", ["reask"], 1), ("three", [], 0), ("two", [], 0)]


@pytest.mark.parametrize("kind", ["thumbs", "rating", "score", "outcome"])
def test_a_signal_that_needs_a_value_and_has_none_says_nothing(night, heard, chat, kind):
    night("2026-01-02", chat("r"), event(kind, episode_id="r") | {"value": None})
    assert heard() == {"r": []}


def test_files_are_chosen_by_day_and_kept_where_the_day_says_nothing():
    def file(day):
        return f"tables/episodes/day={day}/part.parquet"

    days = ["0001-01-01", "1970-01-01", "2026-01-01", "2026-01-02", "2026-01-03"]
    files = [*map(file, days), "tables/episodes/part.parquet"]
    kept = between(files, date(2026, 1, 2), date(2026, 1, 3))
    assert kept == [files[0], files[1], files[3], files[5]]
    assert between(files, date(2026, 1, 3), None) == [files[0], files[1], files[4], files[5]]
    assert days_of(files) == set(days)
    assert days_before(date(1, 1, 3), 9) == date(1, 1, 1)
    assert days_before(date(2026, 3, 1), 1) == date(2026, 2, 28)


def test_one_user_with_most_of_the_thumbs_weighs_little(config, night, chat):
    # 40 episodes: `keen` praises 30 of them and ten others one each. 40 thumbs up; the cap is
    # max(10, 0.05 * 40) = 10 pieces, so that each of 30 counts 10 / 30.
    records = [chat(f"r{n}", question=f"q{n}") for n in range(40)]
    thumbs = [
        event("thumbs", n, episode_id=f"r{n}", user_id="keen" if n < 30 else f"u{n}")
        for n in range(40)
    ]
    night("2026-01-02", *records, *thumbs)
    labels = Warehouse(config.home).sql(
        "SELECT e.logged_id AS name, l.state, l.success, l.evidence[1] AS piece FROM latest_labels"
        " AS l JOIN episodes AS e USING (episode_id)"
    )
    found = {row["name"]: row for row in labels.to_pylist()}
    assert found["r0"]["piece"]["share"] == pytest.approx(1 / 3)
    assert found["r39"]["piece"]["share"] == 1
    # ln(0.30 / 0.06) = 1.609 for a whole piece: 83.3%. A third of it is 0.536: 63.1%.
    assert found["r39"]["success"] == pytest.approx(0.8333, abs=1e-4)
    assert found["r0"]["piece"]["weight"] == pytest.approx(0.5365, abs=1e-4)
    assert found["r0"]["success"] == pytest.approx(0.6310, abs=1e-4)
