"""The dataset card: its figures, what is left out, and that it repeats byte for byte."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from schemas.dataset import HeldOut, LoggedScenario, Pair, Trajectory
from schemas.episode import Episode, Message, ToolCall
from schemas.label import Label
from schemas.tables import arrow_rows
from tasks.build.build import build
from tasks.build.card import card_files, write_card
from tasks.build.plots import bar_chart, doubling, nice
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

BUILD, NIGHT = "b" * 16, "2026-01-02"
SECRET = "the user's own words"


def messages(calls: int, failed: int = 0, tool: str = "run_sql") -> list[Message]:
    """Make a question, calls with their results (the first ones errors), and an answer."""
    made = [Message(role="user", content=SECRET)]
    for place in range(calls):
        call = ToolCall(name=tool, arguments="{}")
        made.append(Message(role="assistant", tool_calls=[call]))
        made.append(Message(role="tool", content="r", error=place < failed))
    return [*made, Message(role="assistant", content="answer")]


def episode(name: str, **keys: object) -> Episode:
    return msgspec.convert(
        {
            "episode_id": name, "format": "openai_chat", "day": NIGHT, "messages": [],
            "source": "file1", "source_file": "a.jsonl", "source_line": 1, "raw_digest": name,
            "user_id": "somebody", "night": NIGHT, **keys,
        },
        Episode,
    )  # fmt: skip


def verdict(name: str, state: str, confidence: float, by: str, revision: int = 0) -> Label:
    return Label(
        episode_id=name, label_version="v", labelled_at=datetime(2026, 1, 2, tzinfo=UTC),
        state=state, confidence=confidence, decided_by=by, revision=revision, night=NIGHT,  # type: ignore[arg-type]
    )  # fmt: skip


def trajectory(use: str, name: str, said: list[Message]) -> Trajectory:
    return Trajectory(
        build=BUILD, use=use, episode_id=name, scenario_id="s", messages=said,  # type: ignore[arg-type]
        desirable=True, weight=0.5, total=0.5,
    )  # fmt: skip


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Hold one build of three episodes (one of them held out), and a row of another build."""
    house = Warehouse(tmp_path)
    house.append("episodes", arrow_rows("episodes", [
        episode("a", near_duplicate_of="z"), episode("b", source="file2"), episode("c"),
        episode("d"),
    ]))  # fmt: skip
    house.append("labels", arrow_rows("labels", [
        verdict("a", "failure", 0.1, "implicit"), verdict("a", "success", 0.95, "outcome", 1),
        verdict("b", "failure", 1.0, "feedback"), verdict("c", "success", 0.5, "outcome"),
        verdict("d", "success", 0.5, "judge"),
    ]))  # fmt: skip
    # a: 2 calls, 1 failed; b: 6 calls, 2 failed, of another tool.
    a, b = messages(2, 1), messages(6, 2, tool="odd|`name`\n<b>")
    house.append("trajectories", arrow_rows("trajectories", [
        trajectory("sft", "a", a), trajectory("kto", "a", a), trajectory("kto", "b", b),
        msgspec.structs.replace(trajectory("kto", "d", messages(1)), build="other"),
    ]))  # fmt: skip
    house.append("pairs", arrow_rows("pairs", [
        Pair(build=BUILD, pair_id="p", kind="decision_point", scenario_id="s", prompt=[],
             chosen=a, rejected=b, chosen_episode="a", rejected_episode="b", margin=0.4,
             confidence=0.7, support=3),
    ]))  # fmt: skip
    house.append("scenarios", arrow_rows("scenarios", [
        LoggedScenario(build=BUILD, key=f"{BUILD}:{name}", scenario_id=name, prompt=[], episodes=4,
                       pass_rate=rate, difficulty=hard, logged=[])
        for name, rate, hard in (("s", 0.25, "mixed"), ("t", 0.0, "hard"), ("u", 1.0, "easy"))
    ]))  # fmt: skip
    house.append("held_out", arrow_rows("held_out", [
        HeldOut(build=BUILD, episode_id="c", messages=[], state="success", confidence=0.5),
    ]))  # fmt: skip
    return house


def manifest(**more: object) -> dict[str, object]:
    return {"digest": BUILD, "night": NIGHT, "inputs": {"episodes": 1, "labels": 1}, **more}


def rows(text: str, title: str) -> list[list[str]]:
    """Read the table rows of a section, without heads."""
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    [body] = [part for part in section if part.startswith(f"{title}\n")]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    told = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = [place for place, cells in enumerate(told) if set(cells) == {"---"}]
    heads = {place - 1 for place in rules} | set(rules)
    return [cells for place, cells in enumerate(told) if place not in heads]


def test_figures_are_of_the_builds_own_episodes_and_newest_labels(warehouse: Warehouse) -> None:
    text = write_card(warehouse, warehouse.home, manifest()).read_text()
    assert "made of 3 episodes" in text
    # a's first label (implicit) is old, and d belongs to another build.
    assert rows(text, "Labels") == [["outcome", "2", "0", "0"], ["feedback", "0", "1", "0"]]
    # a counts once though it is imitated and weighed: 6 and 14 messages, 3 and 7 steps;
    # characters: question 20, calls 2 x (7 + 2) or 6 x (14 + 2), results of 1, answer 6.
    assert rows(text, "Lengths") == [
        ["messages", "6", "14", "14"],
        ["steps", "3", "7", "7"],
        ["characters", "46", "128", "128"],
    ]
    assert rows(text, "Sources") == [["`openai_chat`", "2", "3", "33.3%"]]
    assert rows(text, "Pairs") == [["decision point", "1", "1", "0.40", "0.70", "3"]]
    assert rows(text, "Scenarios") == [
        ["scenarios", "3"], ["with both outcomes", "1"], ["that nobody solved", "1"],
        ["that all solved", "1"], ["logged episodes of them", "12"],
    ]  # fmt: skip
    contents = [row[:3] for row in rows(text, "What is in it")]
    assert ["trajectories", "kto", "2"] in contents
    assert ["held_out", "success", "1"] in contents


def test_names_from_logs_cannot_break_the_tables_and_no_text_or_user_is_told(
    warehouse: Warehouse,
) -> None:
    text = write_card(warehouse, warehouse.home, manifest()).read_text()
    assert rows(text, "Tools") == [
        ["`odd??name???b?`", "1", "6", "33.3%"],
        ["`run_sql`", "1", "2", "50.0%"],
    ]
    for told in (SECRET, "somebody", "a.jsonl", str(warehouse.home)):
        assert told not in text


def test_the_manifest_is_told_and_its_missing_keys_are_left_out(warehouse: Warehouse) -> None:
    bare = write_card(warehouse, warehouse.home, manifest()).read_text()
    assert "## Leak check" not in bare
    assert "None" not in bare
    full = write_card(
        warehouse, warehouse.home,
        manifest(
            code="c0de", config_digest="c0nf", seeds={"split": 7}, leaks=0, candidate_pairs=40,
            guards={"identical": 2, "decision_held_out": 1, "new_one": 5}, dropped={"few": 9},
            split={"groups": 3, "largest_group": 2, "train": 2, "held_out": 1, "retired": 0},
            rows={"pairs": {"rows": 1, "sha256": "f" * 64}},
        ),
    ).read_text()  # fmt: skip
    assert ["seeds", "split 7"] in rows(full, "How it was made")
    assert ["pairs", "1", f"`{'f' * 12}`"] in rows(full, "What is in it")
    assert rows(full, "Pairs")[1:] == [
        ["identical", "2", "both sides are the same"],
        ["decision held out", "1", "a side is held out or retired"],
        ["new one", "5", ""],
    ]
    assert ["left out: few", "9"] in rows(full, "Scenarios")
    assert ["largest group", "2"] in rows(full, "Split")
    assert "Leaks: 0." in full


def test_the_same_build_gives_the_same_bytes_whatever_comes_after(warehouse: Warehouse) -> None:
    write_card(warehouse, warehouse.home, manifest())
    files = card_files(warehouse.home, BUILD)
    assert [file.name for file in files] == [
        "card.md", "characters.svg", "confidence.svg", "messages.svg", "pass_rate.svg", "steps.svg",
    ]  # fmt: skip
    first = {file.name: file.read_bytes() for file in files}
    late = verdict("a", "failure", 0.9, "judge", 2)
    warehouse.append("labels", arrow_rows("labels", [late]))
    write_card(warehouse, warehouse.home, manifest())
    assert {file.name: file.read_bytes() for file in card_files(warehouse.home, BUILD)} == first
    unpinned = write_card(warehouse, warehouse.home, {"digest": BUILD, "night": NIGHT})
    assert unpinned.read_bytes() != first["card.md"]


def test_every_drawing_is_shown_and_is_whole_xml(warehouse: Warehouse) -> None:
    text = write_card(warehouse, warehouse.home, manifest()).read_text()
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    drawings = [file for file in card_files(warehouse.home, BUILD) if file.suffix == ".svg"]
    assert sorted(shown) == [file.name for file in drawings]
    for file in drawings:
        assert ET.fromstring(file.read_text()).tag.endswith("svg")


def test_a_home_without_the_newer_tables_has_a_card_too(config, clock, chat, write) -> None:
    paths = [write("a.jsonl", chat("r", reward=1.0), chat("q", question="else?", reward=0.0))]
    ingest(config, paths, night=NIGHT, clock=clock)
    label(config, night=NIGHT, clock=clock)
    built = build(config, night=NIGHT, clock=clock)
    house = Warehouse(config.home)
    text = write_card(house, config.home, json.loads(json.dumps(built))).read_text()
    assert "made of" in text
    tools = rows(text, "Tools")
    assert [row[0] for row in tools] == ["`run_sql`"]
    assert f"flywheel build --at {built['digest']}" in text


def test_bars_are_stacked_to_scale_and_tell_their_numbers() -> None:
    drawing = bar_chart("A <title>", ["x", "y"], {"success": [3, 0], "failure": [1, 2]})
    heights = [
        float(found["height"])
        for found in (element.attrib for element in ET.fromstring(drawing))
        if found.get("width", "10") != "10"
    ]
    # The scale ends at 4 = 146 units of height: 3, 1 and 2 are 109.5, 36.5 and 73.
    assert heights == pytest.approx([109.5, 36.5, 73.0], abs=0.11)
    assert "<title>x: 3 success</title>" in drawing
    assert "A &lt;title&gt;" in drawing
    assert ET.fromstring(bar_chart("none", [], {"": []})) is not None


def test_scales_and_bins_have_round_ends() -> None:
    assert [nice(n) for n in (0, 4, 5, 11, 21, 41, 101)] == [4, 4, 10, 20, 40, 100, 200]
    assert [doubling(place) for place in (0, 1, 3, 11, 21)] == ["0", "1", "4", "1k", "1M"]
