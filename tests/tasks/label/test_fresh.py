"""New episodes with detectors, rewards and risk rules of one's own, and with little in them."""

import pyarrow as pa
import pytest

from schemas.errors import ConfigurationError
from schemas.label_config import Detector, LabelConfig, Plugin, RiskRule
from tasks.ingest.ingest import ingest
from tasks.label.fresh import Reader
from tasks.label.label import label
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"
OWN = """
def loud(told):
    question = told["question"]
    if question == "raise":
        raise RuntimeError("no ears")
    return None if question == "abstain" else "loud" in question

def verified(told):
    answers = {"loud": 1.0, "quiet": 0.0, "too much": 7}
    if told["question"] == "raise":
        raise RuntimeError("no eyes")
    return answers.get(told["question"])

class Never:
    def __init__(self, word="never"):
        self.word = word

    def __call__(self, told):
        return 0.5 if self.word in told["question"] else None
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    (tmp_path / "own_parts.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def run(config, clock, chat, write):
    """Label one chat a question under a configuration; gives the account and the labels."""

    def go(settings, *questions, **keys):
        records = [chat(q, question=q, **keys) for q in questions]
        own_config = config.model_copy(update={"label": settings})
        ingest(own_config, [write("a.jsonl", *records)], night=NIGHT, clock=clock)
        account = label(own_config, night=NIGHT, clock=clock)
        rows = Warehouse(config.home).sql(
            "SELECT e.logged_id AS name, l.* FROM latest_labels AS l JOIN episodes AS e"
            " USING (episode_id)"
        )
        return account, {row["name"]: row for row in rows.to_pylist()}

    return go


def test_own_parts_speak_abstain_and_fail_alone(run):
    account, labels = run(
        LabelConfig(
            detectors=[Detector(name="loudness", use="own_parts:loud", success=0.1, failure=0.4)],
            rewards=[Plugin(use="own_parts:verified")],
            risk=[RiskRule(use="own_parts:Never", weight=0.5, options={"word": "quiet"})],
        ),
        "loud", "quiet", "abstain", "raise", "too much",
    )  # fmt: skip
    kinds = {
        name: [(piece["kind"], piece["source"]) for piece in row["evidence"]]
        for name, row in labels.items()
    }
    assert kinds == {
        "loud": [("outcome", "reward"), ("loudness", "messages")],
        "quiet": [("outcome", "reward")],
        "abstain": [], "raise": [], "too much": [],
    }  # fmt: skip
    assert {name: row["state"] for name, row in labels.items()} == {
        "loud": "success", "quiet": "failure",
        "abstain": "unlabelled", "raise": "unlabelled", "too much": "unlabelled",
    }  # fmt: skip
    # Half broken at half the weight; what abstains is no risk.
    assert {name: row["risk"] for name, row in labels.items()} == {
        "loud": 0.0, "quiet": 0.25, "abstain": 0.0, "raise": 0.0, "too much": 0.0,
    }  # fmt: skip
    assert account["failed"] == [
        {"use": "own_parts:loud", "count": 1, "message": "RuntimeError: no ears"},
        {"use": "own_parts:verified", "count": 2, "message": "RuntimeError: no eyes"},
    ]


def test_of_several_verifiers_the_lowest_counts_beside_what_the_log_says(run):
    other = Plugin(use="own_parts:Never", options={"word": "loud"})
    settings = LabelConfig(rewards=[Plugin(use="own_parts:verified"), other])
    _, labels = run(settings, "loud", "abstain", reward=1.0)
    said = {
        name: [(p["source"], p["value"]) for p in row["evidence"]] for name, row in labels.items()
    }
    # One says 1, the other a half: a half, which is no success; it stands after the log.
    assert said == {"loud": [("log", 1.0), ("reward", 0.5)], "abstain": [("log", 1.0)]}
    assert labels["loud"]["state"] == "failure"
    assert [p["weight"] for p in labels["loud"]["evidence"]] == [0.0, pytest.approx(-4.6)]


@pytest.mark.parametrize(
    "settings",
    [
        LabelConfig(detectors=[Detector(name="x", use="own_parts:nothing")]),
        LabelConfig(rewards=[Plugin(use="no_such_module:part")]),
        LabelConfig(risk=[RiskRule(use="no_such_rule")]),
        LabelConfig(rewards=[Plugin(use="own_parts:Never", options={"no": "such"})]),
    ],
)
def test_a_part_that_is_not_there_stops_before_any_work(config, clock, chat, write, settings):
    wrong = config.model_copy(update={"label": settings})
    ingest(wrong, [write("a.jsonl", chat("r"))], night=NIGHT, clock=clock)
    with pytest.raises(ConfigurationError):
        label(wrong, night=NIGHT, clock=clock)
    assert not Warehouse(config.home).exists("labels")


def test_episodes_of_hardly_anything_are_labelled_too(config, clock, write):
    alone = {"role": "user", "content": "hello?"}
    records = [
        {"id": "asked", "messages": [alone]},
        {"id": "said", "messages": [{"role": "assistant", "content": ""}]},
        {"id": "empty", "messages": [alone, {"role": "assistant", "content": None}]},
    ]
    ingest(config, [write("a.jsonl", *records)], night=NIGHT, clock=clock)
    there = Warehouse(config.home).read("episodes", ["logged_id"]).num_rows
    account = label(config, night=NIGHT, clock=clock)
    assert account["labelled"] == account["episodes"] == there > 0


def test_broken_episodes_alone_teach_nothing_and_are_counted_apart(config, clock, write):
    asked = [
        {"id": n, "messages": [{"role": "user", "content": n}], "reward": 1.0} for n in ("a", "b")
    ]
    told = {"episode_id": "a", "kind": "thumbs", "value": 1}
    ingest(config, [write("a.jsonl", *asked, told)], night=NIGHT, clock=clock)
    account = label(config, night=NIGHT, clock=clock)
    assert account["infrastructure_errors"] == account["episodes"] == 2
    assert (account["success"], account["unlabelled"], account["calibration"]["n"]) == (0, 0, 0)
    assert account["reliability"] == {}
    labels = Warehouse(config.home).read("labels", ["state", "total", "infrastructure_error"])
    nothing = {"state": "unlabelled", "total": None, "infrastructure_error": True}
    assert labels.to_pylist() == [nothing, nothing]


def test_what_a_batch_lacks_is_no_number(config, clock, chat, write):
    ingest(config, [write("a.jsonl", chat("r", calls=()))], night=NIGHT, clock=clock)
    [batch] = Warehouse(config.home).batches("unlabelled", 10, files={"labels": []})
    fresh = Reader(config.label).look(batch)
    assert fresh.size == 1
    # No tokens, no price and no times; calls can be counted, and there are none.
    assert fresh.amounts.tolist()[0] == pytest.approx([0.0, *[float("nan")] * 3], nan_ok=True)
    assert (fresh.steps.lengths.tolist(), fresh.steps.rewards.tolist()) == ([1], [0.0])
    assert fresh.watched.tools_offered.tolist() == [True]
    assert fresh.watched.characters.tolist() == [3]
    assert isinstance(fresh.about, pa.Table)
