"""All detectors at once: on real logs, and on one episode whatever stands beside it."""

# ruff: noqa: RUF001 - Chinese marks are meant.

import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.config import FlywheelConfig
from schemas.label_config import SignalConfig
from tasks.ingest.ingest import ingest
from tasks.label.block import Block
from tasks.label.detect.detect import shown
from tasks.label.signals import COLUMN
from warehouse.tables import Warehouse

WORDS = [
    None, "", " ", "how many orders were there in may?", "How many orders were there in June?",
    "no, I meant June", "this is useless", "let me talk to a human", "Thank you!", "###STOP###",
    "不对，我要的是去年的数据", "Which day?", "还有什么可以帮您？", "yes",
    "rows of store 5 in may?",
]  # fmt: skip
CALLS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("ab"), "arguments": st.sampled_from(["{}", '{"x":1}'])}
    ),
    max_size=2,
)
MESSAGES = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "system"]), "content": st.sampled_from(WORDS)}
        ),
        st.fixed_dictionaries(
            {
                "role": st.just("assistant"),
                "content": st.sampled_from(WORDS),
                "tool_calls": CALLS,
            }
        ),
        st.fixed_dictionaries({"role": st.just("tool"), "error": st.none() | st.booleans()}),
    ),
    max_size=9,
)


@given(st.lists(MESSAGES, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_an_episode_shows_the_same_whatever_stands_beside_it(blocks, episodes):
    config = SignalConfig(over_asking=1, loop_calls=2)
    together = shown(blocks(*episodes, tools='[{"name":"a"}]'), config)
    for row, messages in enumerate(episodes):
        alone = shown(blocks(messages, tools='[{"name":"a"}]'), config)
        assert {kind: found[row] for kind, found in together.items()} == {
            kind: found[0] for kind, found in alone.items()
        }


def test_every_kind_shown_is_a_kind_of_evidence_and_no_episode_is_no_trouble(blocks):
    found = shown(blocks(), SignalConfig())
    assert set(found) <= set(COLUMN)
    assert len(found) == 11
    assert all(marks.shape == (0,) for marks in found.values())


@pytest.fixture(scope="module")
def counted(real_logs, tmp_path_factory):
    """Count the kinds that the episodes of real logs show."""

    def go(name):
        config = FlywheelConfig(home=tmp_path_factory.mktemp("home"))
        night, clock = "2026-01-02", lambda: datetime(2026, 1, 2, 3, tzinfo=UTC)
        ingest(config, [str(real_logs / name)], night=night, clock=clock)
        table = Warehouse(config.home).sql("SELECT messages, tools FROM episodes")
        columns = [table[column].combine_chunks() for column in ("messages", "tools")]
        found = shown(Block(*columns), SignalConfig())
        return Counter({kind: int(marks.sum()) for kind, marks in found.items()})

    return go


def test_what_tau_bench_shows_was_read_by_a_person(counted, real_logs):
    # Of 48 talks with a simulated user; every one of the words was read. Three users say that the
    # wrong flight is being changed, one that the refund must not go to a gift card; one of them
    # that "we might be going in circles"; eight ask for a person and mean it (a ninth only says
    # that he may call one). 38 end on thanks. Without an answer end the seven that were handed to
    # a person and one that was cut off.
    counts = counted("tau-bench")
    assert {kind: counts[kind] for kind in ("correction_said", "complaint_said")} == {
        "correction_said": 4, "complaint_said": 1,
    }  # fmt: skip
    assert (counts["escalation_said"], counts["thanks_said"], counts["abandoned"]) == (8, 38, 8)
    assert counts["reask"] == 0

    # Loops and repeats, by an independent count over the file as logged.
    [path] = (real_logs / "tau-bench").glob("*.json")
    loops = repeats = 0
    for episode in json.loads(path.read_text()):
        made = Counter()
        for message in episode["traj"]:
            for call in message.get("tool_calls") or []:
                function = call["function"]
                arguments = json.dumps(json.loads(function["arguments"]))
                made[function["name"], arguments] += 1
        loops += max(made.values(), default=0) >= 3
        repeats += max(made.values(), default=0) >= 2
    assert (counts["loop"], counts["repeated_call"]) == (loops, repeats)


def test_intercode_acts_until_it_is_cut_off_and_never_speaks(counted):
    # 625 games that end on the result of an execution: nobody says anything after the question.
    counts = counted("intercode-sql")
    assert counts["abandoned"] == 625
    assert counts["loop"] <= counts["repeated_call"] <= 625
    assert counts["final_error"] > 200
    said = ("correction_said", "complaint_said", "escalation_said", "thanks_said", "reask")
    assert all(counts[kind] == 0 for kind in (*said, "over_asking"))
