"""After `forget` nothing of the user is on disk, and whoever learned from them is known."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from models import registry
from schemas.config import FlywheelConfig
from schemas.errors import FlywheelError, MissingStateError
from schemas.label import Label
from schemas.source import Quarantined
from schemas.tables import arrow_rows
from tasks.build.build import build
from tasks.build.manifest import load_manifest
from tasks.ingest.ingest import ingest
from tasks.ingest.privacy.pseudonyms import pseudonym, user_key
from tasks.label.label import label
from tasks.upkeep.compact import compact
from tasks.upkeep.forget import forget, look
from tasks.upkeep.forgotten import forgotten_users, load_record
from tasks.upkeep.traces import refused_of
from warehouse.occupancy import at_work
from warehouse.tables import Warehouse
from warehouse.upkeep import readable

BERTA = "customer-4711-berta"
WORDS = (BERTA, "violet heron sleep", "brass windmill", "copper bell", "harbour")

NOTES = ("forgotten", "builds")
"""Folders that note who was forgotten, under the pseudonym."""


def on_disk(home: Path, words: list[str]) -> dict[str, set[str]]:
    """Find words in the files of a home: in the values of Parquet columns, and in plain bytes."""
    found: dict[str, set[str]] = {}
    for path in home.rglob("*"):
        if not path.is_file() or path.parent.name in NOTES:
            continue
        texts = [path.read_bytes().decode(errors="replace")]
        if path.suffix == ".parquet":
            # Of one file alone: its folders would be read as columns too.
            texts.append(str(pq.ParquetFile(path).read().to_pylist()))
        for word in words:
            if any(word in text for text in texts):
                found.setdefault(word, set()).add(path.relative_to(home).parts[1])
    return found


def words_of(config: FlywheelConfig) -> list[str]:
    return [*WORDS, pseudonym(user_key(config.home), BERTA)]


def test_nothing_of_the_user_stays_on_disk(config, clock, built):
    before = on_disk(config.home, words_of(config))
    assert {"episodes", "trajectories", "pairs"} <= before["brass windmill"]
    assert "signals" in before["harbour"]
    compact(config, remove_old=False)  # old files and the merged ones both hold the rows
    forget(config, BERTA, clock=clock)
    left = on_disk(config.home, words_of(config))
    # Carl asked the same question; and `customer-4711-berta-2` is somebody else's refused record.
    left.pop("violet heron sleep")
    assert left == {BERTA: {"quarantine"}}
    kept = Warehouse(config.home).read("quarantine", ["source_line"])["source_line"].to_pylist()
    assert sorted(kept) == [2, 3]


def test_it_counts_what_went_and_names_who_learned(config, clock, built):
    expected = look(config, BERTA)
    result = forget(config, BERTA, clock=clock)
    assert result["user"] == pseudonym(user_key(config.home), BERTA)
    # Both episodes of the session, the thumbs and the session's complaint; either episode was
    # labelled a second time when these had come.
    assert {k: result[k] for k in ("episodes", "signals", "labels", "quarantine")} == {
        "episodes": 2, "signals": 2, "labels": 4, "quarantine": 1,
    }  # fmt: skip
    assert result["pairs"] == 1  # b1 over c1
    assert result["trajectories"] >= 4  # sft and kto of both
    second, third = built.manifests["second"]["digest"], built.manifests["third"]["digest"]
    assert {"digest": second, "episodes": 2} in result["builds"]
    assert result["unreadable"] == sorted([second, third])
    assert {
        "name": "pairs",
        "version": built.manifests["second"]["tables"]["pairs"],
        "digest": second,
    } in (result["datasets"])
    assert {Path(f["file"]).name: f["rows"] for f in result["files"]} == {
        "2.jsonl": 2, "feedback.jsonl": 2, "bad.jsonl": 1,
    }  # fmt: skip
    assert result["files_removed"] > 0
    assert result["done_at"] == clock().isoformat()
    silent = ("files_removed", "asked_at", "done_at")
    assert {k: v for k, v in expected.items() if k not in silent} == {
        k: v for k, v in result.items() if k not in silent
    }


def test_models_that_learned_are_named_with_those_trained_from_them(
    config, clock, built, tmp_path, monkeypatch
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    weights = tmp_path / "policy"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"weights")
    (weights / "config.json").write_text("{}")
    learned = [(built.manifests["second"]["digest"], "none"), ("elsewhere", "1"), ("other", "none")]
    for number, (build_digest, start) in enumerate(learned, start=1):
        version = registry.register(
            weights, config=config, night="2026-01-02", metrics={}, description="", artifacts=[],
            tags={"lineage.build": build_digest, "lineage.start": start}, datasets=[],
        )  # fmt: skip
        assert version == str(number)
    assert forget(config, BERTA, clock=clock)["models"] == [
        {"version": "1", "learned": "directly"},
        {"version": "2", "learned": "through its start"},
    ]


def test_others_and_earlier_builds_stay(config, clock, built):
    forget(config, BERTA, clock=clock)
    warehouse = Warehouse(config.home)
    ids = warehouse.read("episodes", ["logged_id"])["logged_id"].to_pylist()
    assert sorted(ids) == ["a1", "c1", "c2"]
    assert warehouse.read("signals").num_rows == 1
    first = built.manifests["first"]
    for table, version in first["inputs"].items():
        assert readable(warehouse, table, [version]) == [version]
        # One episode, its label and its signal; two steps.
        rows = 2 if table == "step_values" else 1
        assert warehouse.read(table, version=version).num_rows == rows
    assert "forgotten" not in (load_manifest(config.home, first["digest"]) or {})
    [note] = (load_manifest(config.home, built.manifests["second"]["digest"]) or {})["forgotten"]
    assert (note["user"], note["learned"]) == (pseudonym(user_key(config.home), BERTA), True)


def test_the_loop_goes_on_and_a_file_read_before_is_not_read_again(config, clock, built):
    forget(config, BERTA, clock=clock)
    again = ingest(config, [str(built.logs / "2.jsonl")], night="2026-01-04", clock=clock)
    assert again["episodes"] == 0
    assert label(config, night="2026-01-03", clock=clock)["episodes"] >= 1
    assert (
        build(config, night="2026-01-03", clock=clock)["digest"]
        != built.manifests["third"]["digest"]
    )
    compact(config)
    assert Warehouse(config.home).read("episodes").num_rows == 3


def test_the_pseudonym_is_as_good_as_the_id_and_the_record_names_it_alone(config, clock, built):
    known = pseudonym(user_key(config.home), BERTA)
    assert forgotten_users(config.home) == frozenset()
    result = forget(config, known, clock=clock)
    assert (result["user"], result["episodes"]) == (known, 2)
    assert forgotten_users(config.home) == {known}
    [record] = (config.home / "forgotten").iterdir()
    assert record.name == f"{known}.json"
    assert BERTA not in record.read_text()
    assert (load_record(config.home, known) or {})["rows"] is None


def test_a_repeat_tells_the_same_and_changes_nothing(config, clock, built):
    first = forget(config, BERTA, clock=clock)
    versions = Warehouse(config.home).versions()
    assert forget(config, BERTA, clock=clock) == first
    assert Warehouse(config.home).versions() == versions


def test_what_came_in_again_goes_again_and_the_counts_add_up(config, clock, built):
    first = forget(config, BERTA, clock=clock)
    late = Label(episode_id="b9", label_version="v", labelled_at=clock(), state="unlabelled")
    Warehouse(config.home).append("labels", arrow_rows("labels", [late]))
    row = Warehouse(config.home).read("episodes").slice(0, 1)
    back = row.set_column(row.schema.get_field_index("user_id"), "user_id", [[BERTA]]).set_column(
        row.schema.get_field_index("episode_id"), "episode_id", [["b9"]]
    )
    Warehouse(config.home).append("episodes", back)
    second = forget(config, BERTA, clock=clock)
    assert (second["episodes"], second["labels"]) == (3, 5)
    assert second["unreadable"] == first["unreadable"]
    assert Warehouse(config.home).read("labels", where={"episode_id": "b9"}).num_rows == 0


def test_a_user_nobody_knows_is_refused_and_not_recorded(config, clock, built):
    with pytest.raises(MissingStateError, match="'nobody'"):
        forget(config, "nobody", clock=clock)
    assert forgotten_users(config.home) == frozenset()


def test_a_home_that_refused_nothing_and_built_nothing_forgets_too(config, clock, built):
    for table in ("quarantine", "trajectories", "pairs", "scenarios", "split_keys", "signals"):
        shutil.rmtree(Warehouse(config.home).location(table))
    result = forget(config, BERTA, clock=clock)
    assert (result["episodes"], result["quarantine"], result["builds"]) == (2, 0, [])


@pytest.mark.parametrize(
    ("name", "raw", "found"),
    [
        ("u12345", b'{"text": "for u12345."}', True),
        ("u12345", b"u12345", True),
        ("u12345", b'{"user_id": "u123456"}', False),
        ("u12345", b'{"user_id": "big-u12345"}', False),
        ("12", b'{"user_id": 12, "x', True),
        ("12", b'{\\"userId\\": \\"12\\"}', True),
        ("12", b'{"turn": 12, "user_id": 123}', False),
        ("a+b@x.org", b'{"from": "a+b@x.org"}', True),
        ("a+b@x.org", b'{"from": "aab@x.org"}', False),
    ],
)
def test_a_refused_record_is_the_users_when_it_names_them_as_a_whole_word(config, name, raw, found):
    row = Quarantined(
        source="5" * 64, source_file="f", source_line=1, byte_offset=0, reason="r", raw=raw,
        night="2026-01-01",
    )  # fmt: skip
    warehouse = Warehouse(config.home)
    warehouse.append("quarantine", arrow_rows("quarantine", [row]))
    assert bool(refused_of(warehouse, [name, "user_0123456789abcdef"])) == found


def test_a_home_without_tables_is_left_alone(config, clock):
    with pytest.raises(MissingStateError):
        forget(config, BERTA, clock=clock)
    assert not config.home.exists()


def test_nothing_is_removed_beside_a_stage(config, clock, built):
    with at_work(config.home), pytest.raises(FlywheelError, match="A stage is at work"):
        forget(config, BERTA, clock=clock)
    assert Warehouse(config.home).read("episodes").num_rows == 5
    assert forgotten_users(config.home) == frozenset()


KILLED = """
import logging, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from schemas.config import FlywheelConfig
from schemas.progress import LOGGER
from tasks.upkeep.forget import forget

class Kill(logging.Handler):
    def emit(self, record):
        if record.stage == "forget rows" and record.done == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

LOGGER.addHandler(Kill())
LOGGER.setLevel(logging.INFO)
clock = lambda: datetime(2026, 1, 2, 3, tzinfo=UTC)
forget(FlywheelConfig(home=Path(sys.argv[1])), "customer-4711-berta", clock=clock)
"""


@pytest.mark.parametrize(
    "after", [2, pytest.param(0, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)]
)
def test_a_killed_forget_is_completed_by_the_next(config, clock, built, tmp_path, after):
    whole = tmp_path / "whole"
    shutil.copytree(config.home, whole)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(config.home), str(after)],
        cwd=Path(__file__).parents[3], capture_output=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    [name] = forgotten_users(config.home)
    assert (load_record(config.home, name) or {})["state"] == "begun"
    assert BERTA not in (config.home / "forgotten" / f"{name}.json").read_text()
    if after:
        assert Warehouse(config.home).read("episodes").num_rows == 5  # these go last
    result = forget(config, BERTA, clock=clock)
    expected = forget(FlywheelConfig(home=whole), BERTA, clock=clock)
    assert result | {"files_removed": 0} == expected | {"files_removed": 0}
    left = on_disk(config.home, words_of(config))
    assert set(left) == {"violet heron sleep", BERTA}
    assert left[BERTA] == {"quarantine"}
