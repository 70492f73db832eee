"""A user's traces hold what readers of the tables do not see: superseded episodes, judged calls."""

import polars as pl
import pytest

from schemas.config import BuildConfig
from tasks.build.sides import known_sides, sides_of
from tasks.ingest.ingest import ingest
from tasks.ingest.privacy.pseudonyms import user_key
from tasks.label.label import label
from tasks.upkeep.forget import forget
from tasks.upkeep.traces import names_of, traces_of
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"
ASK = {"role": "user", "content": "How many herons?"}
TURNS = [
    [ASK],
    [ASK, {"role": "assistant", "content": "0"}, {"role": "user", "content": "And bells?"}],
]


def request(number, user, session):
    message = {"role": "assistant", "content": f"{number}"}
    return {
        "workload_id": "w", "client_id": "c", "session_id": session, "user_id": user,
        "timestamp": 1715854074 + number,
        "request": {"model": "m", "messages": TURNS[number]},
        "response": {"id": f"{session}-{number}", "choices": [{"index": 0, "message": message}]},
    }  # fmt: skip


@pytest.fixture
def warehouse(request_order, config, clock, write):
    """Two users, each with a session in two files, and feedback on the first call of each."""
    user_key(config.home)
    for number in request_order:
        rows = [request(number, name, f"of-{name}") for name in ("berta", "carl")]
        ingest(config, [write(f"{number}.jsonl", *rows)], night=NIGHT, clock=clock)
    said = [{"episode_id": f"of-{name}-0", "kind": "export"} for name in ("berta", "carl")]
    ingest(config, [write("f.jsonl", *said)], night=NIGHT, clock=clock)
    label(config, night=NIGHT, clock=clock)
    return Warehouse(config.home)


@pytest.fixture(params=[(0, 1), (1, 0)], ids=str)
def request_order(request):
    return request.param


def test_forgetting_takes_superseded_episodes_and_feedback_on_calls(warehouse, config, clock):
    names = names_of(config, warehouse, "berta")[1]
    traces = traces_of(warehouse, names)
    assert (len(traces.episodes), len(traces.signals)) == (2, 1)
    forget(config, "berta", clock=clock)
    left = warehouse.sql("SELECT session_id FROM all_episodes")["session_id"].to_pylist()
    assert left == ["of-carl", "of-carl"]
    signals = Warehouse(config.home).read("signals", ["episode_id"])["episode_id"].to_pylist()
    assert signals == ["of-carl-0"]
    labels = Warehouse(config.home).sql("SELECT state FROM latest_labels")
    assert labels["state"].to_pylist() == ["success"]


def test_forgetting_takes_the_users_keys_of_the_split_and_leaves_what_became_of_groups(
    config, clock, warehouse
):
    kinds = ("session_id", "scenario_id", "user_id", "question", "body_digest")
    asked = [
        {"episode_id": "1", "session_id": "of-berta", "user_id": None, "question": "why?"},
        {"episode_id": "2", "session_id": "of-carl", "user_id": None, "question": "where?"},
        {"episode_id": "3", "session_id": "of-dora", "user_id": None, "question": "when?"},
        # One session asks what berta's and dora's asked: their groups are one from now on.
        {"episode_id": "4", "session_id": "joins", "user_id": None, "question": "why?"},
        {"episode_id": "5", "session_id": "joins", "user_id": None, "question": "when?"},
    ]
    names = names_of(config, warehouse, "berta")[1]
    asked[0]["user_id"] = names[-1]
    build = BuildConfig(split_by_user=True, held_out_share=0.5, split_salt="salt 1")
    schema = {"episode_id": pl.String, **dict.fromkeys(kinds, pl.String)}
    rows = pl.DataFrame(asked, schema=schema)
    for start, stop in ((0, 3), (3, 5)):
        catalog = warehouse.catalog(only=["split_keys"])
        found = sides_of(catalog, rows[start:stop], build, NIGHT)
        warehouse.append("split_keys", found.new_rows)
    before = pl.DataFrame(warehouse.read("split_keys"))
    assert forget(config, "berta", clock=clock)["split_keys"] == 2
    left = pl.DataFrame(Warehouse(config.home).read("split_keys"))
    gone = before.join(left, on=["key", "kind"], how="anti")
    assert sorted(gone["kind"]) == ["session", "user"]
    assert (left["kind"] == "group").sum() == (before["kind"] == "group").sum() > 0
    # The others' groups stand where they stood.
    known = known_sides(Warehouse(config.home).catalog(only=["split_keys"]), found.group)
    now = dict(known.iter_rows())
    assert [now[group] for group in found.group] == found.side.to_list()
