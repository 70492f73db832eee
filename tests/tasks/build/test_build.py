"""A build over a real warehouse: rows, manifest, splits, nights, and real logs."""

import json

import pyarrow.parquet as pq
import pytest

from schemas.errors import MissingStateError
from tasks.build.build import build
from tasks.build.remake import remake
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"
GOOD, BAD = ("select 1", "1"), ("select x", "Error: no x")


@pytest.fixture
def night(config, clock):
    """Ingest paths under a night, label and build it with nothing held out, or a share."""

    def go(*paths, name=NIGHT, share=0.0):
        ingest(config, list(paths), night=name, clock=clock)
        label(config, night=name, clock=clock)
        part = config.build.model_copy(update={"held_out_share": share})
        return build(config.model_copy(update={"build": part}), night=name, clock=clock)

    return go


def rows(config, table, **where):
    return Warehouse(config.home).read(table, where=where).to_pylist()


def test_without_labels_or_without_the_night_there_is_nothing_to_build(
    config, clock, chat, write, night
):
    with pytest.raises(MissingStateError, match="no labels"):
        build(config, night=NIGHT, clock=clock)
    night(write("a.jsonl", chat("r", reward=1.0)))
    with pytest.raises(MissingStateError, match=f"no labelled episodes.*any: {NIGHT}"):
        build(config, night="2026-01-09", clock=clock)


def test_trajectories_hold_whole_messages_and_steps(config, chat, write, night):
    won, lost = (chat(n, scenario_id="s", reward=r, answer=n) for n, r in (("w", 1.0), ("l", 0.0)))
    account = night(write("a.jsonl", won, lost))
    assert {k: account[k] for k in ("sft", "kto", "scenarios", "trajectories")} == {
        "sft": 1, "kto": 2, "scenarios": 1, "trajectories": 3,
    }  # fmt: skip
    [sft] = rows(config, "trajectories", use="sft")
    assert [m["role"] for m in sft["messages"]][:2] == ["system", "user"]
    assert sft["messages"][2]["tool_calls"][0]["arguments"] == '{"query": "select 1"}'
    assert len(sft["step_advantages"]) == 2
    assert sft["desirable"] is True
    assert sft["train_on"] == [False, False, True, False, True]
    [played] = rows(config, "scenarios")
    assert [m["role"] for m in played["prompt"]] == ["system", "user"]
    assert (played["pass_rate"], len(played["logged"])) == (0.5, 2)


def test_a_pair_is_a_prompt_with_two_ends(config, chat, write, night):
    account = night(
        write(
            "a.jsonl",
            chat("won", scenario_id="s", reward=1.0, answer="right"),
            chat("lost", scenario_id="s", reward=0.0, answer="wrong"),
        )
    )
    assert (account["pairs"], account["candidate_pairs"]) == (1, 1)
    assert account["pairs_by_kind"] == {"episode": 1}
    [pair] = rows(config, "pairs")
    assert [m["role"] for m in pair["prompt"]] == ["system", "user"]
    assert pair["chosen"][-1]["content"] == "right"
    assert pair["rejected"][-1]["content"] == "wrong"
    assert pair["margin"] > 0


def test_a_retry_pair_prefers_the_call_that_worked_at_the_same_prefix(config, chat, write, night):
    account = night(write("a.jsonl", chat("r", calls=(GOOD, BAD, ("select y", "2")), reward=1.0)))
    assert account["pairs_by_kind"] == {"retry": 1}
    [pair] = rows(config, "pairs")
    # system, user, the first call and its result.
    assert len(pair["prompt"]) == 4
    [chosen], [rejected] = pair["chosen"], pair["rejected"]
    assert "select y" in chosen["tool_calls"][0]["arguments"]
    assert "select x" in rejected["tool_calls"][0]["arguments"]


def test_a_failed_call_without_an_immediate_repair_is_no_retry(config, chat, write, night):
    account = night(write("a.jsonl", chat("r", calls=(BAD, BAD, GOOD), reward=1.0)))
    # Of the two failures only the second is followed at once by a call that worked.
    assert account["pairs_by_kind"] == {"retry": 1}
    assert len(rows(config, "pairs")[0]["prompt"]) == 4


def test_the_same_inputs_build_nothing_twice(config, chat, write, night):
    path = write("a.jsonl", chat("r", reward=1.0))
    first = night(path)
    again = night(path)
    assert again == json.loads(json.dumps(first))
    assert Warehouse(config.home).version("trajectories") == first["version"]
    # A lost manifest is written again; the rows are not.
    (config.home / "builds" / f"{first['digest']}.json").unlink()
    known = {"inputs"}  # the keys of the split are there by now
    again = night(path)
    assert {k: v for k, v in again.items() if k not in known} == {
        k: v for k, v in first.items() if k not in known
    }
    assert Warehouse(config.home).version("trajectories") == first["version"]


def test_a_build_is_made_again_byte_for_byte_after_later_nights(config, chat, write, night):
    many = [
        chat(
            f"{kind}{i}",
            question=f"q {i}",
            scenario_id=f"s{i}",
            reward=reward,
            answer=f"{kind} {i}",
        )
        for i in range(12)
        for kind, reward in (("won", 1.0), ("lost", 0.0))
    ]
    night(write("a.jsonl", *many), name="2026-01-01", share=0.2)
    later = [{**record, "id": f"n{record['id']}", "session_id": "x"} for record in many[:6]]
    made = night(write("b.jsonl", *later), share=0.2)
    night(write("c.jsonl", chat("last", question="last", reward=1.0)), name="2026-01-03")
    event = {"episode_id": "won1", "kind": "complaint"}
    night(write("f.jsonl", event), name="2026-01-03")
    again = remake(config, made["digest"])
    assert again["same"], again
    assert {table: part["rows"] for table, part in again["tables"].items()} == {
        table: part["rows"] for table, part in made["rows"].items()
    }
    with pytest.raises(MissingStateError, match="no build 'nope'"):
        remake(config, "nope")


def test_another_configuration_or_a_new_label_is_another_build(chat, write, night):
    first = night(write("a.jsonl", chat("r", reward=1.0)))
    other = night(write("a.jsonl", chat("r", reward=1.0)), share=0.01)
    event = {"episode_id": "r", "kind": "complaint"}
    later = night(write("f.jsonl", event))
    assert len({first["digest"], other["digest"], later["digest"]}) == 3


def test_a_nights_rows_are_its_own_plus_a_share_of_replay(config, chat, write, night):
    old = [chat(f"o{i}", question=f"old {i}", reward=1.0) for i in range(10)]
    new = [chat(f"n{i}", question=f"new {i}", reward=1.0) for i in range(4)]
    night(write("a.jsonl", *old), name="2026-01-01")
    account = night(write("b.jsonl", *new), name="2026-01-02")
    # Half of four own successes are replayed; kto rows are the night's own alone.
    assert (account["sft"], account["replay"], account["kto"]) == (6, 2, 4)


def test_the_files_of_a_build_hold_its_rows_alone(config, chat, write, night):
    night(write("a.jsonl", chat("o", question="old", reward=1.0)), name="2026-01-01")
    account = night(write("b.jsonl", chat("n", question="new", reward=1.0)))
    part = {"build": account["digest"], "use": "kto"}
    [file] = Warehouse(config.home).files("trajectories", account["version"], part)
    table = pq.ParquetFile(file).read()
    assert table["messages"][0].as_py()[1]["content"] == "new"
    assert table.num_rows == 1


def test_held_out_episodes_are_counted_and_never_written(config, chat, write, night):
    many = [
        chat(f"{kind}{i}", question=f"q {i}", scenario_id=f"s{i}", reward=reward, answer=kind)
        for i in range(40)
        for kind, reward in (("won", 1.0), ("lost", 0.0))
    ]
    account = night(write("a.jsonl", *many), share=0.5)
    held = account["evaluation"]
    assert 0 < held < 80
    # Both episodes of a scenario are held out together, and with them its one pair.
    assert account["guards"]["held_out"] == held / 2
    assert account["pairs"] == account["sft"] == account["scenarios"] == 40 - held / 2
    assert account["leaks"] == 0
    train = {row["scenario_id"] for row in rows(config, "trajectories")}
    train |= {row["scenario_id"] for row in rows(config, "pairs")}
    assert len(train) == 40 - held / 2


def test_real_logs_give_their_26_candidate_pairs_and_every_one_is_accounted_for(real_logs, night):
    account = night(str(real_logs / "tau-bench"))
    assert account["candidate_pairs"] == 26
    episode_pairs = account["pairs_by_kind"].get("episode", 0)
    kinds = ("decision_", "correction_", "retry_")
    guards = {k: n for k, n in account["guards"].items() if not k.startswith(kinds)}
    assert sum(guards.values()) + episode_pairs == 26
    # 18 successes of 12 tasks, at most two of one task.
    assert 0 < account["sft"] <= 18
    assert account["kto"] <= 48


def test_an_episode_that_a_later_night_goes_on_from_is_not_built_again(config, clock, write):
    said = [{"role": "user", "content": "how many?"}]

    def call(number, messages, answer, **keys):
        response = {"index": 0, "message": {"role": "assistant", "content": answer}}
        return {
            "timestamp": 1767312000 + 90_000 * number, "workload_id": "w", "client_id": "c",
            "session_id": "s", "request": {"model": "m", "messages": messages},
            "response": {"id": f"call-{number}", "choices": [response]}, **keys,
        }  # fmt: skip

    def made(night):
        label(config, night=night, clock=clock)
        part = config.build.model_copy(update={"held_out_share": 0.0})
        return build(config.model_copy(update={"build": part}), night=night, clock=clock)

    praise = {"episode_id": "call-0", "kind": "thumbs", "value": 1, "timestamp": 1767312100}
    ingest(config, [write("a.jsonl", call(0, said, "one"))], night="2026-01-02", clock=clock)
    ingest(config, [write("f.jsonl", praise)], night="2026-01-02", clock=clock)
    assert made("2026-01-02")["sft"] == 1
    # A day later the session goes on: the first part is nobody's episode any more.
    said += [{"role": "assistant", "content": "one"}, {"role": "user", "content": "sure?"}]
    ingest(config, [write("b.jsonl", call(1, said, "yes"))], night="2026-01-03", clock=clock)
    assert made("2026-01-03")["sft"] == 1
    with pytest.raises(MissingStateError, match="no labelled episodes of night 2026-01-02"):
        made("2026-01-02")
