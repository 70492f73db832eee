"""Exports of whole builds: round trips in every format, accounts, refusals, and real logs."""

import hashlib
import json
from collections import Counter
from itertools import takewhile

import pytest

from schemas.errors import ConfigurationError, InputError, MissingStateError
from tasks.build.build import build
from tasks.export.examples import examples, split
from tasks.export.export import FORMATS, export, read_back, source, stored_rows
from tasks.export.openai import to_the_end
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

EVERYTHING = [(name, use) for name, chosen in FORMATS.items() for use in chosen.uses]
NIGHT = "2026-01-02"


def said(example):
    """Give what any format must keep of an example."""
    return example.prompt, example.completion, example.rejected, example.tools


def rows_of(home, table, digest, use):
    return list(stored_rows(Warehouse(home), table, digest, use, 0))


def by_scenario(some):
    """Give examples scenario by scenario, in the order in which each first comes up."""
    order = list(dict.fromkeys(each.facts["scenario_id"] for each in some))
    return sorted(some, key=lambda each: order.index(each.facts["scenario_id"]))


def everything(make):
    """Make rows of each kind and use: two of each that all formats can say."""
    one = [make.say("assistant", "It is 3.")]
    other = [make.say("assistant", None, make.call("mail", '{"to": []}'))]
    mask = [False] * 5 + [True, False, True]
    return [
        make.trajectory("b", rank=1, train_on=mask, tools=None, scenario_id="t"),
        make.trajectory("a", rank=0),
        make.trajectory("k", use="kto", desirable=False, total=-1.5, rank=1),
        make.trajectory("l", use="kto", rank=0),
        make.pair("q", one, other, rank=1, tools=None),
        make.pair("p", other, one, rank=0),
        make.scenario("v", rank=1, tools=None, logged=[]),
        make.scenario("u", rank=0),
    ]


@pytest.mark.parametrize(("name", "use"), EVERYTHING)
def test_what_is_read_back_is_what_was_built(store, make, tmp_path, name, use):
    home = store(*everything(make))
    account = export(home, name, tmp_path / "out", use=use)
    [file] = account["files"]
    assert account["left_out"] == {}
    table = {"dpo": "pairs", "rl": "scenarios"}.get(use, "trajectories")
    want = list(examples(use, rows_of(home, table, make.build, use), Counter()))
    back = list(read_back(name, use, tmp_path / "out" / file["path"]))
    assert [said(example) for example in back] == [said(example) for example in want]
    assert len(want) == 2
    if use == "kto":
        assert [example.desirable for example in back] == [True, False]
    if use == "sft":
        # The mask of the second row leaves the agent's first turn out.
        assert [t.taught for t in back[1].turns if t.role == "assistant"] == [False, True, True]


def test_an_account_names_the_file_its_rows_and_its_digest(store, make, tmp_path):
    broken = [*make.prompt, make.say("assistant", None, make.call("f", "oops"))]
    home = store(make.trajectory("a"), make.trajectory("b", broken))
    out = tmp_path / "new" / "out"
    account = export(home, "trl", out)
    content = (out / "sft.jsonl").read_bytes()
    assert account == {
        "format": "trl", "use": "sft", "build": make.build,
        "files": [
            {
                "path": str(out / "sft.jsonl"), "rows": 1,
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        ],
        "left_out": {"malformed arguments": 1},
    }  # fmt: skip
    assert content.count(b"\n") == 1
    assert (
        export(home, "trl", tmp_path / "again")["files"][0]["sha256"]
        == (account["files"][0]["sha256"])
    )


def test_a_folder_with_something_in_it_is_refused_and_an_empty_one_is_filled(store, make, tmp_path):
    home = store(make.trajectory("a"))
    (tmp_path / "out").mkdir()
    export(home, "trl", tmp_path / "out")
    with pytest.raises(InputError, match="not empty"):
        export(home, "openai", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sft.jsonl"]


def test_an_export_that_fails_leaves_nothing(store, make, tmp_path, monkeypatch):
    home = store(make.trajectory("a"), make.trajectory("b", rank=1))
    with pytest.raises(MissingStateError, match="no rows for dpo"):
        export(home, "trl", tmp_path / "out", use="dpo")

    def breaking(use, given, left_out):
        """Write one row, then run into a full disk."""
        yield {"episode": next(iter(given)).facts["episode_id"]}
        raise OSError("no space left")

    monkeypatch.setitem(FORMATS, "trl", FORMATS["trl"]._replace(rows=breaking))
    with pytest.raises(OSError, match="no space left"):
        export(home, "trl", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_the_newest_build_is_taken_unless_another_is_named(store, make, tmp_path):
    home = store(make.trajectory("a"))
    store(make.trajectory("z", build="c" * 16), digest="c" * 16, built_at="2026-01-09")
    assert export(home, "trl", tmp_path / "1")["build"] == "c" * 16
    assert export(home, "trl", tmp_path / "2", build=make.build)["build"] == make.build
    with pytest.raises(MissingStateError, match=r"no build nope.*cccc"):
        export(home, "trl", tmp_path / "3", build="nope")
    with pytest.raises(MissingStateError, match="no builds"):
        export(tmp_path / "nowhere", "trl", tmp_path / "3")


def test_unknown_formats_and_uses_are_refused_with_what_there_is(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no format 'csv'.*trl, openai, art"):
        export(tmp_path, "csv", tmp_path / "out")
    with pytest.raises(ConfigurationError, match=r"openai has no use 'rl'.*sft, dpo"):
        export(tmp_path, "openai", tmp_path / "out", use="rl")


def test_prompts_of_a_build_without_scenarios_come_from_its_trajectories(store, make, tmp_path):
    home = store(make.trajectory("a", make.prompt, use="rl"))
    export(home, "verl", tmp_path / "out", use="rl")
    [row] = read_back("verl", "rl", tmp_path / "out" / "rl.parquet")
    assert [turn.role for turn in row.prompt] == ["system", "user"]
    assert row.facts == {"scenario_id": "s"}


@pytest.mark.parametrize("name", FORMATS)
def test_a_build_of_logs_is_exported(config, clock, chat, write, tmp_path, name):
    path = write(
        "a.jsonl",
        chat("won", scenario_id="s", reward=1.0, answer="right"),
        chat("lost", scenario_id="s", reward=0.0, answer="wrong"),
    )
    ingest(config, [path], night=NIGHT, clock=clock)
    label(config, night=NIGHT, clock=clock)
    part = config.build.model_copy(update={"held_out_share": 0.0})
    build(config.model_copy(update={"build": part}), night=NIGHT, clock=clock)
    warehouse = Warehouse(config.home)
    for use in FORMATS[name].uses:
        account = export(config.home, name, tmp_path / use, use=use)
        [file] = account["files"]
        _, stored = source(warehouse, account["build"], use)
        assert file["rows"] + sum(account["left_out"].values()) >= (1 if name == "art" else stored)
        # A pair whose sides are a call, its result and an answer is none for OpenAI.
        allowed = {"a side of several messages"} if (name, use) == ("openai", "dpo") else set()
        assert set(account["left_out"]) <= allowed
        for example in read_back(name, use, tmp_path / file["path"]):
            assert [turn.role for turn in example.prompt[:2]] == ["system", "user"]
            assert all(c.arguments == {"query": "select 1"} for t in example.turns for c in t.calls)


@pytest.fixture
def logged(real_logs, config, clock):
    """All conversations of the real airline logs."""
    ingest(config, [str(real_logs / "tau-bench")], night=NIGHT, clock=clock)
    query = "SELECT scenario_id, messages, tools FROM episodes ORDER BY episode_id"
    return Warehouse(config.home).sql(query).to_pylist()


def records_of(logged, make):
    """Make rows of every kind of logged conversations; each is paired with the one before."""
    for number, row in enumerate(logged):
        about = {"tools": row["tools"], "rank": number}
        whole, other = row["messages"], logged[number - 1]["messages"]
        opening = len(list(takewhile(lambda message: message["role"] != "assistant", whole)))
        for use in ("sft", "kto"):
            yield make.trajectory(
                f"e{number}", whole, use=use, scenario_id=row["scenario_id"], **about
            )
        yield make.pair(
            f"p{number}", whole[opening:], other[opening:], prompt=whole[:opening], **about
        )
        yield make.scenario(f"s{number}", prompt=whole[:opening], **about)


def content(turns):
    """Give what was said and called, as the log has it."""
    return [(t.role, t.content, [(c.name, c.arguments) for c in t.calls]) for t in turns]


def logged_content(messages):
    return [
        (
            message["role"],
            message["content"] or "",
            [(call["name"], json.loads(call["arguments"])) for call in message["tool_calls"]],
        )
        for message in messages
    ]


def test_nothing_of_real_conversations_is_lost_in_any_format(logged, store, make, tmp_path):
    home = store(*records_of(logged, make))
    assert len(logged) == 48
    for name, use in EVERYTHING:
        account = export(home, name, tmp_path / name / use, use=use)
        back = list(read_back(name, use, tmp_path / account["files"][0]["path"]))
        if (name, use) == ("openai", "dpo"):
            assert account["left_out"] == {"a side of several messages": 48}
            continue
        assert account["left_out"] == {}
        table = {"dpo": "pairs", "rl": "scenarios"}.get(use, "trajectories")
        want = list(examples(use, rows_of(home, table, make.build, use), Counter()))
        if name == "art":
            want = by_scenario(want)
        if name == "openai":
            want = [split(to_the_end(each.turns), tools=each.tools) for each in want]
        assert [said(each) for each in back] == [said(each) for each in want], (name, use)
        if use in ("sft", "kto") and name not in ("art", "openai"):
            assert [content(each.turns) for each in back] == [
                logged_content(row["messages"]) for row in logged
            ]
