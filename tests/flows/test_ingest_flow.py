"""The ingest flow: parts side by side come to the tables of one, and none loses another."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from flows.code import code_version
from flows.logs import what_to_read
from schemas.config import FlywheelConfig
from schemas.errors import InputError
from tasks.ledger import Ledger
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"
PLACE = ("source", "source_file", "source_line", "duplicate_of", "night", "ingested_at")
"""Columns that tell which of several files an episode was read from first."""
pytestmark = pytest.mark.filterwarnings("default")  # Prefect and Ray deprecate as they go


def episode(number: int) -> dict[str, Any]:
    """Make an episode of its own; every third one is a success, and seven are of one scenario."""
    messages = [
        {"role": "user", "content": f"what is the capital of land {number}?"},
        {"role": "assistant", "content": f"town {number * number}"},
    ]
    reward = float(number % 3 == 0)
    return {"id": f"e{number}", "scenario_id": number // 7, "reward": reward, "messages": messages}


def write_lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Twelve files of 10 episodes; each begins with the last 3 of the file before."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for file in range(12):
        first = file * 7
        write_lines(folder / f"{file:02}.jsonl", *map(episode, range(first, first + 10)))
    return folder


def configured(home: Path, partitions: int, runner: str = "threads") -> FlywheelConfig:
    section = {"partitions": partitions, "runner": runner}
    return FlywheelConfig.model_validate({"home": str(home), "ingest": section})


def run(config: FlywheelConfig, *paths: Path, format_name: str | None = None) -> dict[str, Any]:
    from flows.ingest import ingest

    logs = [str(path) for path in paths]
    return dict(ingest(config, night=NIGHT, logs=logs, format_name=format_name))


def episodes_of(home: Path) -> list[str]:
    rows = Warehouse(home).read("episodes").to_pylist()
    kept = [{k: v for k, v in row.items() if k not in PLACE} for row in rows]
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in kept)


def counts_of(account: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in account.items() if isinstance(value, int)}


@pytest.mark.parametrize(
    "runner",
    [
        "threads",
        pytest.param("processes", marks=pytest.mark.slow),
        pytest.param("ray", marks=pytest.mark.slow),
    ],
)
def test_four_partitions_of_overlapping_files_give_the_tables_of_one(
    runner: str, tmp_path: Path, logs: Path, prefect_server: None
) -> None:
    if runner == "ray":
        pytest.importorskip("prefect_ray", reason="the extra `ray` is not installed")
    one, four = tmp_path / "one", tmp_path / "four"
    whole = run(configured(one, 1), logs)
    parts = run(configured(four, 4, runner), logs)
    # 120 lines; the episodes are 0 to 86, so 87 of them, and 33 are repeats.
    assert (whole["files"], whole["episodes"], whole["duplicates"]) == (12, 87, 33)
    assert episodes_of(four) == episodes_of(one)
    # Scenarios 0 to 12: seven episodes each and three in the last one, 84 to 86, of which 84 is a
    # success. A scenario is in two files and so often in two parts, and counts once.
    assert (parts["tasks"], parts["tasks_with_both"]) == (13, 13)
    assert counts_of(parts) == counts_of(whole)
    assert Warehouse(four).read("sources").num_rows == 12
    assert "stretches" not in parts
    assert Ledger(configured(four, 4), NIGHT).require("ingest") == parts


def test_copies_in_several_parts_are_counted_once(tmp_path: Path, prefect_server: None) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for copy in range(4):
        write_lines(folder / f"{copy}.jsonl", *map(episode, range(5)))
    account = run(configured(tmp_path / "home", 4), folder)
    # Four files of the same five episodes: one is read, three are known by then or in the turn.
    assert (account["episodes"], account["duplicates"]) == (5, 15)
    assert Warehouse(tmp_path / "home").read("episodes").num_rows == 5


def test_parts_are_not_held_against_each_other_but_against_what_was_there(
    tmp_path: Path, prefect_server: None
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    write_lines(folder / "a.jsonl", *map(episode, range(30)))
    other = [{**episode(n), "mood": "fine"} for n in range(100, 130)]
    write_lines(folder / "b.jsonl", *other)
    # One after the other would be the order that makes the second one look changed.
    config = configured(tmp_path / "home", 2)
    assert run(config, folder)["alarms"] == []
    third = write_lines(
        tmp_path / "c.jsonl", *({**episode(n), "place": "here"} for n in range(200, 230))
    )
    [alarm] = run(config, third)["alarms"]
    assert "a shape openai_chat never had: new place:string" in alarm


def test_a_refused_file_in_one_part_does_not_lose_the_others(
    tmp_path: Path, logs: Path, prefect_server: None
) -> None:
    stray = tmp_path / "stray.jsonl"
    stray.write_text('{"what": "is this"}\n' * 40)
    config = configured(tmp_path / "home", 4)
    with pytest.raises(InputError, match="no record of a known format") as caught:
        run(config, logs, stray)
    assert caught.value.next_step
    assert Warehouse(config.home).read("episodes").num_rows == 87
    # What was taken counts for the night: the next stage finds its account.
    kept = Ledger(config, NIGHT).require("ingest")
    assert kept["episodes"] == 87
    assert [alarm for alarm in kept["alarms"] if "stray.jsonl has no record" in alarm]
    # Found in a folder and not named, it is an alarm, and the artifact says so.
    shutil.move(stray, logs / "stray.jsonl")
    other = configured(tmp_path / "other", 4)
    account = run(other, logs)
    assert account["episodes"] == 87
    [alarm] = account["alarms"]
    assert "stray.jsonl has no record of a known format" in alarm
    assert alarm in asyncio.run(latest_artifact("alarms"))


def test_the_same_files_again_reuse_the_stored_parts_and_a_changed_one_does_not(
    tmp_path: Path, logs: Path, prefect_server: None
) -> None:
    from tasks.ingest.task import ingest_logs

    config = configured(tmp_path / "home", 1)

    def key() -> str | None:
        inputs = {"config": {}, "code": code_version(), "night": NIGHT}
        inputs["logs"] = what_to_read(config, NIGHT, [str(logs)])
        return ingest_logs.cache_policy.compute_key(None, inputs, {})  # type: ignore[no-any-return]

    first, before = run(config, logs), key()
    assert run(config, logs) == first  # reused: read again, it would be all duplicates
    with (logs / "00.jsonl").open("a") as file:
        file.write(json.dumps(episode(1000)) + "\n")
    assert key() != before
    again = run(config, logs)
    assert (again["episodes"], len(again["skipped"])) == (1, 11)


def test_an_empty_folder_of_logs_is_a_quiet_night_that_keeps_the_champion(
    tmp_path: Path, prefect_server: None
) -> None:
    from flows.ingest import ingest
    from flows.nightly import nightly

    config = configured(tmp_path / "home", 1)
    (config.home / "logs" / "2026-01-02").mkdir(parents=True)
    kept = nightly(config, night=NIGHT)
    assert (kept["decision"], kept["reason"]) == ("kept", "no new episodes")
    assert (kept["champion"], kept["gates"], kept["alarms"]) == (None, [], [])
    account = ingest(config, night=NIGHT)
    assert (account["files"], account["episodes"]) == (0, 0)


def test_a_runner_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="'threads', 'processes' or 'ray'"):
        TypeAdapter(FlywheelConfig).validate_python({"ingest": {"runner": "clouds"}})


async def latest_artifact(key: str) -> str:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    async with get_client() as client:
        found = await client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])),
            sort=ArtifactSort.CREATED_DESC, limit=1,
        )  # fmt: skip
    return str(found[0].data)
