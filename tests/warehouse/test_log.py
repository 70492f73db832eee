"""The log tells of nights and of supersession, so that no file is opened to know it."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from schemas.episode import Episode, Message
from schemas.tables import SCHEMAS, arrow_rows
from warehouse.erasure import Rows, cut_log, delete_rows
from warehouse.log import SUPERSESSION, properties_of, tells_values
from warehouse.tables import Warehouse
from warehouse.upkeep import keep_log, merge_files

DAYS = ("2026-01-01", "2026-01-02")


def episode(name: str, night: str | None, **keys: object) -> Episode:
    return Episode(
        episode_id=name, format="f", day=str(keys.pop("day", DAYS[0])), night=night, source="s",
        source_file="f", source_line=1, raw_digest=name,
        messages=[Message(role="user", content=name)], **keys,
    )  # fmt: skip


def write(house: Warehouse, *rows: Episode) -> None:
    house.append("episodes", arrow_rows("episodes", rows))


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    """Make a table of three nights, the last of which took in an episode of the day before."""
    house = Warehouse(tmp_path)
    write(house, episode("a", "2026-01-01"))
    write(house, episode("b", "2026-01-02", day=DAYS[1]))
    write(house, episode("c", "2026-01-03"), episode("d", "2026-01-03", day=DAYS[1]))
    return house


def held(house: Warehouse, *nights: str) -> set[str]:
    """Name the episodes in the files that are said to be of some nights."""
    files = house.files_of("episodes", nights)
    there = house.catalog(only=["episodes"], files={"episodes": files})
    return set(there.read("episodes", ["episode_id"])["episode_id"].to_pylist())


def test_files_of_nights_are_told_by_the_log(house):
    assert held(house, "2026-01-01") == {"a"}
    assert held(house, "2026-01-03") == {"c", "d"}
    assert held(house, "2026-01-01", "2026-01-02") == {"a", "b"}
    assert held(house, "2025-12-31") == set()
    assert len(house.files_of("episodes", ["2026-01-03"], version=2)) == 0


def test_merged_files_are_of_all_their_nights(house):
    merge_files(house, "episodes")
    assert held(house, "2026-01-01") == {"a", "c"}
    # Between the first and the last night of a file nobody knows.
    assert held(house, "2026-01-02") == {"a", "b", "c", "d"}
    assert held(house, "2026-01-04") == set()


def test_a_file_of_which_nothing_is_told_may_be_of_any_night(tmp_path):
    house = Warehouse(tmp_path)
    DeltaTable.create(house.location("episodes"), schema=SCHEMAS["episodes"], partition_by=["day"])
    write(house, episode("a", "2026-01-01"), episode("b", None, day=DAYS[1]))
    assert held(house, "2026-01-09") == {"a", "b"}
    # Once upkeep has given the table its properties, the log is believed where it tells.
    keep_log(house, "episodes")
    house = Warehouse(tmp_path)
    assert held(house, "2026-01-09") == {"b"}


def test_nights_outlive_checkpoints(house):
    DeltaTable(house.location("episodes")).create_checkpoint()
    for path in Path(house.location("episodes"), "_delta_log").glob("*.json"):
        path.unlink()
    again = Warehouse(house.home)
    assert held(again, "2026-01-02") == {"b"}


def test_no_other_values_stand_in_the_log(house):
    merge_files(house, "episodes")
    log = Path(house.location("episodes"), "_delta_log")
    added = [
        json.loads(action["add"]["stats"])
        for path in log.glob("*.json")
        for action in map(json.loads, path.read_text().splitlines())
        if "add" in action
    ]
    # Four files as written, and two that each pair of a day was merged to.
    assert len(added) == 6
    assert {name for stats in added for name in stats["minValues"]} == {"night"}
    assert not any(map(tells_values, added))
    assert tells_values({"minValues": {"night": "n", "user_id": "u"}})


def test_erasure_keeps_the_nights(house):
    rows = Rows("episodes", ("episode_id",), ["c"])
    delete_rows(house, rows)
    cut_log(house, "episodes", 3)
    again = Warehouse(house.home)
    assert held(again, "2026-01-03") == {"d"}
    assert held(again, "2026-01-01") == {"a"}


def test_supersession_is_written_into_the_log(house):
    handle = DeltaTable(house.location("episodes"))
    assert handle.transaction_version(SUPERSESSION) is None
    assert not house.catalog(only=["episodes"]).superseded
    before = house.version("episodes")
    write(house, episode("e", "2026-01-04", supersedes="a"))
    write(house, episode("f", "2026-01-04", superseded_by="b"))
    assert DeltaTable(house.location("episodes")).transaction_version(SUPERSESSION) == 1
    for same in (house, Warehouse(house.home)):
        assert same.catalog(only=["episodes"]).superseded
        assert same.read("episodes", ["episode_id"]).num_rows == 4
    # A pinned version tells what it knew.
    assert not house.catalog(only=["episodes"], versions={"episodes": before}).superseded
    merge_files(house, "episodes")
    assert Warehouse(house.home).catalog(only=["episodes"]).superseded


def test_a_table_of_an_older_release_is_looked_into(tmp_path):
    house = Warehouse(tmp_path)
    DeltaTable.create(house.location("episodes"), schema=SCHEMAS["episodes"], partition_by=["day"])
    rows = arrow_rows("episodes", [episode("a", None), episode("b", None, supersedes="a")])
    house.append("episodes", rows)
    assert house.catalog(only=["episodes"]).superseded
    assert house.read("episodes", ["episode_id"])["episode_id"].to_pylist() == ["b"]


def test_only_tables_with_nights_tell_them():
    assert "delta.dataSkippingStatsColumns" in properties_of(SCHEMAS["labels"])
    assert "delta.dataSkippingStatsColumns" not in properties_of(pa.schema([("a", pa.string())]))


def test_supersession_is_written_once(house):
    write(house, episode("e", "2026-01-04", supersedes="a"))
    log = sorted(Path(house.location("episodes"), "_delta_log").glob("*.json"))
    write(house, episode("f", "2026-01-04", supersedes="b"))
    new = sorted(Path(house.location("episodes"), "_delta_log").glob("*.json"))[len(log) :]
    # Another writer at the same time would conflict over what each commit says again.
    assert SUPERSESSION in log[-1].read_text()
    assert [SUPERSESSION in path.read_text() for path in new] == [False]
