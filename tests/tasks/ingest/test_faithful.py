"""Whatever an agent's log says comes out of the tables, and goes into training, as it went in."""

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from models.chat import renders, to_chat
from schemas.config import FlywheelConfig
from schemas.episode import Message
from schemas.label import Label
from schemas.privacy import PrivacyConfig
from schemas.tables import arrow_rows
from tasks.ingest.ingest import ingest
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"
NOW = datetime(2026, 1, 2, 3, tzinfo=UTC)
NUMBERS = itertools.count()
"""Names files and episodes apart over all examples of a run: they share one warehouse."""

PIECES = [
    "\x00",
    "\x1b[31m",
    "\r\n",
    "\n",
    "\u2028",
    "\\",
    '"',
    "\\u0000",
    "é",
    "日本",
    "👩‍💻",
    "\ufeff",
]
NESTED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.sampled_from(PIECES)
    | st.text(max_size=4) | st.sampled_from([0.1, 1e-9, 1e22, -0.5]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
ARGUMENTS = st.dictionaries(st.sampled_from(["q", "n", "", "é", "a\x00b"]), NESTED, max_size=3)
MALFORMED = [
    '{"q": ',
    "[1]",
    "null",
    "",
    "SELECT 1",
    '"{}"',
    '{"q": 1} trailing',
    "{'q': 1}",
    "\x00",
]


class Made(NamedTuple):
    """A message as it is logged, and what must be read of it."""

    logged: dict
    read: dict


def words() -> st.SearchStrategy[str]:
    """Draw texts that read as no error: what one does is drawn on purpose."""
    free = st.text(max_size=12).filter(lambda text: text.lstrip()[:1] not in ("E", "{"))
    return free | st.lists(st.sampled_from(PIECES), max_size=4).map("".join)


@st.composite
def contents(draw, plain):
    """Draw a content with the text it has and the parts it is kept as."""
    kind = draw(st.sampled_from(["null", "text", "text", "text" if plain else "parts"]))
    if kind == "null":
        return None, None, None
    if kind == "text":
        text = draw(words())
        return text, text, None
    key = draw(st.sampled_from(["text", "content"]))
    texts = draw(st.lists(words(), min_size=1, max_size=3))
    parts = [{"type": "text", key: text} for text in texts]
    return parts, "\n".join(texts), parts


def expected(role: str, text: str | None, parts: list | None, **fields) -> dict:
    """Say what must be read of a message: all fields of the one shape."""
    blank = {"reasoning": None, "tool_calls": [], "tool_call_id": None, "name": None}
    blank |= {"error": None, "requestor": None, "extra": None}
    return blank | {"role": role, "content": text, "parts": parts} | fields


@st.composite
def spoken(draw, role, plain):
    """Draw a message of system or user."""
    content, text, parts = draw(contents(plain))
    said = None if plain else draw(st.none() | words())
    note = {} if said is None else {"x_note": [said]}
    return Made(
        {"role": role, "content": content, **note}, expected(role, text, parts, extra=note or None)
    )


@st.composite
def calls(draw, plain):
    """Draw the parallel calls of one turn as they are logged and as they must be read."""
    made = []
    ids = draw(st.sampled_from([["a", "b", "c"], ["call_1", "call_1", "call_2"], [None, "a", "a"]]))
    for call_id in ids[: draw(st.integers(0, 3))]:
        name = draw(st.sampled_from(["run_sql", "search", "größe"]))
        kind = draw(st.sampled_from(["text", "text", "malformed", "text" if plain else "object"]))
        given = draw(ARGUMENTS)
        text = json.dumps(
            given, ensure_ascii=draw(st.booleans()), indent=draw(st.none() | st.just(1))
        )
        if kind == "malformed":
            text = draw(st.sampled_from(MALFORMED))
        function = {"name": name, "arguments": given if kind == "object" else text}
        read = {"id": call_id, "name": name, "malformed": kind == "malformed"}
        # Of an object only what it says is kept; of a text every character.
        read["arguments"] = given if kind == "object" else text
        made.append(Made({"id": call_id, "type": "function", "function": function}, read))
    return made


@st.composite
def turns(draw, plain):
    """Draw one action of the agent with the results of its calls."""
    made = draw(calls(plain))
    content, text, parts = draw(contents(plain))
    thought = draw(st.none() | words().filter(bool))
    logged = {"role": "assistant", "content": content, "tool_calls": [c.logged for c in made]}
    if not made and draw(st.booleans()):
        logged["tool_calls"] = None
    if thought is not None:
        logged["reasoning_content"] = thought
    read = expected("assistant", text, parts, reasoning=thought, tool_calls=[c.read for c in made])
    order = list(range(len(made)))
    ids = [c.read["id"] for c in made]
    # Results come in another order only where their ids tell them apart.
    if None not in ids and len(set(ids)) == len(ids):
        order = draw(st.permutations(order))
    return [Made(logged, read), *[draw(results(made[n].read, plain)) for n in order]]


@st.composite
def results(draw, call, plain):
    """Draw the result of a call."""
    content, text, parts = draw(contents(plain))
    failed = draw(st.sampled_from([None, None, "Error: no such table", '{"error": "locked"}']))
    flagged = not plain and draw(st.booleans())
    if failed is not None:
        content, text, parts = failed, failed, None
    logged = {"role": "tool", "content": content}
    if call["id"] is not None:
        keys = ["tool_call_id", "tool_call_id", "call_id", "id"]
        logged[keys[0] if plain else draw(st.sampled_from(keys))] = call["id"]
    if flagged:
        logged["is_error"] = True
    return Made(logged, expected(
        "tool", text, parts, name=call["name"], tool_call_id=call["id"],
        error=flagged or failed is not None,
    ))  # fmt: skip


@st.composite
def episodes(draw):
    """Draw the messages of an episode in an order that is legal.

    Half of the episodes are plain: as OpenAI writes them, with none of what other loggers do.
    """
    plain = draw(st.booleans())
    made = [draw(spoken("system", plain))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 2))):
        made.append(draw(spoken("user", plain)))
        for turn in draw(st.lists(turns(plain), max_size=2)):
            made.extend(turn)
    return made


LOGS = st.lists(episodes(), min_size=4, max_size=16)
# An example costs a second: to shrink a failing one would take the time of all other tests.
FEW = settings(
    max_examples=6, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def account_of(home: Path, records: list[dict], ascii_only: bool) -> dict:
    """Ingest records as JSON lines."""
    path = home.parent / f"{next(NUMBERS)}.jsonl"
    lines = [json.dumps(record, ensure_ascii=ascii_only) for record in records]
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    # A text that happens to look like a telephone number is still what was said.
    config = FlywheelConfig(home=home, privacy=PrivacyConfig(redact=False))
    return ingest(config, [str(path)], night=NIGHT, clock=lambda: NOW)


def taken(home: Path, log: list[list[Made]], ascii_only: bool) -> list[dict]:
    """Ingest a log of these episodes and read them back, in their order."""
    records = [{"id": f"e{next(NUMBERS)}", "messages": [m.logged for m in one]} for one in log]
    account = account_of(home, records, ascii_only)
    assert (account["episodes"], account["quarantined"]) == (len(log), 0)
    # What a record says beside its messages changes nothing about them.
    account = account_of(home, [r | {"choices": [], "x": 1} for r in records], not ascii_only)
    assert (account["episodes"], account["duplicates"]) == (0, len(log))
    rows = Warehouse(home).read("episodes", ["episode_id", "logged_id", "messages"]).to_pylist()
    by_name = {row["logged_id"]: row for row in rows}
    return [by_name[record["id"]] for record in records]


def comparable(read: dict, want: dict) -> dict:
    """Decode what is JSON text only by its meaning: parts, unknown keys, arguments of objects."""
    calls = [
        call | {"arguments": json.loads(call["arguments"])}
        if isinstance(asked["arguments"], dict)
        else call
        for call, asked in zip(read["tool_calls"], want["tool_calls"], strict=True)
    ]
    decoded = {k: read[k] and json.loads(read[k]) for k in ("parts", "extra")}
    return read | decoded | {"tool_calls": calls}


def trained_on(home: Path, rows: list[dict]) -> dict[str, list[Message]]:
    """Label episodes as successes, choose them all, and give what a trainer reads of each."""
    warehouse, name = Warehouse(home), f"build-{next(NUMBERS)}"
    ids = [row["episode_id"] for row in rows]
    labels = [
        Label(
            episode_id=one, night=NIGHT, label_version="v", labelled_at=NOW, state="success",
            total=1.0,
            confidence=1.0,
        )
        for one in ids
    ]  # fmt: skip
    warehouse.append("labels", arrow_rows("labels", labels), transaction=f"label-{name}")
    places = list(range(len(ids)))
    chosen = {"use": ["sft"] * len(ids), "episode_id": ids, "build": [name] * len(ids)}
    relation = pa.table(chosen | {"rank": places, "group": places}).append_column(
        "good_steps", pa.nulls(len(ids), pa.list_(pa.bool_()))
    )
    nights = pa.table({"night": [NIGHT]})
    made = warehouse.sql(
        "trajectory_payload", relations={"chosen": relation, "nights": nights}, baseline=0.0
    )
    warehouse.append("trajectories", made, transaction=name)
    read = warehouse.read("trajectories", ["episode_id", "messages"], where={"build": name})
    return {
        row["episode_id"]: msgspec.convert(row["messages"], list[Message])
        for row in read.to_pylist()
    }


def chat_of(messages: list[Made]) -> list[dict]:
    """Say what a chat template must be given: arguments as the objects that they mean."""
    chat = []
    for message in messages:
        turn = {"role": message.read["role"], "content": message.read["content"] or ""}
        if message.read["reasoning"]:
            turn["reasoning_content"] = message.read["reasoning"]
        calls = [
            {"name": c["name"], "arguments": as_object(c["arguments"])}
            for c in message.read["tool_calls"]
        ]
        made = [{"type": "function", "function": call} for call in calls]
        chat.append(turn | ({"tool_calls": made} if made else {}))
    return chat


def as_object(arguments: dict | str) -> dict:
    return json.loads(arguments) if isinstance(arguments, str) else arguments


@FEW
@given(log=LOGS, ascii_only=st.booleans())
def test_what_an_episode_says_is_read_back_and_trained_on_as_it_was_logged(home, log, ascii_only):
    rows = taken(home, log, ascii_only)
    trained = trained_on(home, rows)
    for messages, row in zip(log, rows, strict=True):
        assert len(row["messages"]) == len(messages)
        for message, made in zip(row["messages"], messages, strict=True):
            assert comparable(message, made.read) == made.read
        read = trained[row["episode_id"]]
        # A trainer has no use for how a content was logged, nor for unknown keys.
        assert msgspec.to_builtins(read) == [
            message | {"parts": None, "extra": None} for message in row["messages"]
        ]
        # What was no object can be rendered to nothing that the tool was given: it is left out.
        sound = not any(c["malformed"] for m in messages for c in m.read["tool_calls"])
        assert renders(read) == sound
        if sound:
            assert to_chat(read) == chat_of(messages)
