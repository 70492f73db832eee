"""The examples of docs/plugins.md run as they stand; docs/labels.md tells what the code does."""

import io
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from flows.cli.label_show import labelled
from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError
from schemas.label_config import LabelConfig
from tasks.ingest.ingest import ingest
from tasks.label.explain import explain
from tasks.label.label import label
from tasks.label.signals import KINDS
from warehouse.tables import Warehouse

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "plugins.md").read_text(encoding="utf-8")
LABELS = (DOCS / "labels.md").read_text(encoding="utf-8")
NIGHT = "2026-01-02"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def example(key: str) -> dict[str, Any]:
    """Give the configuration that the page shows for one key of `label`."""
    [found] = [made for made in map(yaml.safe_load, blocks("yaml")) if key in made["label"]]
    return dict(found)


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Write the page's modules into a folder, and work there as the page does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for code in blocks("python"):
        place = tmp_path / code.splitlines()[0].removeprefix("# ")
        place.parent.mkdir(exist_ok=True)
        place.write_text(code, encoding="utf-8")
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme"]:
        del sys.modules[name]


def chat(
    name: str, answer: str, *, scenario: str = "", call: tuple[str, dict[str, Any]] | None = None,
    result: str = "4120",
) -> dict[str, Any]:  # fmt: skip
    """Make a record: a question, one call with its result, and an answer."""
    tool, arguments = call or ("run_sql", {"query": "select 1"})
    made = {"name": tool, "arguments": json.dumps(arguments)}
    calls = [{"id": "c", "type": "function", "function": made}]
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": f"Please see to {name}."},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c", "content": result},
        {"role": "assistant", "content": answer},
    ]
    named = {"scenario_id": scenario} if scenario else {}
    return {"id": name, "messages": messages, "model": "m", **named}


def clock() -> datetime:
    return datetime(2026, 1, 2, 3, tzinfo=UTC)


def labels_of(key: str, *records: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ingest records and label them as the page says; give the account, and labels by log's id."""
    Path("logs.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    config = FlywheelConfig.model_validate(example(key) | {"home": Path("home")})

    ingest(config, ["logs.jsonl"], night=NIGHT, clock=clock)
    account = label(config, night=NIGHT, clock=clock)
    rows = Warehouse(config.home).sql(
        "SELECT e.logged_id, l.* FROM latest_labels AS l JOIN episodes AS e USING (episode_id)"
    )
    return account, {row["logged_id"]: row for row in rows.to_pylist()}


def weights(row: dict[str, Any]) -> dict[str, float]:
    return {piece["kind"]: piece["weight"] for piece in row["evidence"]}


def test_each_example_is_short() -> None:
    codes = blocks("python")
    assert len(codes) == 4
    assert all(len(code.splitlines()) <= 25 for code in codes)


@pytest.mark.usefixtures("acme")
def test_the_reward_decides_as_a_logged_outcome_and_abstains_where_nobody_knows() -> None:
    Path("gold.jsonl").write_text('{"scenario_id": "march", "answer": "4120"}\n')
    account, labels = labels_of(
        "rewards",
        chat("right", "It was 4120.", scenario="march"),
        chat("wrong", "It was 41200.", scenario="march"),
        chat("other", "It was 4120.", scenario="april"),
    )
    found = {name: (row["state"], row["decided_by"]) for name, row in labels.items()}
    assert found == {
        "right": ("success", "outcome"), "wrong": ("failure", "outcome"),
        "other": ("unlabelled", None),
    }  # fmt: skip
    assert account["failed"] == []


@pytest.mark.usefixtures("acme")
def test_the_detector_is_a_kind_of_evidence_with_its_assumed_weight() -> None:
    _, labels = labels_of(
        "detectors",
        chat("made up", "Your order is ORD-1234."),
        chat("found", "Your order is ORD-5678.", result="ORD-5678 shipped"),
    )
    # ln(0.02 / 0.20) = -2.302...: 9% success.
    assert weights(labels["made up"]) == pytest.approx({"invented_order": -2.302585})
    assert labels["made up"]["success"] == pytest.approx(1 / 11)
    assert weights(labels["found"]) == {}


@pytest.mark.usefixtures("acme")
def test_the_risk_rule_counts_and_one_episode_it_fails_on_is_told_as_the_page_shows() -> None:
    def refund(amount: Any) -> tuple[str, dict[str, Any]]:
        return "refund", {"amount": amount}

    account, labels = labels_of(
        "risk",
        chat("small", "Done.", call=refund(80)),
        chat("large", "Done.", call=refund(150)),
        chat("odd", "Done.", call=refund("all of it")),
    )
    # 150 is half a limit too much: 0.5 times the weight of 0.8.
    assert {name: row["risk"] for name, row in labels.items()} == pytest.approx(
        {"small": 0.0, "large": 0.4, "odd": 0.0}
    )
    printed = io.StringIO()
    labelled(Console(file=printed, width=200), account)
    [shown] = blocks("text")
    assert shown.strip() in printed.getvalue()


@pytest.mark.usefixtures("acme")
def test_the_judge_parts_the_better_half_of_a_scenario_from_the_worse() -> None:
    account, labels = labels_of(
        "judge",
        chat("tells", "It was 4120", scenario="march"),
        chat("hides", "I have looked it up", scenario="march"),
    )
    # ln(0.60 / 0.25) = 0.875: 71% success; the worse half likewise.
    assert weights(labels["tells"]) == pytest.approx({"judge_high": 0.875469})
    assert weights(labels["hides"]) == pytest.approx({"judge_low": -0.875469})
    assert [labels[name]["decided_by"] for name in ("tells", "hides")] == ["judge", "judge"]
    assert (account["judge"]["asked"], account["judge"]["abstained"]) == (1, {})


@pytest.mark.usefixtures("acme")
def test_options_that_are_missing_stop_the_run_before_anything_is_read() -> None:
    # There is no gold.jsonl to name: the class refuses an option it does not know.
    broken = example("rewards")
    broken["label"]["rewards"][0]["options"] = {"file": "gold.jsonl"}
    config = FlywheelConfig.model_validate(broken | {"home": Path("home")})
    Path("logs.jsonl").write_text(json.dumps(chat("any", "Yes.")))
    ingest(config, ["logs.jsonl"], night=NIGHT, clock=clock)
    with pytest.raises(ConfigurationError, match="refuses its options"):
        label(config, night=NIGHT, clock=clock)
    assert not Warehouse(config.home).exists("labels")


def rows_of(*cells: str) -> list[list[str]]:
    """Give the rows of the table of docs/labels.md whose header begins with some cells."""
    _, _, rest = LABELS.partition("| " + " | ".join(cells))
    assert rest, f"no table with {cells}"
    body = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in body]


def test_the_table_of_evidence_holds_every_kind_with_its_shares_and_weight() -> None:
    told = {row[0].strip("`"): row[2:4] for row in rows_of("kind", "comes from")}
    assert told == {
        kind.name: [
            f"{kind.given_success:.2f}, {kind.given_failure:.2f}",
            f"{kind.log_odds:+.2f}",
        ]
        for kind in KINDS
    }


def test_the_table_of_risk_rules_holds_the_default_ones_with_their_weights() -> None:
    told = {row[0].strip("`"): float(row[1]) for row in rows_of("rule", "weight")}
    assert told == {rule.use: rule.weight for rule in LabelConfig().risk}


@pytest.mark.usefixtures("acme")
def test_every_key_of_the_account_and_of_explain_is_documented() -> None:
    account, _ = labels_of("judge", chat("one", "It was 4120", scenario="march"))
    named = {name for row in rows_of("key", "holds") for name in re.findall(r"\w+", row[0])}
    # A reward model is not configured here: it needs a build to learn from.
    assert named == {*account, "reward_model"}
    config = FlywheelConfig(home=Path("home"))
    [keys] = re.findall(r"`flywheel label --explain`: `(.*)`\. `prior`", LABELS)
    why = explain(config, "one")
    lists = ("costs", "risks")
    inner = [
        why["label"],
        why["terms"],
        *why["steps"],
        *(t for n in lists for t in why["terms"][n]),
    ]
    assert {name for made in (why, *inner) for name in made} <= set(re.findall(r"\w+", keys))
