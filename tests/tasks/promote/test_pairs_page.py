"""Pairs side by side: what is shared, what differs, why, and a page that escapes everything."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from schemas.config import FlywheelConfig
from schemas.dataset import Pair
from schemas.episode import Message, ToolCall
from schemas.errors import InputError, MissingStateError
from schemas.label import Evidence, Label
from schemas.tables import arrow_rows
from tasks.promote.pairs_page import (
    Piece,
    arguments,
    clipped,
    differing,
    drawn_pairs,
    plain,
    sight,
    why,
    write_pairs_page,
)
from tasks.promote.report import links_of
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"


def called(query: str, result: str, error: bool = False) -> list[Message]:
    call = ToolCall(name="run_sql", arguments=json.dumps({"query": query}))
    return [
        Message(role="assistant", tool_calls=[call]),
        Message(role="tool", content=result, error=error),
    ]


def says(text: str) -> list[Message]:
    return [Message(role="assistant", content=text)]


def pair(number: int, chosen: list[Message], rejected: list[Message], **keys: Any) -> Pair:
    asked = Message(role="user", content=keys.pop("question", "how many?"))
    return Pair(
        build="b1", pair_id=f"{number:04}abc", kind="episode",
        prompt=[Message(role="system", content="You answer."), asked],
        chosen=chosen, rejected=rejected, chosen_episode=f"good{number}",
        rejected_episode=f"bad{number}", margin=0.5, confidence=0.9, **keys,
    )  # fmt: skip


def verdict(name: str, state: str, success: float, revision: int = 0) -> Label:
    weight = 2.0 if state == "success" else -2.0
    evidence = [
        Evidence(kind="tool_error", source="messages", value=-1.0, weight=0.0),
        Evidence(kind="thumbs", source="signal x", value=1.0, weight=weight),
    ]
    return Label(
        episode_id=name, label_version="v", labelled_at=datetime(2026, 1, 2, tzinfo=UTC),
        state=state, success=success, decided_by="feedback", evidence=evidence,  # type: ignore[arg-type]
        revision=revision, night=NIGHT,
    )  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> FlywheelConfig:
    return FlywheelConfig(home=tmp_path)


def write_build(config: FlywheelConfig, pairs: list[Pair], build: str = "b1", night: str = NIGHT):
    house = Warehouse(config.home)
    house.append("pairs", arrow_rows("pairs", pairs))
    labels = [verdict(p.chosen_episode, "success", 0.9) for p in pairs]
    labels += [verdict(p.rejected_episode, "failure", 0.2) for p in pairs]
    version = house.append("labels", arrow_rows("labels", labels))
    (config.home / "builds").mkdir(exist_ok=True)
    manifest = {"digest": build, "night": night, "inputs": {"labels": version}}
    (config.home / "builds" / f"{build}.json").write_text(json.dumps(manifest))


def rows_of(one: Pair) -> dict[str, Any]:
    return arrow_rows("pairs", [one]).to_pylist()[0]


def test_a_sample_is_the_same_every_time_and_another_with_another_seed(
    config: FlywheelConfig,
) -> None:
    write_build(config, [pair(n, says("right"), says("wrong")) for n in range(40)])
    drawn = [one["pair_id"] for one in drawn_pairs(config)["pairs"]]
    assert len(set(drawn)) == 10
    assert drawn == [one["pair_id"] for one in drawn_pairs(config, build="b1")["pairs"]]
    other = drawn_pairs(config.model_copy(update={"seed": 1}))["pairs"]
    assert drawn != [one["pair_id"] for one in other]
    [one] = drawn_pairs(config, prefix="0007")["pairs"]
    assert (one["pair_id"], one["labels"]["good7"]["state"]) == ("0007abc", "success")


def test_labels_are_those_that_the_build_saw(config: FlywheelConfig) -> None:
    write_build(config, [pair(1, says("right"), says("wrong"))])
    later = verdict("good1", "failure", 0.1, revision=1)
    Warehouse(config.home).append("labels", arrow_rows("labels", [later]))
    [one] = drawn_pairs(config)["pairs"]
    assert why(one["labels"]["good1"]) == (
        "success 90%, decided by feedback: thumbs +1 (weighs +2.0)"
    )
    assert why(one["labels"].get("gone")) == "its label is not here any more"


def test_the_newest_build_is_shown_and_what_is_not_there_is_said(config: FlywheelConfig) -> None:
    with pytest.raises(MissingStateError, match="no build"):
        drawn_pairs(config)
    write_build(config, [pair(1, says("right"), says("wrong"))])
    write_build(config, [], build="b2", night="2026-01-03")
    with pytest.raises(MissingStateError, match="Build b2 has no pairs"):
        drawn_pairs(config)
    with pytest.raises(MissingStateError, match="no build 'b9'"):
        drawn_pairs(config, build="b9")
    with pytest.raises(InputError, match="starts with 'zz'"):
        drawn_pairs(config, build="b1", prefix="zz")
    assert write_pairs_page(config, NIGHT, "b2") is None


def test_words_that_the_other_side_has_not_are_marked() -> None:
    assert differing("select a from t", "select b from t") == [
        Piece("select ", False), Piece("a", True), Piece(" from t", False),
    ]  # fmt: skip
    assert differing("same", "same") == [Piece("same", False)]
    assert differing("", "x") == []
    # What lies beyond the words that are compared counts as different, and nothing is lost.
    long = "w " * 500
    assert "".join(piece.text for piece in differing(long, long + "end")) == long


def test_long_equal_parts_are_shortened_around_the_difference() -> None:
    pieces = clipped([Piece("a" * 300, False), Piece("NEW", True), Piece("b" * 300, False)])
    assert [piece.text for piece in pieces] == ["…" + "a" * 28, "NEW", "b" * 28 + "…"]
    [alone] = clipped([Piece("c" * 1000, True)])
    assert alone.text == "c" * 420 + "…"


def test_steps_that_both_sides_begin_with_are_left_out() -> None:
    same = called("select 1", "1") + called("select 2", "2")
    one = pair(1, same + called("select a", "3"), same + called("select b", "no", error=True))
    seen = sight(rows_of(one))
    assert (seen.same, [step.number for step in seen.steps]) == (2, [3])
    [step] = seen.steps
    assert [line.kind for line in step.chosen] == ["calls", "told"]
    assert [line.kind for line in step.rejected] == ["calls", "failed"]
    assert [p.text for p in step.rejected[0].pieces if p.differs] == ["b"]


def test_the_last_step_of_each_side_is_shown_and_what_lies_between_is_counted() -> None:
    chosen = [m for n in range(6) for m in called(f"good {n}", "r")] + says("done")
    rejected = [m for n in range(11) for m in called(f"bad {n}", "r")]
    seen = sight(rows_of(pair(1, chosen, rejected)))
    # The first four, the chosen's seventh (its last) and the rejected's eleventh.
    assert [(step.number, step.skipped) for step in seen.steps] == [
        (1, 0), (2, 0), (3, 0), (4, 0), (7, 2), (11, 3),
    ]  # fmt: skip
    assert seen.steps[-1].chosen == []


def test_a_long_prompt_keeps_its_beginning_and_its_end() -> None:
    before = [Message(role="user", content=f"m{n}") for n in range(9)]
    row = rows_of(pair(1, says("a"), says("b")))
    row["prompt"] = arrow_rows("pairs", [pair(2, before, [])])["chosen"].to_pylist()[0]
    seen = sight(row)
    assert [line.pieces[0].text for line in seen.prompt] == ["m0", "m1", "m7", "m8"]
    assert seen.between == 5


def test_arguments_are_written_by_name_and_malformed_ones_as_they_are() -> None:
    assert arguments('{"query": "select\\n 1", "n": 2}') == "query=select 1, n=2"
    assert arguments("{broken") == "{broken"
    assert arguments("[1]") == "[1]"
    assert plain("a\x1b[31mb\x00\nc") == "a\ufffd[31mb\ufffd c"


class Tags(HTMLParser):
    """Collects the tags of a page, for what a log brought in must not be among them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_escapes_everything_and_asks_for_nothing(config: FlywheelConfig) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=y>"
    call = ToolCall(name=evil, arguments=json.dumps({evil: evil}))
    chosen = [Message(role="assistant", tool_calls=[call]), *says(evil)]
    strange = Message(role=evil, content=evil)
    one = pair(1, chosen, [*says("other"), strange, *says("b")], question=evil, support=7)
    write_build(config, [one])
    target = write_pairs_page(config, NIGHT, "b1")
    assert target == config.home.resolve() / "runs" / NIGHT / "pairs.html"
    page = target.read_text()
    tags = Tags()
    tags.feed(page)
    names = {name for name, _ in tags.found}
    assert not names & {"script", "img", "link", "iframe"}
    assert not re.search(r"url\(|@import", page)
    assert [found.get("href") for name, found in tags.found if name == "a"] == ["report.html"]
    assert page.count("&lt;script&gt;") >= 5
    assert "support 7" in page
    assert "prefers-color-scheme: dark" in page
    assert "good1" in page
    assert "bad1" in page


def test_the_report_links_to_what_is_there(config: FlywheelConfig) -> None:
    assert links_of(config, NIGHT, None) == {}
    assert links_of(config, NIGHT, "b1") == {}
    write_build(config, [pair(1, says("right"), says("wrong"))])
    assert links_of(config, NIGHT, "b1") == {"pairs": "pairs.html"}
    card = config.home / "builds" / "b1" / "card.md"
    card.parent.mkdir()
    card.write_text("# card")
    there = links_of(config, NIGHT, "b1")
    assert (config.home / "runs" / NIGHT / there["card"]).resolve() == card.resolve()
