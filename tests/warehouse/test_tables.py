"""Tables are written once a transaction, whoever races, and can be read as they were."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

from schemas.errors import MissingStateError
from schemas.label import Label
from schemas.signal import Signal
from schemas.tables import arrow_rows
from warehouse.tables import Warehouse, plain_path


def labels(*names: str) -> pa.Table:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return arrow_rows(
        "labels",
        [
            Label(episode_id=n, label_version="v", labelled_at=now, state="unlabelled")
            for n in names
        ],
    )


def pairs(*builds: str) -> pa.Table:
    return pa.table({"build": list(builds), "pair_id": [f"p{i}" for i in range(len(builds))]})


def test_an_unwritten_table_reads_as_no_rows_and_has_no_files(tmp_path):
    warehouse = Warehouse(tmp_path)
    assert not warehouse.exists("labels")
    assert warehouse.version("labels") == -1
    assert warehouse.read("labels").num_rows == 0
    with pytest.raises(MissingStateError, match="'labels' is not there yet"):
        warehouse.files("labels")


def test_a_repeated_transaction_writes_nothing(tmp_path):
    warehouse = Warehouse(tmp_path)
    first = warehouse.append("labels", labels("a"), transaction="night")
    assert warehouse.append("labels", labels("a"), transaction="night") == first
    assert Warehouse(tmp_path).append("labels", labels("a"), transaction="night") == first
    assert warehouse.read("labels")["episode_id"].to_pylist() == ["a"]


def test_without_a_transaction_every_append_counts(tmp_path):
    warehouse = Warehouse(tmp_path)
    warehouse.append("labels", labels("a"))
    warehouse.append("labels", labels("a"))
    assert warehouse.read("labels").num_rows == 2


def test_of_two_racing_writers_of_one_transaction_one_wins(tmp_path):
    warehouse = Warehouse(tmp_path)
    warehouse.append("labels", labels("before"), transaction="before")
    commit = CommitProperties(app_transactions=[Transaction("night", 1)])
    slow = DeltaTable(warehouse.location("labels"))
    assert slow.transaction_version("night") is None
    warehouse.append("labels", labels("fast"), transaction="night")
    with pytest.raises(CommitFailedError):
        write_deltalake(slow, labels("slow"), mode="append", commit_properties=commit)
    assert warehouse.append("labels", labels("slow"), transaction="night") == 2
    assert sorted(warehouse.read("labels")["episode_id"].to_pylist()) == ["before", "fast"]


def test_no_rows_make_no_version(tmp_path):
    warehouse = Warehouse(tmp_path)
    assert warehouse.append("labels", labels(), transaction="empty") == -1
    assert not warehouse.exists("labels")


def test_an_old_version_reads_as_it_was(tmp_path):
    warehouse = Warehouse(tmp_path)
    old = warehouse.append("labels", labels("a"))
    warehouse.append("labels", labels("b"))
    assert warehouse.read("labels", ["episode_id"], version=old).to_pylist() == [
        {"episode_id": "a"}
    ]


def test_files_of_one_build_hold_that_build_alone(tmp_path):
    warehouse = Warehouse(tmp_path)
    warehouse.append("pairs", pairs("one", "one", "two"))
    [file] = warehouse.files("pairs", partition={"build": "one"})
    assert Path(file).parent.name == "build=one"
    assert warehouse.read("pairs", ["pair_id"], where={"build": "two"}).to_pylist() == [
        {"pair_id": "p2"}
    ]


def test_where_takes_a_value_or_a_list_of_values(tmp_path):
    warehouse = Warehouse(tmp_path)
    warehouse.append("labels", labels("a", "b", "c"))
    among = warehouse.read("labels", ["episode_id"], where={"episode_id": ["a", "c", "z"]})
    assert sorted(among["episode_id"].to_pylist()) == ["a", "c"]
    assert warehouse.read("labels", where={"episode_id": "b"}).num_rows == 1


def test_columns_that_rows_lack_are_null(tmp_path):
    warehouse = Warehouse(tmp_path)
    warehouse.append("pairs", pairs("one"))
    assert warehouse.read("pairs").to_pylist()[0]["margin"] is None


def test_a_path_with_spaces_comes_back_from_its_uri():
    assert plain_path("file:///a%20b/c.parquet") == "/a b/c.parquet"
    assert plain_path("/a%20b/c.parquet") == "/a b/c.parquet"
    assert plain_path("s3://bucket/a%20b") == "s3://bucket/a%20b"


def test_a_home_with_spaces_and_quotes_works(tmp_path):
    warehouse = Warehouse(tmp_path / "my 'own' 100% #home?")
    warehouse.append("pairs", pairs("one"))
    assert warehouse.read("pairs").num_rows == 1


def test_files_since_hold_what_came_in_later_and_nothing_else(tmp_path):
    warehouse = Warehouse(tmp_path)
    first = warehouse.append("signals", signal("a"))
    warehouse.append("signals", signal("b"))
    new = warehouse.files_since("signals", first)
    [row] = warehouse.sql("SELECT signal_id FROM signals", files={"signals": new}).to_pylist()
    assert row == {"signal_id": "b"}
    assert len(warehouse.files_since("signals", -1)) == 2
    assert warehouse.files_since("signals", warehouse.version("signals")) == []
    assert warehouse.files_since("labels", -1) == []


def test_batches_give_all_rows_a_few_at_a_time(tmp_path):
    warehouse = Warehouse(tmp_path)
    warehouse.append("signals", pa.concat_tables([signal(name) for name in "abc"]))
    sizes = [b.num_rows for b in warehouse.batches("SELECT signal_id FROM signals", 2)]
    assert (sum(sizes), max(sizes)) == (3, 2)


def signal(name: str) -> pa.Table:
    row = Signal(signal_id=name, kind="export", source="s", source_file="f", source_line=1)
    return arrow_rows("signals", [row])


def test_the_log_tells_the_newest_file_and_how_many_rows_files_hold(tmp_path):
    warehouse = Warehouse(tmp_path)
    assert warehouse.newest("signals") == []
    first = warehouse.append("signals", pa.concat_tables([signal("a"), signal("b")]))
    old = warehouse.files("signals")
    assert warehouse.newest("signals") == old
    warehouse.append("signals", signal("c"))
    new = warehouse.files_since("signals", first)
    assert warehouse.newest("signals") == new
    assert [warehouse.rows_in("signals", files) for files in ([], old, new)] == [0, 2, 1]
