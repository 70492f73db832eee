"""`flywheel show pair`: what a person reads of a pair at 80 and at 120 columns."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from flows.cli.pair_show import pair, shown
from schemas.config import FlywheelConfig
from schemas.dataset import Pair
from schemas.episode import Message, ToolCall
from schemas.label import Evidence, Label
from schemas.tables import arrow_rows
from tasks.promote.pairs_page import drawn_pairs
from warehouse.tables import Warehouse

GOOD, BAD = "a" * 64, "b" * 64
MARKUP = "[bold]no markup[/bold] [/red] \x1b[31m"


def called(query: str, result: str) -> list[Message]:
    call = ToolCall(name="run_sql", arguments=json.dumps({"query": query}))
    return [
        Message(role="assistant", tool_calls=[call]), Message(role="tool", content=result)
    ]  # fmt: skip


def verdict(name: str, state: str, success: float) -> Label:
    evidence = [Evidence(kind="thumbs", source="signal x", value=1.0, weight=1.5)]
    return Label(
        episode_id=name, label_version="v", labelled_at=datetime(2026, 1, 2, tzinfo=UTC),
        state=state, success=success, decided_by="feedback", evidence=evidence,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Hold a build of three pairs; the ids of two begin alike."""
    pairs = [
        Pair(
            build="b1", pair_id=name, kind="decision_point", support=4,
            prompt=[Message(role="user", content=f"question of {name}? {MARKUP}")],
            chosen=called("select count(*) from shops", "12"),
            rejected=called("select count(*) from shop", f"Error {MARKUP}"),
            chosen_episode=GOOD, rejected_episode=BAD, margin=0.5, confidence=0.9,
        )
        for name in ("abc1", "abc2", "xyz3")
    ]  # fmt: skip
    house = Warehouse(tmp_path)
    house.append("pairs", arrow_rows("pairs", pairs))
    labels = [verdict(GOOD, "success", 0.9), verdict(BAD, "failure", 0.2)]
    house.append("labels", arrow_rows("labels", labels))
    (tmp_path / "builds").mkdir()
    manifest = {"digest": "b1", "night": "2026-01-02", "inputs": {}}
    (tmp_path / "builds" / "b1.json").write_text(json.dumps(manifest))
    return tmp_path


def printed(home: Path, width: int, *, colour: bool = False, **asked: Any) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, highlight=False, force_terminal=colour, color_system=(
            "standard" if colour else None
        ), legacy_windows=False,
    )  # fmt: skip
    shown(console, drawn_pairs(FlywheelConfig(home=home), **asked))
    return out.getvalue()


def call(home: Path, *words: str) -> tuple[int, str, str]:
    app = typer.Typer()
    group = typer.Typer()
    group.callback()(lambda: None)
    group.command("pair")(pair)
    app.add_typer(group, name="show")
    done = CliRunner().invoke(app, ["show", "pair", *words, "--home", str(home)])
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("width", [80, 120])
def test_both_sides_stand_beside_each_other_within_the_width(home: Path, width: int) -> None:
    text = printed(home, width, prefix="xyz")
    lines = text.splitlines()
    assert max(cell_len(line) for line in lines) <= width
    [head] = [line for line in lines if line.startswith("chosen ") and "rejected" in line]
    # Two columns of equal width: the second begins in the middle.
    assert abs(head.index("rejected") - width // 2) <= 1
    assert "decision point  margin 0.50  confidence 0.90  support 4  xyz3" in text
    assert "question of xyz3?" in text
    assert "→ 12" in text
    for whole in (f"chosen   {GOOD}", f"rejected {BAD}"):
        assert whole in lines
    assert "success 90%, decided by" in text
    assert "failure 20%, decided by" in text


def test_markup_and_escapes_in_texts_are_printed_as_they_are(home: Path) -> None:
    text = printed(home, 120, prefix="xyz")
    assert "[bold]no markup[/bold] [/red]" in text
    assert "\x1b" not in text
    assert "\ufffd[31m" in text


def test_what_differs_is_marked_in_colour_and_results_are_dim(home: Path) -> None:
    text = printed(home, 120, colour=True, prefix="xyz")
    # 1 bold, 4 underlined, 32 green, 31 red, 2 dim.
    assert "\x1b[1;4;32mshops\x1b[0m" in text
    assert "\x1b[1;4;31mshop\x1b[0m" in text
    assert "\x1b[2m→ 12\x1b[0m" in text


def test_a_sample_is_shown_in_the_same_order_every_time(home: Path) -> None:
    text = printed(home, 80, number=3)
    assert [f"{n}/3" in text for n in (1, 2, 3)] == [True] * 3
    assert text == printed(home, 80, number=3)


def test_an_id_may_be_shortened_as_long_as_it_names_one(home: Path) -> None:
    status, out, _ = call(home, "abc1")
    assert (status, "question of abc1?" in out) == (0, True)
    status, out, told = call(home, "abc")
    assert (status, out) == (1, "")
    assert "More than one pair begins with 'abc'" in told
    assert call(home, "abc", "--sample", "5")[0] == 0
    status, _, told = call(home, "q")
    assert (status, "No pair of build b1" in told) == (1, True)
    assert call(home, "--build", "b9")[0] == 1


def test_json_holds_the_whole_pair_and_why(home: Path) -> None:
    status, out, _ = call(home, "xyz3", "--json")
    found = json.loads(out)
    assert (status, out.count("\n"), found["build"]) == (0, 1, "b1")
    [one] = found["pairs"]
    assert one["chosen"][0]["tool_calls"][0]["name"] == "run_sql"
    assert one["rejected"][1]["content"].startswith("Error [bold]")
    assert one["labels"][BAD]["state"] == "failure"
