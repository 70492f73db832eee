"""What an episode is called depends on it alone, not on what is read with it."""

import json

from tasks.ingest.identity import names_of, questions
from tasks.ingest.wire import read_wire


def named(*records: dict) -> list[str]:
    """Read records as one block and give their ids."""
    flat = read_wire([json.dumps(record).encode() for record in records]).flat
    return names_of(flat, "openai_chat").episode_id


PLAIN = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}
CALLING = {
    "messages": [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "reasoning_content": "hm",
            "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ]
}  # fmt: skip


def test_an_id_does_not_depend_on_the_company():
    [plain], [calling] = named(PLAIN), named(CALLING)
    assert named(PLAIN, CALLING, PLAIN) == [plain, calling, plain]


def test_no_text_and_an_empty_one_are_two_things_and_parts_do_not_run_together():
    def said(*contents: str | None) -> dict:
        return {"messages": [{"role": "user", "content": content} for content in contents]}

    ids = named(said("ab", "c"), said("a", "bc"), said("abc"), said(None, "abc"), said("", "abc"))
    assert len(set(ids)) == 5


def test_a_system_message_makes_an_id_wherever_it_stands_and_whatever_came_before():
    def told(*contents: str | None) -> dict:
        system = [{"role": "system", "content": content} for content in contents]
        return {"messages": [*system, *PLAIN["messages"]]}

    records = [told("a"), told("b"), told("a", "b"), told("ab"), told(""), told(None), PLAIN]
    alone = [named(record)[0] for record in records]
    assert len(set(alone)) == len(records)
    assert named(*records, *records) == alone + alone


def test_a_question_is_the_first_user_message_squeezed():
    record = {
        "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": " Ab\n C"}]
    }
    flat = read_wire(
        [
            json.dumps(r).encode()
            for r in (record, PLAIN, {"messages": [{"role": "system", "content": "S"}]})
        ]
    ).flat
    assert questions(flat).to_pylist() == ["ab c", "hi", ""]
