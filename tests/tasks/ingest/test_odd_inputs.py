"""Odd folders, files and importers cost what is odd in them, and no more."""

import json

from schemas.config import FlywheelConfig, IngestConfig
from schemas.episode import Message
from schemas.label_config import Plugin
from tasks.ingest.commit import commit_once
from tasks.ingest.importer import Draft
from tasks.ingest.ingest import ingest
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"


class Careless:
    """An importer whose answers are not what it was asked for."""

    NAME = "careless"
    ANSWERS = (None, "text", [None], Draft(messages=[{"role": "user"}]), Draft(messages=None))

    def recognises(self, record):
        return "number" in record

    def read(self, record, place):
        good = Draft(messages=[Message(role="user", content="hello")])
        return [*self.ANSWERS, good][record["number"]]


def test_an_importer_that_gives_nonsense_refuses_its_records_and_no_others(tmp_path, clock):
    use = Plugin(use=f"{__name__}:Careless")
    config = FlywheelConfig(home=tmp_path / "home", ingest=IngestConfig(importers=[use]))
    log = tmp_path / "log.jsonl"
    # Five answers that are none, and a good one.
    log.write_text("".join(json.dumps({"number": number}) + "\n" for number in range(6)))
    account = ingest(config, [str(log)], night=NIGHT, clock=clock)
    assert (account["episodes"], account["quarantined"]) == (1, 5)


def test_a_file_may_begin_with_more_bad_records_than_are_looked_at(config, clock, chat):
    lines = ["not json"] * 70 + ['{"a": 1}'] * 70 + [json.dumps(chat("one"))]
    path = config.home.parent / "log.jsonl"
    path.write_text("\n".join(lines) + "\n")
    account = ingest(config, [str(path)], night=NIGHT, clock=clock)
    assert (account["episodes"], account["quarantined"]) == (1, 140)


def test_a_link_to_nothing_is_refused_alone(config, clock, chat, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "good.jsonl").write_text(json.dumps(chat("one")) + "\n")
    (folder / "dangling.jsonl").symlink_to(folder / "nowhere.jsonl")
    account = ingest(config, [str(folder)], night=NIGHT, clock=clock)
    assert account["episodes"] == 1
    [alarm] = account["alarms"]
    assert "dangling.jsonl" in alarm


class Asked(Warehouse):
    """Counts how often it is asked what it carries."""

    asked = 0

    def committed(self, table, transactions):
        self.asked += 1
        return super().committed(table, transactions)


def test_a_batch_of_many_files_asks_once_what_is_committed(config, clock, chat, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(chat("one")) + "\n")
    ingest(config, [str(path)], night=NIGHT, clock=clock)
    warehouse = Asked(config.home)
    rows = warehouse.read("sources")
    commit_once(warehouse, "sources", {f"t{number}": rows for number in range(20)})
    # Before the commit, and after it.
    assert warehouse.asked == 2
    assert len(warehouse.read("sources")) == 21


def test_records_of_another_format_in_a_file_are_read_as_what_they_are(config, clock, chat, write):
    thumb = {"episode_id": "r1", "kind": "thumbs", "value": 1}
    tau = {"task_id": 1, "reward": 1.0, "traj": [{"role": "user", "content": "hi"}]}
    account = ingest(
        config,
        [write("mixed.jsonl", chat("r1"), thumb, chat("r2"), tau, {"a": 1})],
        night=NIGHT,
        clock=clock,
    )
    assert account["formats"] == {"openai_chat": 2, "tau_bench": 1}
    assert (account["signals"], account["quarantined"]) == (1, 1)
    rows = Warehouse(config.home).read("episodes", ["format", "source_line"]).to_pylist()
    assert {(r["source_line"], r["format"]) for r in rows} == {
        (1, "openai_chat"), (3, "openai_chat"), (4, "tau_bench"),
    }  # fmt: skip


def test_in_a_document_a_text_that_is_none_refuses_its_own_part_alone(config, clock, tmp_path):
    def game(number: int, query: str) -> dict:
        history = {"actions": ["select 1"], "observations": ["[(1,)]"], "rewards": [1.0]}
        return {
            "environment": "sql", "task_id": number, "query": query,
            "turn_history": history | {"valid_action": [True]},
            "summary": {"max_reward": 1.0, "turns_taken": 1},
        }  # fmt: skip

    path = tmp_path / "games.json"
    text = json.dumps({"0": game(0, "how many?"), "1": game(1, "LONE"), "2": game(2, "who?")})
    path.write_text(text.replace("LONE", "\\ud800"))
    account = ingest(config, [str(path)], night=NIGHT, clock=clock)
    assert (account["episodes"], account["quarantined"]) == (2, 1)
    [row] = Warehouse(config.home).read("quarantine").to_pylist()
    assert b"ud800" in row["raw"]


def test_two_users_who_say_the_same_are_two_episodes_and_a_log_read_again_is_none(
    config, clock, chat, write
):
    said = {k: v for k, v in chat("x").items() if k != "id"}
    ann, bob = said | {"user_id": "ann", "reward": 1.0}, said | {"user_id": "bob", "reward": 0.0}
    later = ann | {"timestamp": "2026-01-01T10:00:00Z"}
    account = ingest(config, [write("a.jsonl", ann, bob, later)], night=NIGHT, clock=clock)
    assert (account["episodes"], account["success"], account["failure"]) == (3, 2, 1)
    account = ingest(config, [write("b.jsonl", bob, later, ann)], night=NIGHT, clock=clock)
    assert (account["episodes"], account["duplicates"]) == (0, 3)


def test_unknown_keys_of_a_call_are_kept_beside_its_message(config, clock, chat, write):
    record = chat("r1")
    call = record["messages"][2]["tool_calls"][0]
    call["extra_content"] = {"thought": "abc"}
    call["function"]["strict"] = True
    ingest(config, [write("a.jsonl", record)], night=NIGHT, clock=clock)
    [row] = Warehouse(config.home).read("episodes", ["messages"]).to_pylist()
    assert json.loads(row["messages"][2]["extra"]) == {
        "tool_calls": [{"extra_content": {"thought": "abc"}, "function": {"strict": True}}]
    }
