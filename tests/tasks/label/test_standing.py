"""Where a run goes on from: the newest row, or the labels themselves where they changed since."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from schemas.label_config import Detector, LabelConfig
from tasks.ingest.ingest import ingest
from tasks.label.explain import explain
from tasks.label.label import label
from tasks.label.signals import KINDS
from tasks.label.standing import counted_anew, standing_of, table_of
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD_LABEL = {
    "label_version": "old", "labelled_at": NOW, "confidence": 0.0, "cost": 0.1, "risk": 0.0,
    "infrastructure_error": False, "step_rewards": [0.0, 0.0], "step_returns": [0.8, 0.9],
    "revision": 0, "evidence_digest": "x",
}  # fmt: skip
OLD_SCHEMA = pa.schema(
    {
        "episode_id": pa.string(),
        "label_version": pa.string(),
        "labelled_at": pa.timestamp("us", tz="UTC"),
        "state": pa.string(),
        "success": pa.float64(),
        "confidence": pa.float64(),
        "decided_by": pa.string(),
        "cost": pa.float64(),
        "risk": pa.float64(),
        "total": pa.float64(),
        "infrastructure_error": pa.bool_(),
        "evidence": pa.list_(
            pa.struct({"kind": pa.string(), "value": pa.float64(), "weight": pa.float64()})
        ),
        "step_rewards": pa.list_(pa.float64()),
        "step_returns": pa.list_(pa.float64()),
        "revision": pa.int64(),
        "evidence_digest": pa.string(),
    }
)
"""Labels as the first release wrote them: no day, no states of steps, evidence without sources."""


@pytest.fixture
def read(config, clock):
    def go(*paths):
        ingest(config, list(paths), night=NIGHT, clock=clock)

    return go


def test_labels_of_the_first_release_are_made_anew_and_stay_as_history(
    config, clock, read, chat, write
):
    read(write("a.jsonl", chat("r", question="a", reward=1.0), chat("s", question="b")))
    warehouse = Warehouse(config.home)
    rows = warehouse.read("episodes", ["episode_id", "logged_id"]).to_pylist()
    said = {"kind": "logged_reward", "value": 1.0, "weight": 4.6}
    won = {"state": "success", "success": 0.99, "decided_by": "outcome", "evidence": [said]}
    old = [
        OLD_LABEL
        | {"episode_id": row["episode_id"], "state": "unlabelled", "evidence": []}
        | (won if row["logged_id"] == "r" else {})
        for row in rows
    ]
    write_deltalake(warehouse.location("labels"), pa.Table.from_pylist(old, schema=OLD_SCHEMA))
    first = label(config, night=NIGHT, clock=clock)
    assert (first["labelled"], first["episodes"], first["success"]) == (2, 2, 1)
    # From then on a night costs what is new.
    read(write("f.jsonl", {"episode_id": "s", "kind": "thumbs", "value": 1}))
    later = label(config, night=NIGHT, clock=clock)
    assert (later["labelled"], later["success"]) == (1, 2)
    assert [old["label_version"] for old in explain(config, "s")["history"]] == [
        first["label_version"], "old",
    ]  # fmt: skip


def test_a_detector_that_comes_back_is_counted_from_the_labels_that_know_it(
    config, clock, read, chat, write, monkeypatch, tmp_path
):
    (tmp_path / "shouting.py").write_text("def shouts(told):\n    return 'LOUD' in str(told)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    heard = config.model_copy(
        update={"label": LabelConfig(detectors=[Detector(name="shouting", use="shouting:shouts")])}
    )
    read(write("a.jsonl", chat("r", question="LOUD", reward=1.0)))
    counted = {"successes": 1.0, "failures": 0.0, "default": 0.0}
    for night, settings in enumerate((heard, config, heard)):
        read(write(f"{night}.jsonl", chat(f"s{night}", question=f"{night}", reward=0.0)))
        account = label(settings, night=NIGHT, clock=clock)
        told = account["reliability"].get("shouting")
        assert (told or {}).items() >= (counted if settings is heard else {}).items()


def test_totals_are_written_by_night_and_name_without_zeros():
    totals = {("2026-01-03", "episodes"): 2, ("2026-01-02", "success"): 1.0, ("a", "b"): 0}
    assert table_of(totals) == [
        {"name": "success", "night": "2026-01-02", "value": 1.0},
        {"name": "episodes", "night": "2026-01-03", "value": 2.0},
    ]


def test_an_empty_home_and_one_counted_anew_begin_at_nothing(config):
    warehouse = Warehouse(config.home)
    first = standing_of(warehouse, KINDS, 0.5, 2, "v")
    assert first.whole
    assert (first.number, first.last, dict(first.versions)) == (
        0, None, {"episodes": -1, "signals": -1},
    )  # fmt: skip
    anew = counted_anew(warehouse, KINDS, None, 0.5, 2)
    assert not anew.whole
    assert (anew.number, anew.totals, anew.points) == (0, {}, (0, 0))
    assert json.dumps(table_of(anew.totals)) == "[]"
