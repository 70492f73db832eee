"""What a person sees of `flywheel ingest`: a bar, an account, alarms and their exit status."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from flows.cli.app import app
from flows.cli.bars import drawn
from flows.cli.ingest_show import ingested
from schemas.progress import report

EMPTY: dict[str, Any] = {
    "files": 1, "episodes": 0, "duplicates": 0, "near_duplicates": 0, "superseded": 0,
    "quarantined": 0, "signals": 0, "success": 0, "failure": 0, "unlabelled": 0,
    "infrastructure_errors": 0, "steps": 0, "tool_calls": 0, "tool_errors": 0, "forgotten": 0,
    "tasks": 0, "tasks_with_both": 0, "alarms": [], "formats": {}, "redacted": {}, "skipped": [],
    "unfinished": [], "tables": {},
}  # fmt: skip


def call(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout, done.stderr


def episode(number: int, **keys: Any) -> str:
    said = [{"role": "user", "content": f"q {number}"}, {"role": "assistant", "content": "a"}]
    return json.dumps({"id": f"e{number}", "messages": said, **keys}) + "\n"


def printed(**changes: Any) -> str:
    console = Console(file=io.StringIO(), width=120)
    ingested(console, EMPTY | changes)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def on_terminal(stages: list[tuple[Any, ...]]) -> str:
    """Draw reports on a terminal, and give the last state of the bars."""
    console = Console(file=io.StringIO(), force_terminal=True, width=160, color_system=None)
    with drawn(console):
        for stage, done, total, note, unit in stages:
            report(stage, done, total, note, unit=unit)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_bar_of_bytes_shows_amounts_rate_and_records() -> None:
    drawn_text = on_terminal([
        ("ingest", 0, 0, "", ""),
        ("ingest", 1_500_000, 3_000_000, "10 records", "bytes"),
        ("ingest", 3_000_000, 3_000_000, "20 records", "bytes"),
        ("ingest", 1, 1, "", ""),
    ])  # fmt: skip
    last = drawn_text.rstrip("\x1b[?25h\n").splitlines()[-1]
    assert "3.0 MB/3.0 MB" in last
    assert "20 records" in last  # and not wiped by the stage's own end
    assert "B/s" in last


def test_other_stages_show_counts_and_no_rate() -> None:
    text = on_terminal([("train sft", 3, 40, "loss 1.5", "")])
    assert "3/40" in text
    assert "loss 1.5" in text
    assert "B/s" not in text


def test_without_a_terminal_a_finished_stage_is_one_line() -> None:
    console = Console(file=io.StringIO(), width=160)
    with drawn(console):
        report("ingest", 0, 0)
        for done in (10, 20, 30):
            report("ingest", done, 30, f"{done} records", unit="bytes")
        report("ingest", 1, 1)
    [line] = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert line.startswith("ingest: done in ")
    assert line.endswith(", 30 records")
    assert not logging.getLogger("flywheel.progress").handlers


def test_the_account_says_what_came_in_and_what_to_do_about_the_rest() -> None:
    text = printed(
        episodes=1200, formats={"art": 1000, "atif": 200}, success=700, failure=400, unlabelled=100,
        duplicates=7, near_duplicates=3, quarantined=2, redacted={"EMAIL": 5, "IBAN": 1},
        skipped=["a", "b", "c", "d", "e"], unfinished=["f.jsonl"],
    )  # fmt: skip
    lines = {line.strip().split("  ")[0]: line for line in text.splitlines()}
    assert "1,200" in lines["episodes"]
    assert "art 1,000, atif 200" in lines["episodes"]
    assert "700 success, 400 failure, 100 not stated" in lines["logged outcomes"]
    assert "`flywheel quarantine`" in lines["quarantined"]
    assert "6" in lines["redacted"]
    assert "EMAIL 5, IBAN 1" in lines["redacted"]
    assert {"duplicates", "near-duplicates"} <= set(lines)
    assert "skipped: a, b, c and 2 more (nothing new in them)" in text
    assert "unfinished: f.jsonl (the last line is cut" in text


def test_what_is_zero_is_not_printed() -> None:
    text = printed()
    assert "episodes" in text
    for name in ("duplicates", "quarantined", "redacted", "alarm", "skipped", "signals"):
        assert name not in text


def test_alarms_leave_status_3_are_committed_and_stay_in_status(tmp_path: Path) -> None:
    home = ["--home", str(tmp_path / "home")]
    (tmp_path / "a.jsonl").write_text("".join(episode(n) for n in range(30)))
    (tmp_path / "b.jsonl").write_text("".join(episode(n, mood="fine") for n in range(30, 60)))
    assert call("ingest", str(tmp_path / "a.jsonl"), "--night", "2026-01-02", *home)[0] == 0
    status, out, _ = call("ingest", str(tmp_path / "b.jsonl"), "--night", "2026-01-02", *home)
    assert status == 3
    assert "a shape openai_chat never had: new mood:string" in out
    assert "All of it is committed" in out
    status, out, _ = call("status", "--json", *home)
    found = json.loads(out)
    assert status == 0
    assert found["tables"]["episodes"]["rows"] == 60
    [alarm] = found["alarms"]
    assert "never had" in alarm
    # A night that only labels since then has no logs of its own: the alarm is still the last one.
    assert call("label", "--night", "2026-01-02", *home)[0] == 0
    assert json.loads(call("status", "--json", *home)[1])["alarms"] == [alarm]


def test_what_came_in_beside_a_refused_file_counts_for_the_night(tmp_path: Path) -> None:
    good, bad, home = tmp_path / "g.jsonl", tmp_path / "b.jsonl", str(tmp_path / "home")
    good.write_text("".join(episode(n, reward=float(n % 2)) for n in range(9)))
    bad.write_text('{"what": 1}\n')
    night = ["--night", "2026-01-02", "--home", home]
    status, _, said = call("ingest", str(good), str(bad), *night)
    assert (status, "b.jsonl has no record of a known format" in said) == (1, True)
    status, out, _ = call("label", *night, "--json")
    assert (status, json.loads(out)["episodes"]) == (0, 9)


def test_urls_patterns_and_packed_files_are_given_as_they_are(tmp_path: Path) -> None:
    import gzip

    import fsspec

    home = ["--home", str(tmp_path / "home")]
    (tmp_path / "a.jsonl").write_text(episode(1))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(episode(2).encode()))
    memory = fsspec.filesystem("memory")
    memory.pipe("/cli/logs/c.jsonl", episode(3).encode())
    try:
        words = [str(tmp_path / "*.jsonl*"), "memory://cli/logs", "--json", *home]
        status, out, _ = call("ingest", *words)
    finally:
        memory.rm("/cli", recursive=True)
    found = json.loads(out)
    assert (status, found["files"], found["episodes"]) == (0, 3, 3)


@pytest.mark.parametrize("words", [["--partitions", "0"], ["--partitions", "many"]])
def test_a_number_of_parts_that_is_none_is_wrong_usage(words: list[str]) -> None:
    assert call("ingest", "x", *words)[0] == 2
