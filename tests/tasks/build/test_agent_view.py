"""What a simulated user does with tools of its own stays in the log and out of what is trained."""

import json

import pytest

from tasks.build.build import build
from tasks.build.remake import remake
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"


def call(name, requestor, number, **arguments):
    return {"id": f"{number}", "name": name, "arguments": arguments, "requestor": requestor}


def result(content, requestor, number, error=False):
    made = {"role": "tool", "id": f"{number}", "content": content}
    return made | {"error": error, "requestor": requestor}


def simulation(name, reward, answer):
    """Make a customer call in which the user toggles twice (it fails) and the agent looks once."""
    toggles = [call("toggle", "user", 1, at="x"), call("toggle", "user", 2, at="x")]
    messages = [
        {"role": "user", "content": "No signal."},
        {"role": "assistant", "content": None, "tool_calls": [call("look", "assistant", 0, n=1)]},
        result("Error: none", "assistant", 0, error=True),
        {"role": "assistant", "content": None, "tool_calls": [call("look", "assistant", 9, n=2)]},
        result("line 2", "assistant", 9),
        {"role": "assistant", "content": "Toggle it."},
        {"role": "user", "content": None, "tool_calls": toggles},
        result("Error: locked", "user", 1, error=True),
        result("Error: locked", "user", 2, error=True),
        {"role": "user", "content": "It is locked.", "tool_calls": [call("check", "user", 3)]},
        result("no bars", "user", 3),
        {"role": "assistant", "content": answer},
    ]
    return {
        "id": name, "task_id": "t1", "trial": 1, "termination_reason": "user_stop",
        "reward_info": {"reward": reward}, "messages": messages,
    }  # fmt: skip


@pytest.fixture
def built(config, clock, tmp_path):
    """Ingest two simulations, one good and one bad, label, and build with nothing held out."""
    world = {"domain_name": "telecom", "policy": "Be kind.", "tool_defs": [{"name": "look"}]}
    document = {
        "info": {"environment_info": world, "agent_info": {"implementation": "a", "llm": "m"}},
        "tasks": [{"id": "t1"}],
        "simulations": [simulation("good", 1.0, "Unlocked."), simulation("bad", 0.0, "Sorry.")],
    }
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    ingest(config, [str(path)], night=NIGHT, clock=clock)
    account = label(config, night=NIGHT, clock=clock)
    part = config.build.model_copy(update={"held_out_share": 0.0})
    build(config.model_copy(update={"build": part}), night=NIGHT, clock=clock)
    return account


def rows(config, table, **where):
    return Warehouse(config.home).read(table, where=where).to_pylist()


def text(messages):
    return [(m["role"], m["content"], [c["name"] for c in m["tool_calls"]]) for m in messages]


PROMPT = [("system", "Be kind.", []), ("user", "No signal.", [])]
SEEN = [
    ("assistant", None, ["look"]),
    ("tool", "Error: none", []),
    ("assistant", None, ["look"]),
    ("tool", "line 2", []),
    ("assistant", "Toggle it.", []),
    ("user", "It is locked.", []),
]


def test_the_log_keeps_all_and_a_trainer_reads_what_the_agent_saw(built, config):
    kept = rows(config, "episodes")
    assert {len(row["messages"]) for row in kept} == {13}
    [sft] = rows(config, "trajectories", use="sft")
    assert text(sft["messages"]) == [*PROMPT, *SEEN, ("assistant", "Unlocked.", [])]
    [scenario] = rows(config, "scenarios")
    assert text(scenario["prompt"]) == PROMPT
    # The agent's own messages alone are trained on.
    assert sft["train_on"] == [m["role"] == "assistant" for m in sft["messages"]]


def test_steps_and_advantages_are_the_agents_own(built, config):
    # Four steps: a failed call costs 0.1, and what the user called in vain nothing.
    for row in rows(config, "labels"):
        assert row["step_rewards"] == pytest.approx([-0.1, 0, 0, 0])
        # One of two calls of the agent failed.
        assert row["risk"] == pytest.approx(0.5)
        assert {piece["kind"] for piece in row["evidence"]} == {"outcome"}
    [sft] = rows(config, "trajectories", use="sft")
    assert len(sft["step_advantages"]) == 4


def test_pairs_are_cut_among_what_the_agent_saw(built, config):
    pairs = {row["kind"]: row for row in rows(config, "pairs")}
    assert text(pairs["episode"]["prompt"]) == PROMPT
    assert text(pairs["episode"]["chosen"]) == [*SEEN, ("assistant", "Unlocked.", [])]
    assert text(pairs["episode"]["rejected"]) == [*SEEN, ("assistant", "Sorry.", [])]
    assert text(pairs["retry"]["prompt"]) == PROMPT
    assert pairs["retry"]["chosen"][0]["tool_calls"][0]["arguments"] == '{"n":2}'
    assert pairs["retry"]["rejected"][0]["tool_calls"][0]["arguments"] == '{"n":1}'


def test_what_is_kept_for_the_record_alone_is_not_trained_on(built, config):
    # The system prompt says where it comes from, in the log alone.
    assert all(row["messages"][0]["extra"] for row in rows(config, "episodes"))
    trained = [m for row in rows(config, "trajectories") for m in row["messages"]]
    trained += [
        m for row in rows(config, "pairs") for side in ("prompt", "chosen") for m in row[side]
    ]
    assert {(m["parts"], m["extra"], m["requestor"]) for m in trained} == {(None, None, None)}


ASK = {"role": "user", "content": "How many?"}
SAID = [ASK, {"role": "assistant", "content": "One."}, {"role": "user", "content": "Sure?"}]


def request(name, messages, answer, *, session="s", **keys):
    message = {"role": "assistant", "content": answer}
    return {
        "workload_id": "w", "client_id": "c", "session_id": session,
        "request": {"model": "m", "messages": messages},
        "response": {"id": name, "choices": [{"index": 0, "message": message}]}, **keys,
    }  # fmt: skip


def good(session):
    return {"episode_id": session, "kind": "outcome", "value": 1}


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_beginning_that_went_on_in_a_night_without_a_build_is_not_replayed(
    config, clock, write, goes_on
):
    part = config.build.model_copy(
        update={"held_out_share": 0.0, "sft_confidence": 0.5, "replay_share": 5}
    )
    settings = config.model_copy(update={"build": part})
    other = {"role": "user", "content": "What colour has the boat of the third harbour?"}
    # Without a time an episode is of the day that it was read on; going on, it has one, of old.
    nights = {
        "2026-01-01": [request("1", [ASK], "One."), good("s")],
        "2026-01-02": [request("2", SAID, "Yes.", timestamp=1715854074)] if goes_on else [],
        "2026-01-03": [request("3", [other], "Red.", session="t"), good("t")],
    }
    for night, lines in nights.items():
        for number, line in enumerate(lines):
            path = write(f"{night}-{number}.jsonl", line)
            ingest(settings, [path], night=night, clock=clock)
        label(settings, night=night, clock=clock)
        # The middle night is not built: its files are none that a later build looks into.
        if night != "2026-01-02":
            account = build(settings, night=night, clock=clock)
    assert account["nights"] == ["2026-01-03", "2026-01-01"]
    assert account["replay"] == (0 if goes_on else 1)
    assert remake(settings, account["digest"])["same"]


def test_a_superseded_beginning_is_not_built_from(config, clock, write):
    part = config.build.model_copy(update={"held_out_share": 0.0, "sft_confidence": 0.5})
    settings = config.model_copy(update={"build": part})
    counts = []
    for lines in ([request("1", [ASK], "One."), good("s")], [request("2", SAID, "Yes.")]):
        for number, line in enumerate(lines):
            path = write(f"{len(counts)}-{number}.jsonl", line)
            ingest(settings, [path], night=NIGHT, clock=clock)
        label(settings, night=NIGHT, clock=clock)
        account = build(settings, night=NIGHT, clock=clock)
        counts.append(account["sft"])
    assert counts == [1, 1]
    texts = {row["messages"][-1]["content"] for row in rows(config, "trajectories", use="sft",
                                                            build=account["digest"])}  # fmt: skip
    assert texts == {"Yes."}
