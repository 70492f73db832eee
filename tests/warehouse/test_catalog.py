"""SQL over the tables reads them, and nothing it says can write or reach another file."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from schemas.episode import Episode, Message
from schemas.errors import InputError
from schemas.label import Label
from schemas.tables import SCHEMAS, arrow_rows
from warehouse.erasure import Rows, count_rows, delete_rows
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
    assert names == {*SCHEMAS, "all_episodes", "latest_labels"}
    for name in SCHEMAS:
        warehouse.sql(f"SELECT count(*) FROM {name}")


def test_the_highest_revision_of_a_label_wins(warehouse):
    rows = warehouse.sql("SELECT episode_id, state FROM latest_labels ORDER BY 1").to_pylist()
    assert rows == [
        {"episode_id": "a", "state": "success"},
        {"episode_id": "b", "state": "failure"},
    ]


def episode(name: str, **keys: object) -> Episode:
    row = Episode(
        episode_id=name, format="f", day="2026-01-02", source="s", source_file="f", source_line=1,
        raw_digest=name, messages=[Message(role="user", content=name)],
    )  # fmt: skip
    return msgspec.structs.replace(row, **keys)


def visible(house: Warehouse, **versions: int) -> list[str]:
    table = house.catalog(versions=versions).query("SELECT episode_id FROM episodes ORDER BY 1")
    return table["episode_id"].to_pylist()


def test_an_episode_that_another_goes_on_from_is_seen_no_more(tmp_path):
    house = Warehouse(tmp_path)
    house.append("episodes", arrow_rows("episodes", [episode("a"), episode("x")]))
    first = house.version("episodes")
    house.append("episodes", arrow_rows("episodes", [episode("b", supersedes="a")]))
    assert visible(house) == ["b", "x"]
    # Of a chain the end is left.
    house.append("episodes", arrow_rows("episodes", [episode("c", supersedes="b")]))
    assert visible(house) == ["c", "x"]
    assert house.read("episodes", ["episode_id"]).num_rows == 2
    everything = house.sql("SELECT episode_id FROM all_episodes ORDER BY 1")["episode_id"]
    assert everything.to_pylist() == ["a", "b", "c", "x"]
    assert visible(house, episodes=first) == ["a", "x"]


def test_a_beginning_read_after_the_whole_adds_what_it_cost(tmp_path):
    house = Warehouse(tmp_path)
    early, late = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))
    whole = episode("w", started_at=late, prompt_tokens=10, call_ids=["3"], token_ids=[7, 8])
    parts = [
        episode("p", superseded_by="w", started_at=early, day="2026-01-01", prompt_tokens=5,
                completion_tokens=2, cost_usd=0.5, call_ids=["1"]),
        episode("q", superseded_by="w", prompt_tokens=1, call_ids=["2"]),
    ]  # fmt: skip
    house.append("episodes", arrow_rows("episodes", [whole, *parts]))
    [row] = house.read("episodes").to_pylist()
    # 10 + 5 + 1 tokens; the rest is known of one part alone.
    assert (row["prompt_tokens"], row["completion_tokens"], row["cost_usd"]) == (16, 2, 0.5)
    assert (row["started_at"], row["day"]) == (early, "2026-01-01")
    assert row["call_ids"] == ["1", "2", "3"]
    assert row["messages"][0]["content"] == "w"
    # Nobody sampled the parts.
    assert row["token_ids"] is None


def test_nulls_beside_one_value_alone_are_found(tmp_path):
    house = Warehouse(tmp_path)
    rows = [episode("a", user_id="u"), episode("b"), episode("c")]
    house.append("episodes", arrow_rows("episodes", rows))
    for text in ("user_id IS NULL", "coalesce(user_id, '') = ''"):
        found = house.sql(f"SELECT episode_id FROM episodes WHERE {text} ORDER BY 1")
        assert found["episode_id"].to_pylist() == ["b", "c"]


def test_labels_of_superseded_episodes_are_not_the_latest_of_anything(warehouse):
    warehouse.append("episodes", arrow_rows("episodes", [episode("a"), episode("b")]))
    asked = "SELECT episode_id FROM latest_labels ORDER BY 1"
    assert warehouse.sql(asked)["episode_id"].to_pylist() == ["a", "b"]
    warehouse.append("episodes", arrow_rows("episodes", [episode("c", supersedes="a")]))
    assert warehouse.sql(asked)["episode_id"].to_pylist() == ["b"]


def test_a_superseded_episode_can_be_erased(tmp_path):
    house = Warehouse(tmp_path)
    rows = [episode("a"), episode("b", supersedes="a"), episode("x")]
    house.append("episodes", arrow_rows("episodes", rows))
    gone = Rows("episodes", ("episode_id",), ["a", "b"])
    assert count_rows(house, gone) == 2
    assert delete_rows(house, gone) == 2
    names = house.sql("SELECT episode_id FROM all_episodes")["episode_id"].to_pylist()
    assert names == ["x"]


def test_messages_of_an_older_release_have_the_columns_of_this_one(tmp_path):
    # A release before `requestor`, `parts` and `extra`: the table's files know nothing of them.
    said = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    messages = pa.array([[{"role": "user", "content": "hi"}]], said)
    names = {"episode_id": ["a"], "day": ["2026-01-02"], "messages": messages}
    write_deltalake(str(tmp_path / "tables" / "episodes"), pa.table(names), partition_by=["day"])
    house = Warehouse(tmp_path)
    [row] = house.sql("SELECT messages, supersedes FROM episodes").to_pylist()
    assert row["messages"][0] == {
        "role": "user", "content": "hi", "reasoning": None, "tool_calls": None, "name": None,
        "tool_call_id": None, "error": None, "requestor": None, "parts": None, "extra": None,
    }  # fmt: skip
    assert row["supersedes"] is None
    [seen] = house.sql("SELECT agent_view(messages) AS seen FROM episodes")["seen"].to_pylist()
    assert seen[0]["content"] == "hi"


def test_a_catalog_of_some_files_sees_their_rows_and_the_whole_one_stays(warehouse):
    now = datetime(2026, 1, 2, tzinfo=UTC)
    late = Label(episode_id="c", label_version="v", labelled_at=now, state="success")
    warehouse.append("labels", arrow_rows("labels", [late]))
    whole = warehouse.catalog()
    asked = pa.table({"episode_id": ["c", "nobody"]})
    clauses = ["WHERE state = 'none'", "SEMI JOIN asked USING (episode_id)"]
    files = whole.files_where("labels", clauses, {"asked": asked})
    assert len(files) == 1
    narrow = whole.only({"labels": files, "signals": []})
    everyone = "SELECT episode_id FROM labels ORDER BY ALL"
    newest = "SELECT episode_id FROM latest_labels ORDER BY ALL"
    for text in (everyone, newest):
        assert narrow.query(text)["episode_id"].to_pylist() == ["c"]
    assert whole.query(newest)["episode_id"].to_pylist() == ["a", "b", "c"]
    # Of the others it sees what the whole one does, also those that were never written.
    assert narrow.query("SELECT count(*) AS n FROM episodes")["n"].to_pylist() == [0]
    assert narrow.files_where("labels", ["WHERE state = 'failure'"], {}) == []
    assert len(whole.files_where("labels", ["WHERE state = 'failure'"], {})) == 1
    assert narrow.only({"labels": []}).query(everyone).num_rows == 0


def test_an_episode_of_the_seen_files_alone_takes_its_own_beginnings_place(tmp_path):
    house = Warehouse(tmp_path)
    for rows in ([episode("a")], [episode("b", supersedes="a", day="2026-01-03")]):
        house.append("episodes", arrow_rows("episodes", rows))
    whole = house.catalog()
    [first] = [file for file in house.files("episodes") if "day=2026-01-02" in file]
    assert whole.only({"episodes": [first]}).read("episodes", ["episode_id"]).num_rows == 1
    assert whole.read("episodes", ["episode_id"])["episode_id"].to_pylist() == ["b"]


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
