"""How labels look on a terminal of 100 columns."""

from datetime import UTC, datetime

import pytest
from rich.console import Console

from flows.cli.label_show import explained, labelled, shortened, shown

ACCOUNT = {
    "labelled": 1200, "episodes": 5000, "success": 3000, "failure": 1500, "unlabelled": 499,
    "infrastructure_errors": 1,
    "by_source": {"outcome": 4000, "feedback": 0, "implicit": 500, "judge": 0, "reward_model": 2},
    "terms": {"success": 0.6, "cost": 0.5, "risk": 0.25, "total": 0.425},
    "calibration": {"n": 4000, "ece": 0.051, "bins": []},
    "decision_points": 12, "decision_points_with_support": 3,
    "reliability": {
        "thumbs_up": {"successes": 40.4, "failures": 4.0, "default": 1.61, "learnt": 2.0},
        "final_error": {"successes": 1.0, "failures": 50.0, "default": -1.79, "learnt": -3.5},
    },
    "failed": [{"use": "mine:part", "count": 2, "message": "ValueError: [bold] is not closed [/]"}],
    "tripwires": [{"kind": "praise", "count": 3, "detail": "user [u1] gave 90%"}],
}  # fmt: skip
TOLD = {
    "episode_id": "e" * 32,
    "logged_id": "r",
    "question": "how many [red]rows[/] in [/nothing]?",
    "label": {
        "state": "success", "success": 0.833, "confidence": 0.667, "decided_by": "feedback",
        "predicted": None, "infrastructure_error": False, "label_version": "abc",
        "labelled_at": datetime(2026, 1, 2, 3, tzinfo=UTC), "revision": 1,
    },
    "prior": 0.25,
    "silence": -0.5,
    "evidence": [
        {
            "kind": "thumbs_up", "source": "signal " + "d" * 64, "value": 1.0, "share": 0.5,
            "weight": 0.8, "at": datetime(2026, 1, 1, 12, 30, tzinfo=UTC),
        },
        {
            "kind": "reask", "source": "judge [/x]", "value": -1.0, "share": 1.0, "weight": 0.0,
            "at": None,
        },
    ],
    "terms": {
        "success": 0.833, "cost": 0.5, "risk": 0.0, "total": 0.783,
        "weights": {"success": 1.0, "cost": 0.1, "risk": 0.5},
        "costs": [{"name": "tool_calls", "amount": 3.0, "part": 0.5}],
        "risks": [],
    },
    "steps": [
        {
            "step": 1, "did": 'run_sql {"query": "select [a-z] from t"}', "calls": 1,
            "told": "Error: no [/column]", "errors": 1, "reward": -0.1, "return": 0.6,
            "visits": 1234, "q": 0.6, "v": 0.5, "advantage": 0.05, "rivals": 2,
        },
        {
            "step": 2, "did": "word " * 30, "calls": 0, "told": "", "errors": 0, "reward": 0.0,
            "return": 0.7, "visits": None, "q": None, "v": None, "advantage": None, "rivals": None,
        },
    ],
    "history": [
        {
            "revision": 0, "state": "unlabelled", "success": None, "label_version": "old",
            "labelled_at": datetime(2026, 1, 1, 3, tzinfo=UTC),
        }
    ],
}  # fmt: skip


@pytest.fixture
def printed():
    """Print at 100 columns, and give the lines."""

    def go(show, result):
        console = Console(width=100, record=True, force_terminal=False)
        show(console, result)
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= 100
        return [" ".join(line.split()) for line in lines if line.strip()]

    return go


def test_an_account_tells_counts_sources_terms_and_what_evidence_proved(printed):
    lines = printed(labelled, ACCOUNT)
    assert lines[0].startswith("Labelled 1,200 episodes; of all 5,000: 3,000 success")
    assert "decided by outcome 4,000, implicit 500, reward model 2" in lines
    assert "mean terms success 0.60, cost 0.50, risk 0.25, total 0.42" in lines
    assert "calibration error 5.1% on 4,000 verified episodes" in lines
    assert "decision points 12, 3 supported" in lines
    strongest = lines.index("final error 1 50 -1.79 -3.50")
    assert lines[strongest + 1] == "thumbs up 40 4 +1.61 +2.00"
    assert "plug-in mine:part failed on 2 episodes: ValueError: [bold] is not closed [/]" in lines
    assert "tripwire praise: user [u1] gave 90%" in lines


def test_an_account_of_nothing_leaves_out_what_there_is_none_of(printed):
    nothing = {
        "labelled": 0, "by_source": dict.fromkeys(ACCOUNT["by_source"], 0), "reliability": {},
        "terms": dict.fromkeys(ACCOUNT["terms"]), "calibration": {"n": 0, "ece": None, "bins": []},
        "failed": [], "tripwires": [],
    }  # fmt: skip
    lines = printed(labelled, ACCOUNT | nothing)
    assert "decided by nothing" in lines
    assert not [
        line for line in lines if line.startswith(("mean terms", "calibration", "evidence"))
    ]


def test_a_judge_is_told_in_a_line(printed):
    judge = {
        "source": "judge [m]", "groups": 2, "asked": 1, "cached": 1, "abstained": {"alike": 3},
        "over_budget": 4, "tokens": 9,
    }  # fmt: skip
    lines = printed(labelled, ACCOUNT | {"judge": judge})
    told = (
        "judge judge [m]: 2 groups, 1 requests, 1 from cache, 3 abstained (mostly: alike), "
        "4 over budget"
    )
    assert told in " ".join(lines)


def test_an_explanation_shows_questions_and_texts_as_they_stand(printed):
    lines = printed(explained, TOLD)
    assert lines[0] == "how many [red]rows[/] in [/nothing]?"
    assert lines[1] == f"success, success 83%, decided by feedback {'e' * 32}"
    assert "before evidence +0.25" in lines
    assert "what was not shown -0.50" in lines
    assert f"thumbs up signal {'d' * 16}… +1 0.50 +0.80 2026-01-01 12:30" in lines
    assert "reask judge [/x] -1 1.00 +0.00" in lines
    assert "cost 0.50 -0.1 tool_calls 3 (0.50)" in lines
    assert "total 0.78" in lines
    first = next(n for n, line in enumerate(lines) if line.startswith("1 run_sql"))
    assert "select [a-z] from t" in lines[first]
    assert lines[first].endswith("-0.10 +0.60 +0.05 1,234 2")
    assert lines[first + 1] == "Error: no [/column]"
    assert lines[-1] == "before: unlabelled, 2026-01-01 03:00, labelling old"


def test_an_unlabelled_episode_that_broke_is_explained(printed):
    label = TOLD["label"] | {
        "state": "unlabelled", "success": None, "decided_by": None, "infrastructure_error": True
    }  # fmt: skip
    terms = TOLD["terms"] | {"success": None, "total": None, "costs": []}
    bare = {"label": label, "terms": terms, "steps": [], "evidence": [], "history": []}
    lines = printed(explained, TOLD | bare | {"question": ""})
    assert lines[0] == "e" * 32
    assert lines[1] == f"unlabelled {'e' * 32}"
    assert "none of the agent's doing" in lines[2]
    assert not [line for line in lines if line.startswith("before evidence")]
    assert lines[-1] == "total"


def test_numbers_that_are_not_there_are_blank_and_long_sources_are_shortened():
    assert (shown(None, "{:.2f}"), shown(0.0, "{:.2f}"), shown(1234, "{:,}")) == (
        "",
        "0.00",
        "1,234",
    )
    assert shortened("messages") == "messages"
    assert len(shortened("signal " + "d" * 64)) == 24
