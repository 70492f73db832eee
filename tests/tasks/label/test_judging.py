"""A judge inside the label stage: asked where nothing else decides, and only once a night."""

import pytest

from schemas.errors import ConfigurationError
from schemas.label_config import JudgeConfig, LabelConfig
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"
OWN = """
ASKED = []

def longest(group):
    ASKED.append(len(group))
    sizes = [len(told["messages"][-1]["content"]) for told in group]
    return [size / max(sizes) for size in sizes]

def silent(group):
    return None

def broken(group):
    raise RuntimeError("no judgement")
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    import sys

    (tmp_path / "own_judges.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_judges", raising=False)


@pytest.fixture
def run(config, clock, write):
    """Label records under a judge; gives the account and the newest label of each."""

    def go(judge, *records, everything=False):
        judged = config.model_copy(update={"label": LabelConfig(judge=judge)})
        if records:
            ingest(judged, [write("a.jsonl", *records)], night=NIGHT, clock=clock)
        account = label(judged, night=NIGHT, clock=clock, everything=everything)
        rows = Warehouse(config.home).sql(
            "SELECT e.logged_id AS name, l.* FROM latest_labels AS l JOIN episodes AS e"
            " USING (episode_id)"
        )
        return account, {row["name"]: row for row in rows.to_pylist()}

    return go


@pytest.fixture
def scenario(chat):
    """Make runs of one scenario, one of them verified, and one run of no scenario."""

    def make(**keys):
        return [
            chat("grounded", question="a", answer="1 row", scenario_id="one"),
            chat("made up", question="b", answer="77 rows", scenario_id="one", **keys),
            chat("proven", question="c", answer="1", scenario_id="one", reward=1.0),
            chat("alone", question="d"),
        ]

    return make


def said(labels):
    """Give what the judge said of each episode."""
    return {
        name: [p["kind"] for p in row["evidence"] if p["kind"].startswith("judge")]
        for name, row in labels.items()
    }


def test_the_rule_judge_decides_where_nothing_else_does(run, scenario):
    account, labels = run(JudgeConfig(), *scenario())
    # Only the answer's numbers differ: 77 stands in no result. Merits 1, 0.8 and 1 about their
    # mean of 0.933 are 0.567, 0.367 and 0.567; the middle is 0.467.
    assert said(labels) == {
        "grounded": ["judge_high"], "made up": ["judge_low"], "proven": ["judge_high"], "alone": [],
    }  # fmt: skip
    verdicts = {name: (row["state"], row["decided_by"]) for name, row in labels.items()}
    assert verdicts == {
        "grounded": ("success", "judge"), "made up": ("failure", "judge"),
        "proven": ("success", "outcome"), "alone": ("unlabelled", None),
    }  # fmt: skip
    assert account["by_source"]["judge"] == 2
    told = account["judge"]
    assert (told["source"], told["groups"], told["asked"]) == ("judge rules", 1, 0)
    # The verified one was judged too, which is how the judge's worth is learnt.
    assert account["reliability"]["judge_high"]["successes"] == 1


def test_a_judge_never_overrules_what_users_show(run, scenario):
    thumb = {"episode_id": "made up", "kind": "thumbs", "value": 1, "timestamp": 1767323045}
    _, labels = run(JudgeConfig(), *scenario(), thumb)
    assert said(labels)["made up"] == []
    assert (labels["made up"]["state"], labels["made up"]["decided_by"]) == ("success", "feedback")


def test_feedback_that_comes_after_the_judge_takes_its_place(run, scenario, write):
    run(JudgeConfig(), *scenario())
    thumb = {"episode_id": "made up", "kind": "thumbs", "value": 1, "timestamp": 1767323045}
    account, labels = run(JudgeConfig(), thumb)
    assert said(labels)["made up"] == ["judge_low"]
    assert (labels["made up"]["state"], labels["made up"]["decided_by"]) == ("success", "feedback")
    weights = {p["kind"]: p["weight"] for p in labels["made up"]["evidence"]}
    assert weights == {"thumbs_up": pytest.approx(1.6094, abs=1e-4), "judge_low": 0.0}
    assert account["by_source"]["judge"] == 1


def test_a_second_run_of_the_night_asks_nothing_again(run, scenario):
    own = JudgeConfig(use="own_judges:longest")
    first, labels = run(own, *scenario())
    assert (first["judge"]["asked"], first["judge"]["cached"]) == (1, 0)
    again, _ = run(own)
    assert (again["labelled"], "judge" in again) == (0, False)
    anew, labels_anew = run(own, everything=True)
    assert (anew["judge"]["asked"], anew["judge"]["cached"]) == (0, 1)
    assert said(labels) == said(labels_anew)


def test_a_night_without_budget_leaves_groups_and_says_so(run, scenario):
    account, labels = run(JudgeConfig(use="own_judges:longest", budget=0), *scenario())
    assert (account["judge"]["asked"], account["judge"]["over_budget"]) == (0, 1)
    assert set(map(len, said(labels).values())) == {0}


@pytest.mark.parametrize(("name", "reason"), [("silent", "abstain"), ("broken", "no judgement")])
def test_a_judge_that_abstains_or_fails_leaves_episodes_as_they_were(run, scenario, name, reason):
    account, labels = run(JudgeConfig(use=f"own_judges:{name}"), *scenario())
    [(why, count)] = account["judge"]["abstained"].items()
    assert reason in why
    assert count == 3
    assert labels["grounded"]["state"] == "unlabelled"


def test_a_judge_that_is_not_there_stops_before_any_work(config, run, scenario):
    with pytest.raises(ConfigurationError):
        run(JudgeConfig(use="own_judges:nobody"), *scenario())
    assert not Warehouse(config.home).exists("labels")


def test_without_scenarios_no_judge_is_asked(run, chat):
    account, _ = run(JudgeConfig(), chat("a", question="a"), chat("b", question="b", answer="77"))
    assert account["judge"]["groups"] == 0
