"""What is held out is never trained on: a planted leak of each kind stops the build."""

import re

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from schemas.config import BuildConfig
from schemas.dataset import HeldOut, SplitRow
from schemas.episode import Episode, Message
from schemas.errors import LeakError
from schemas.tables import arrow_rows
from tasks.build.grams import Texts, shared_grams
from tasks.build.leakage import check_leaks
from tasks.build.night import night_verdicts
from tasks.build.sides import sides_of
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"
CONFIG = BuildConfig()
LISTING = "tables " + " ".join(f"customers_{i} orders_{i}" for i in range(40))
COLOURS = ("amber", "blue", "coral", "dun", "ebony", "fawn", "gold", "henna", "ivory", "jade")


def prose(seed, words=40):
    """Words that nobody else says in this order."""
    drawn = np.random.default_rng(seed).integers(0, 10, (words, 2)).tolist()
    return " ".join(f"{COLOURS[a]}{COLOURS[b]}" for a, b in drawn)


def episode(name, question=None, answer="", night=NIGHT, body=None, **named):
    said = [
        Message(role="system", content="Answer briefly. " + prose(1000)),
        Message(role="user", content=question or f"what is {name}?"),
        Message(role="tool", content=LISTING),
        Message(role="assistant", content=answer or prose(sum(map(ord, name)))),
    ]
    return Episode(
        episode_id=name, format="f", day=night, night=night, messages=said,
        tools='{"type": "function"}', question=said[1].content, body_digest=body or f"body {name}",
        source="s", source_file="f", source_line=1, raw_digest="r", **named,
    )  # fmt: skip


class Home:
    """A home with episodes that stand on a side, each in a group of its own."""

    def __init__(self, folder):
        self.warehouse = Warehouse(folder)

    def check(self, training, held_out, config=CONFIG, groups=None):
        rows = {e.episode_id: e for e in (*training, *held_out)}
        self.warehouse.append("episodes", arrow_rows("episodes", list(rows.values())))
        number = {name: place for place, name in enumerate(rows)} | (groups or {})

        def side(episodes):
            names = [e.episode_id for e in episodes]
            return pl.DataFrame(
                {"episode_id": names, "group": [number[name] for name in names], "use": "sft"},
                schema={"episode_id": pl.String, "group": pl.Int64, "use": pl.String},
            )

        catalog = self.warehouse.catalog(only=["episodes", "split_keys", "held_out"])
        return check_leaks(catalog, side(training), side(held_out), config)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def test_what_has_nothing_in_common_passes_though_systems_and_listings_are_the_same(home):
    training = [episode(f"t{i}", answer=f"{LISTING} in all. {prose(i)}") for i in range(6)]
    held_out = [episode(f"h{i}", answer=f"{LISTING} in all. {prose(50 + i)}") for i in range(3)]
    found = home.check([*training, training[0]], held_out)
    # An episode of two uses is one.
    assert found == {
        "leaks": 0, "training": 6, "held_out": 3, "earlier_held_out": 0, "rare_grams": 0,
    }  # fmt: skip


@pytest.mark.parametrize("sides", [(0, 0), (2, 0), (0, 2)], ids=str)
def test_a_side_may_be_empty(home, sides):
    training, held_out = sides
    rows = [[episode(f"{side}{i}") for i in range(n)] for side, n in zip("th", sides, strict=True)]
    found = home.check(*rows)
    assert (found["leaks"], found["training"], found["held_out"]) == (0, training, held_out)


LONG = prose(7, 50)
PLANTED = {
    "session": ({"session_id": "s"}, {"session_id": "s"}, "session 's'"),
    "scenario": ({"scenario_id": "c"}, {"scenario_id": "c"}, "scenario 'c'"),
    "question": ({"question": "why 7?"}, {"question": "why 7?"}, "question 'why 7?'"),
    "body": ({"body": "b"}, {"body": "b"}, "body 'b'"),
    "near": ({"question": f"{LONG} 9"}, {"question": f"{LONG} moon 9"}, "near question '"),
    "punctuation": ({"question": "Why 7?"}, {"question": "why (7)"}, "near question 'Why 7?'"),
    # 40 words are 28 runs of 13.
    "text": ({"answer": f"I see: {prose(5)}"}, {"answer": prose(5)}, "text '28 runs of 13 words'"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_leak_of_each_kind_stops_the_build_and_is_named(home, kind):
    leak, twin, told = PLANTED[kind]
    others = [episode(f"t{i}") for i in range(5)]
    counted = "2 training and held-out episodes" if kind == "text" else r"1 training rows .*\(1 by "
    named = f"{counted}.*: leak and twin by {re.escape(told)}"
    with pytest.raises(LeakError, match=named) as raised:
        home.check([*others, episode("leak", **leak)], [episode("twin", **twin), episode("h2")])
    assert "scenario_id" in raised.value.next_step


def test_a_leak_by_id_or_group_stops_the_build(home):
    both = episode("both")
    with pytest.raises(LeakError, match="both and both by episode 'both'"):
        home.check([both], [both, episode("h")])
    with pytest.raises(LeakError, match="leak and twin by group '7'"):
        home.check([episode("leak")], [episode("twin")], groups={"leak": 7, "twin": 7})


def test_a_user_on_both_sides_is_a_leak_only_where_the_split_is_by_user(home):
    sides = [episode("leak", user_id="u")], [episode("twin", user_id="u")]
    assert home.check(*sides)["leaks"] == 0
    with pytest.raises(LeakError, match="leak and twin by user 'u'"):
        home.check(*sides, config=CONFIG.model_copy(update={"split_by_user": True}))


def test_questions_with_other_values_are_none(home):
    asked = [episode(f"t{i}", question=f"{LONG} of customer {i}?") for i in range(4)]
    held = [episode("h", question=f"{LONG} of customer 4711?")]
    # What they share stands in five groups.
    assert home.check(asked, held)["rare_grams"] == 0


def held_before(name, group, words, build="b1"):
    said = [Message(role="user", content="and?"), Message(role="assistant", content=words)]
    return HeldOut(
        build=build, episode_id=name, messages=said, state="success", confidence=1.0, group=group
    )


def test_what_earlier_builds_held_out_is_not_trained_on_nor_copied(home):
    rows = [held_before("before", 99, prose(5)), held_before("other", 98, prose(6), "b2")]
    home.warehouse.append("held_out", arrow_rows("held_out", rows))
    fine = [episode("fine")]
    assert home.check(fine, [])["earlier_held_out"] == 2
    with pytest.raises(LeakError, match="before and before by episode"):
        home.check([*fine, episode("before")], [])
    with pytest.raises(LeakError, match="leak and before by text"):
        home.check([*fine, episode("leak", answer=f"it is {prose(5)}")], [episode("h")])


def test_keys_and_groups_of_earlier_nights_that_are_held_out_or_retired_are_not_trained_on(home):
    catalog = home.warehouse.catalog(only=["split_keys"])
    rows = pl.DataFrame(
        {name: ["s1"] for name in ("episode_id", "session_id", "question", "body_digest")}
        | {"scenario_id": [None], "user_id": [None]}
    )
    every = CONFIG.model_copy(update={"held_out_share": 0.999999})
    home.warehouse.append("split_keys", sides_of(catalog, rows, every, "2026-01-01").new_rows)
    assert home.check([episode("fine", session_id="s2")], [])["leaks"] == 0
    with pytest.raises(LeakError, match="leak and an earlier one by session key"):
        home.check([episode("leak", session_id="s1")], [])
    changed = [
        SplitRow(key=5, kind="session", group=5, side="train", night="2026-01-01"),
        SplitRow(key=5, kind="group", group=4, side="retired", night="2026-01-01"),
    ]
    home.warehouse.append("split_keys", arrow_rows("split_keys", changed))
    with pytest.raises(LeakError, match="leak and an earlier one by group '5'"):
        home.check([episode("leak")], [], groups={"leak": 5})


def texts(*episodes, start):
    """Make a side: each episode is a list of texts, in a group of its own."""
    said = [text for words in episodes for text in words]
    number = [place for place, words in enumerate(episodes) for _ in words]
    return Texts(
        pa.array(said, pa.string()), np.array(number), np.arange(start, start + len(episodes))
    )


def test_a_text_is_a_copy_when_half_of_it_is_rare_and_shared():
    own, copied = prose(1, 60), prose(2, 36)  # 48 and 24 runs of 13

    def copies(training, held_out):
        return shared_grams(texts(training, start=0), texts(held_out, start=9))

    found = copies([own], [copied, own])
    # The training text is a copy whole (48 of 48), and the held-out one by 48 of 72.
    assert (found.copies, found.rare, found.first[0]) == (2, 48, (0, 0, 48))
    # 24 of 72 on the one side, and 24 of 72 on the other: both stay below a half.
    assert copies([own, copied], [prose(3, 60), copied])[:3] == (0, [], 24)
    # 19 words are 7 runs, too few; 20 are 8.
    few = " ".join(own.split()[:19])
    assert copies([few], [few]).copies == 0
    few = " ".join(own.split()[:20])
    assert copies([few], [few]).copies == 2
    # Runs do not reach over two messages, and case and punctuation are none of theirs.
    assert copies(few.split(), [few]).rare == 0
    assert copies([few.upper().replace(" ", ", ")], [few]).rare == 8


def test_runs_that_a_third_group_holds_are_no_evidence():
    said = [prose(4)]
    assert shared_grams(texts(said, start=0), texts(said, start=9)).rare == 28
    assert shared_grams(texts(said, said, start=0), texts(said, start=9)).rare == 0
    assert shared_grams(texts(said, start=0), texts(said, said, start=9)).rare == 0
    # Two trials of one group are one holder.
    trials = texts(said, said, start=0)._replace(group=np.array([3, 3]))
    assert shared_grams(trials, texts(said, start=9)).rare == 28


def test_rare_runs_are_those_that_sets_of_words_give():
    rng = np.random.default_rng(3)
    pool = [prose(seed, 15) for seed in range(12)]
    episodes = [[pool[i] for i in rng.integers(0, 12, 2)] for _ in range(14)]
    training, held_out = episodes[:9], episodes[9:]

    def runs(words):
        found = set()
        for text in words:
            split = text.split()
            found |= {tuple(split[i : i + 13]) for i in range(len(split) - 12)}
        return found

    holders = [runs(words) for words in episodes]
    rare = [
        run
        for run in set().union(*holders)
        if [run in held for held in holders[:9]].count(True) == 1
        and [run in held for held in holders[9:]].count(True) == 1
    ]
    found = shared_grams(texts(*training, start=0), texts(*held_out, start=50))
    assert found.rare == len(rare) > 0


@pytest.mark.parametrize("log", ["tau-bench", "intercode-sql"])
def test_real_logs_have_no_leaks_under_any_salt(log, config, clock, real_logs):
    files = [str(path) for path in sorted((real_logs / log).glob("*turns.json"))]
    ingest(config, files or [str(real_logs / log)], night=NIGHT, clock=clock)
    label(config, night=NIGHT, clock=clock)
    catalog = Warehouse(config.home).catalog(only=["episodes", "labels", "split_keys", "held_out"])
    verdicts = night_verdicts(catalog, NIGHT)
    for salt in "abcd":
        drawn = BuildConfig(held_out_share=0.3, split_salt=salt)
        found = sides_of(catalog, verdicts, drawn, NIGHT)
        rows = verdicts.select("episode_id").with_columns(found.group, found.side)
        sides = [rows.filter(pl.col("side") == side) for side in ("train", "held_out")]
        account = check_leaks(catalog, *sides, drawn)
        assert (account["leaks"], account["training"]) == (0, len(sides[0]))
        assert account["training"] + account["held_out"] == len(verdicts)
