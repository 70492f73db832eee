"""Upkeep keeps rows, pinned versions and what writers have done, and takes the rest away."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from schemas.errors import FlywheelError, InputError
from schemas.label import Label
from schemas.tables import SCHEMAS, arrow_rows
from warehouse.erasure import Rows, count_rows, cut_log, delete_rows, first_version
from warehouse.log import properties_of
from warehouse.occupancy import alone, at_work
from warehouse.pins import pins
from warehouse.tables import Warehouse
from warehouse.upkeep import keep_log, merge_files, parquet_files, readable, size_of, vacuum


def labels(*names: str) -> pa.Table:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return arrow_rows(
        "labels",
        [
            Label(episode_id=n, label_version="v", labelled_at=now, state="unlabelled")
            for n in names
        ],
    )


def filled(home: Path, commits: int) -> Warehouse:
    """Write one label a commit: version 0 makes the table, version n has n rows."""
    warehouse = Warehouse(home)
    for number in range(commits):
        warehouse.append("labels", labels(f"episode{number}"), transaction=f"file{number}")
    return warehouse


def names(warehouse: Warehouse, version: int | None = None) -> list[str]:
    found = warehouse.read("labels", ["episode_id"], version=version)
    return sorted(found["episode_id"].to_pylist())


def log_of(warehouse: Warehouse) -> Path:
    return Path(warehouse.location("labels")) / "_delta_log"


def age_log(warehouse: Warehouse, days: float) -> None:
    """Make the log look as if it had been written days ago."""
    then = time.time() - days * 86400
    for path in log_of(warehouse).iterdir():
        os.utime(path, (then, then))


def test_many_small_commits_become_one_file_with_the_same_rows(tmp_path: Path) -> None:
    warehouse = filled(tmp_path, 12)
    before = names(warehouse)
    assert size_of(warehouse, "labels").files == 12
    merge_files(warehouse, "labels")
    assert size_of(warehouse, "labels").files == 1
    assert names(warehouse) == before


def test_a_pinned_version_is_still_read_and_others_are_gone(tmp_path: Path) -> None:
    warehouse = filled(tmp_path, 6)
    pinned = names(warehouse, 3)
    assert len(pinned) == 3
    merge_files(warehouse, "labels")
    # Of versions 1 to 6 the small files of episodes 3, 4 and 5 belong to no kept version.
    assert vacuum(warehouse, "labels", [3]) == 3
    assert names(warehouse, 3) == pinned
    assert readable(warehouse, "labels", [3, 5, 6, 99]) == [3]
    assert len(names(warehouse)) == 6
    assert len(parquet_files(Path(warehouse.location("labels")))) == 4


def test_where_nothing_goes_no_version_is_made(tmp_path: Path) -> None:
    warehouse = filled(tmp_path, 3)
    merge_files(warehouse, "labels")
    assert vacuum(warehouse, "labels", []) == 3
    version = warehouse.version("labels")
    merge_files(warehouse, "labels")
    assert vacuum(warehouse, "labels", []) == 0
    assert warehouse.version("labels") == version


def test_what_a_killed_writer_left_goes_too(tmp_path: Path) -> None:
    warehouse = filled(tmp_path, 2)
    left = Path(warehouse.location("labels")) / "part-00000-left.zstd.parquet"
    left.write_bytes(b"half of a file")
    assert vacuum(warehouse, "labels", [1, 2]) == 1
    assert not left.exists()
    assert names(warehouse, 1) == ["episode0"]


def test_a_repeated_transaction_writes_nothing_after_compaction_and_checkpoints(
    tmp_path: Path,
) -> None:
    warehouse = filled(tmp_path, 150)
    pinned = names(warehouse, 70)
    assert list(log_of(warehouse).glob("*.checkpoint.parquet"))
    merge_files(warehouse, "labels")
    vacuum(warehouse, "labels", [70])
    again = Warehouse(tmp_path)
    version = again.version("labels")
    for number in (0, 70, 149):
        again.append("labels", labels("again"), transaction=f"file{number}")
    assert again.version("labels") == version
    assert len(names(again)) == 150
    assert names(again, 70) == pinned


def test_the_log_outlives_a_month_where_one_without_the_property_does_not(tmp_path: Path) -> None:
    kept, plain = filled(tmp_path / "kept", 5), Warehouse(tmp_path / "plain")
    location = plain.location("labels")
    DeltaTable.create(location, schema=SCHEMAS["labels"])
    for number in range(5):
        write_deltalake(location, labels(f"episode{number}"), mode="append")
    for warehouse in (kept, plain):
        DeltaTable(warehouse.location("labels")).create_checkpoint()
        age_log(warehouse, days=40)
        warehouse.append("labels", labels("late"))
        DeltaTable(warehouse.location("labels")).create_checkpoint()
        DeltaTable(warehouse.location("labels")).cleanup_metadata()  # as at every 100th commit
    assert readable(kept, "labels", [2]) == [2]
    assert readable(plain, "labels", [2]) == []


def test_a_table_of_an_older_release_gets_the_properties(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    DeltaTable.create(warehouse.location("labels"), schema=SCHEMAS["labels"])
    keep_log(warehouse, "labels")
    version = warehouse.version("labels")
    configuration = DeltaTable(warehouse.location("labels")).metadata().configuration
    assert configuration == properties_of(SCHEMAS["labels"])
    keep_log(warehouse, "labels")
    assert warehouse.version("labels") == version


def test_the_log_of_a_table_tells_no_values(tmp_path: Path) -> None:
    warehouse = filled(tmp_path, 9)
    merge_files(warehouse, "labels")
    log = b"".join(path.read_bytes() for path in log_of(warehouse).glob("*.json"))
    assert b"episode7" not in log
    assert b"numRecords" in log


def test_manifests_and_lineage_pin_versions(tmp_path: Path) -> None:
    (tmp_path / "builds").mkdir()
    manifest = {"inputs": {"episodes": 3, "labels": 5}, "tables": {"trajectories": 2, "pairs": -1}}
    (tmp_path / "builds" / "abc.json").write_text(json.dumps(manifest))
    (tmp_path / "runs" / "2026-01-01").mkdir(parents=True)
    lineage = {"datasets": [{"name": "episodes", "version": 4, "digest": ""}]}
    (tmp_path / "runs" / "2026-01-01" / "lineage.json").write_text(json.dumps(lineage))
    assert pins(tmp_path) == {
        "episodes": {3: ["build abc"], 4: ["night 2026-01-01"]},
        "labels": {5: ["build abc"]},
        "trajectories": {2: ["build abc"]},
        "pairs": {},
    }


def test_a_manifest_that_is_not_whole_stops_upkeep(tmp_path: Path) -> None:
    (tmp_path / "builds").mkdir()
    (tmp_path / "builds" / "abc.json").write_text('{"inputs": {"epi')
    with pytest.raises(InputError, match=r"abc\.json does not hold a whole JSON object"):
        pins(tmp_path)


def test_upkeep_runs_beside_no_stage_and_stages_beside_each_other(tmp_path: Path) -> None:
    refused = pytest.raises(FlywheelError, match="A stage is at work")
    with at_work(tmp_path), at_work(tmp_path), refused, alone(tmp_path):
        raise AssertionError("upkeep began beside a stage")
    with alone(tmp_path), refused, alone(tmp_path):
        raise AssertionError("upkeep began twice")
    with alone(tmp_path):
        pass


def test_a_stage_that_found_no_home_leaves_none(tmp_path: Path) -> None:
    with pytest.raises(InputError), at_work(tmp_path / "none"):
        raise InputError("nothing there", "Look elsewhere.")
    assert not (tmp_path / "none").exists()
    with at_work(tmp_path / "new"):
        (tmp_path / "new" / "tables").mkdir()
    assert (tmp_path / "new" / "tables").exists()


def erase(warehouse: Warehouse, rows: Rows) -> int:
    first = first_version(warehouse, rows)
    assert first is not None
    delete_rows(warehouse, rows)
    vacuum(warehouse, "labels", readable(warehouse, "labels", range(first)))
    cut_log(warehouse, "labels", first)
    return first


def test_erased_rows_leave_versions_before_them_and_transactions(tmp_path: Path) -> None:
    warehouse = filled(tmp_path, 8)
    # episode4 came with version 5.
    assert erase(warehouse, Rows("labels", ("episode_id",), ["episode4"])) == 5
    assert len(names(warehouse)) == 7
    assert len(names(warehouse, 4)) == 4
    assert readable(warehouse, "labels", [4, 5, 6, 7, 8]) == [4]
    version = warehouse.version("labels")
    assert warehouse.append("labels", labels("x"), transaction="file4") == version
    warehouse.append("labels", labels("x"), transaction="file8")
    assert len(names(warehouse)) == 8


def test_whoever_stands_before_the_versions_that_were_erased_sees_that_they_are_gone(
    tmp_path: Path,
) -> None:
    warehouse = filled(tmp_path, 2)
    behind = Warehouse(tmp_path)
    assert behind.version("labels") == 2
    for name in ("gone", "later"):
        warehouse.append("labels", labels(name))
    # The entry of version 2 stays in the log, that of version 3 does not.
    assert erase(warehouse, Rows("labels", ("episode_id",), ["gone"])) == 3
    assert behind.version("labels") == warehouse.version("labels")
    assert names(behind) == ["episode0", "episode1", "later"]
    behind.append("labels", labels("new"))
    assert "new" in names(warehouse)


def test_a_second_erasure_after_the_first_keeps_what_came_before_both(tmp_path: Path) -> None:
    warehouse = filled(tmp_path, 8)
    erase(warehouse, Rows("labels", ("episode_id",), ["episode4"]))
    warehouse.append("labels", labels("late"))
    erase(warehouse, Rows("labels", ("episode_id",), ["episode6"]))
    assert names(warehouse) == [*(f"episode{n}" for n in (0, 1, 2, 3, 5, 7)), "late"]
    assert len(names(warehouse, 4)) == 4
    erase(warehouse, Rows("labels", ("episode_id",), ["episode1", "late"]))
    assert names(warehouse) == ["episode0", "episode2", "episode3", "episode5", "episode7"]
    assert readable(warehouse, "labels", [1, 2, 4]) == [1]


def test_rows_are_counted_and_told_by_expressions_with_quotes(tmp_path: Path) -> None:
    warehouse = filled(tmp_path, 2)
    warehouse.append("labels", labels("it's"))
    rows = Rows("labels", ("concat(episode_id, ':', revision)",), ["it's:0", "episode1:0", "no"])
    assert count_rows(warehouse, rows) == 2
    assert delete_rows(warehouse, rows) == 2
    assert names(warehouse) == ["episode0"]


def test_rows_that_no_file_holds_have_no_first_version(tmp_path: Path) -> None:
    warehouse = filled(tmp_path, 2)
    assert first_version(warehouse, Rows("labels", ("episode_id",), ["nobody"])) is None
    assert first_version(warehouse, Rows("labels", ("episode_id",), [])) is None
    assert first_version(warehouse, Rows("signals", ("signal_id",), ["s"])) is None


def test_values_of_an_older_release_leave_the_log(tmp_path: Path) -> None:
    """Before, each log entry told a file's smallest and largest values."""
    warehouse = Warehouse(tmp_path)
    location = warehouse.location("labels")
    DeltaTable.create(location, schema=SCHEMAS["labels"])
    for name in ("anna", "secret", "zoe"):
        write_deltalake(location, labels(name), mode="append")
    DeltaTable(location).create_checkpoint()
    merge_files(warehouse, "labels")
    vacuum(warehouse, "labels", [1])  # the file that brought `secret` is gone, its log entry not
    write_deltalake(location, labels("late"), mode="append")
    assert b"secret" in (log_of(warehouse) / f"{2:020}.json").read_bytes()
    # The merge, version 4, is the first whose file is there.
    assert erase(warehouse, Rows("labels", ("episode_id",), ["secret"])) == 4
    left = {path.name for path in log_of(warehouse).iterdir() if b"secret" in path.read_bytes()}
    assert left == set()
    assert names(warehouse) == ["anna", "late", "zoe"]
    assert names(warehouse, 1) == ["anna"]
