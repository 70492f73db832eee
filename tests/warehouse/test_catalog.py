"""SQL over the tables reads them, and nothing it says can write or reach another file."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.errors import InputError
from schemas.label import Label
from schemas.tables import SCHEMAS, arrow_rows
from warehouse.tables import Warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    house = Warehouse(tmp_path / "home")
    now = datetime(2026, 1, 2, tzinfo=UTC)
    rows = [
        Label(episode_id=name, label_version="v", labelled_at=now, state=state, revision=revision)
        for name, state, revision in [("a", "failure", 0), ("a", "success", 1), ("b", "failure", 0)]
    ]
    house.append("labels", arrow_rows("labels", rows))
    return house


def test_every_declared_table_can_be_asked_also_unwritten(warehouse):
    names = set(warehouse.sql("SHOW TABLES")["name"].to_pylist())
    assert names == {*SCHEMAS, "latest_labels"}
    for name in SCHEMAS:
        warehouse.sql(f"SELECT count(*) FROM {name}")


def test_the_highest_revision_of_a_label_wins(warehouse):
    rows = warehouse.sql("SELECT episode_id, state FROM latest_labels ORDER BY 1").to_pylist()
    assert rows == [
        {"episode_id": "a", "state": "success"},
        {"episode_id": "b", "state": "failure"},
    ]


def test_parameters_are_bound_not_pasted(warehouse):
    text = "SELECT count(*) AS n FROM labels WHERE episode_id = $name"
    assert warehouse.sql(text, name="a").to_pylist() == [{"n": 2}]
    assert warehouse.sql(text, name="a' OR '1'='1").to_pylist() == [{"n": 0}]


def test_an_arrow_table_can_be_joined_by_name(warehouse):
    wanted = pa.table({"episode_id": ["b"]})
    text = "SELECT state FROM labels WHERE episode_id IN (SELECT episode_id FROM wanted)"
    assert warehouse.sql(text, relations={"wanted": wanted}).to_pylist() == [{"state": "failure"}]


@pytest.mark.parametrize(
    "text",
    [
        "COPY labels TO '{out}'",
        "EXPLAIN ANALYZE COPY labels TO '{out}'",
        "CREATE TABLE t AS SELECT 1",
        "INSERT INTO labels SELECT * FROM labels",
        "DROP VIEW labels",
        "ATTACH '{out}'",
        "SET enable_external_access = true",
        "SELECT 1; COPY labels TO '{out}'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "INSTALL httpfs",
        "",
    ],
)
def test_nothing_but_one_select_over_the_tables_runs(warehouse, tmp_path, text):
    out = tmp_path / "out.parquet"
    with pytest.raises(InputError):
        warehouse.sql(text.format(out=out))
    assert not out.exists()


def test_a_tables_own_files_cannot_be_overwritten(warehouse):
    [file] = warehouse.files("labels")
    before = Path(file).read_bytes()
    for text in (f"COPY (SELECT 1) TO '{file}'", f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'"):
        with pytest.raises(InputError, match="single SELECT"):
            warehouse.sql(text)
    assert Path(file).read_bytes() == before


def test_a_wrong_query_is_one_clear_line(warehouse):
    with pytest.raises(InputError) as refusal:
        warehouse.sql("SELECT nope FROM labels")
    assert "nope" in str(refusal.value)
    assert "\n" not in str(refusal.value)
