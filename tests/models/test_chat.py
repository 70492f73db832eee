"""The chat template as TRL needs it, and turns read back from raw text."""

import json
from typing import Any

import pytest
from trl.chat_template_utils import (
    is_chat_template_prefix_preserving,
    is_chat_template_stop_token_trained,
    parse_response,
    supports_tool_calling,
)

from models.chat import TEMPLATE, parse_turn, renders, to_chat
from models.tokenizer import render
from schemas.episode import Message, ToolCall


def test_the_template_renders_calls_and_results_as_trl_asks(tokenizer: Any) -> None:
    assert supports_tool_calling(tokenizer)


def test_a_later_message_changes_nothing_before_it(tokenizer: Any) -> None:
    assert is_chat_template_prefix_preserving(tokenizer)


def test_the_end_of_a_turn_is_trained(tokenizer: Any) -> None:
    assert is_chat_template_stop_token_trained(tokenizer)


def test_a_conversation_renders_to_the_text_worked_out_by_hand() -> None:
    messages = [
        Message(role="user", content="how many?"),
        Message(role="assistant", tool_calls=[ToolCall(name="count", arguments='{"of": "tea"}')]),
        Message(role="tool", content="3"),
        Message(role="assistant", content="It is 3."),
    ]
    assert render([to_chat(messages)], TEMPLATE) == [
        (
            "<|user|>how many?<|end|>"
            '<|assistant|><tool_call>{"name": "count", "arguments": {"of": "tea"}}</tool_call>'
            "<|end|>"
            "<|tool|>3<|end|>"
            "<|assistant|>It is 3.<|end|>"
        )
    ]


def test_what_was_thought_is_kept_where_it_was_logged() -> None:
    thought = Message(role="assistant", content="3.", reasoning="I count.")
    silent = Message(role="assistant", content="3.")
    assert to_chat([thought, silent]) == [
        {"role": "assistant", "content": "3.", "reasoning_content": "I count."},
        {"role": "assistant", "content": "3."},
    ]
    assert render([to_chat([thought, silent])], TEMPLATE) == [
        "<|assistant|><think>I count.</think>3.<|end|><|assistant|>3.<|end|>"
    ]


def test_arguments_are_what_was_logged_without_keys_that_others_have() -> None:
    calls = [
        ToolCall(name="count", arguments='{"b": null, "a": {"x": [1.5, "é"]}}'),
        ToolCall(name="count", arguments='{"c": 1}'),
    ]
    (text,) = render([to_chat([Message(role="assistant", tool_calls=calls)])], TEMPLATE)
    assert text == (
        '<|assistant|><tool_call>{"name": "count", "arguments": '
        '{"b": null, "a": {"x": [1.5, "é"]}}}</tool_call>'
        '<tool_call>{"name": "count", "arguments": {"c": 1}}</tool_call><|end|>'
    )


@pytest.mark.parametrize("arguments", ["[1]", "42", "{not json"])
def test_arguments_that_are_no_object_cannot_be_rendered(arguments: str) -> None:
    call = ToolCall(name="count", arguments=arguments)
    with pytest.raises(ValueError):
        to_chat([Message(role="assistant", tool_calls=[call])])


def test_only_messages_whose_calls_are_well_formed_render() -> None:
    good = Message(role="assistant", tool_calls=[ToolCall(name="count", arguments="{}")])
    bad = ToolCall(name="count", arguments="{not json", malformed=True)
    assert renders([good])
    assert not renders([good, Message(role="assistant", tool_calls=[bad])])


def test_plain_text_is_an_answer() -> None:
    turn = parse_turn("It is 3.")
    assert (turn.content, turn.calls, turn.malformed) == ("It is 3.", [], False)


def test_a_call_is_read_with_its_arguments_and_the_text_before_it() -> None:
    turn = parse_turn(
        'Let me see.<tool_call>{"name": "count", "arguments": {"n": 2}}</tool_call>\n'
    )
    assert turn.content == "Let me see."
    assert [(c.name, json.loads(c.arguments)) for c in turn.calls] == [("count", {"n": 2})]
    assert not turn.malformed


def test_a_thought_is_told_from_what_is_said() -> None:
    turn = parse_turn(
        '<think>Look\nfirst.</think>So:<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    )
    assert (turn.reasoning, turn.content, [c.name for c in turn.calls]) == (
        "Look\nfirst.", "So:", ["f"],
    )  # fmt: skip
    assert not turn.malformed
    # A call in a thought was not made; a thought without an end is what was said.
    inner = parse_turn("<think><tool_call>42</tool_call></think>No.")
    assert (inner.content, inner.calls, inner.malformed) == ("No.", [], False)
    assert parse_turn("<think>on and on").content == "<think>on and on"
    assert parse_turn("<think>x</think><tool_call>42</tool_call>").malformed


def test_parallel_calls_keep_their_order() -> None:
    one, two = (
        f'<tool_call>{{"name": "{n}", "arguments": {{}}}}</tool_call>' for n in ("one", "two")
    )
    turn = parse_turn(f"{one}\n{two}")
    assert [c.name for c in turn.calls] == ["one", "two"]


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>42</tool_call>",
        '<tool_call>{"name": "count", "arguments": {}}',
        "</tool_call>",
        "<tool_call>",
        '<tool_call>{"name": "count"}</tool_call>',
        '<tool_call>{"name": 1, "arguments": {}}</tool_call>',
        '<tool_call>{"name": "count", "arguments": [1]}</tool_call>',
        "<tool_call>{'name': 'count'}</tool_call>",
        '<tool_call>{"name": "count", "arguments": {}}</tool_call> and so on',
        '<tool_call>oops <tool_call>{"name": "count", "arguments": {}}</tool_call>',
    ],
)
def test_a_call_that_does_not_parse_makes_the_turn_malformed(text: str) -> None:
    turn = parse_turn(text)
    assert turn.malformed
    assert turn.calls == []


def test_trls_own_parser_reads_the_same_calls(tokenizer: Any) -> None:
    text = '<tool_call>{"name": "count", "arguments": {"thing": "tea"}}</tool_call><|end|>'
    asked = [{"role": "user", "content": "how many tea?"}]
    before = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    ids = tokenizer.encode(text, add_special_tokens=False)
    told = parse_response(tokenizer, ids, prefix=before)
    ours = parse_turn(text.removesuffix("<|end|>"))
    assert [c["function"] for c in told["tool_calls"]] == [
        {"name": c.name, "arguments": json.loads(c.arguments)} for c in ours.calls
    ]


def test_trls_own_parser_reads_the_same_thought(tokenizer: Any) -> None:
    asked = [{"role": "user", "content": "how many tea?"}]
    before = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    text = "<think>It is 3 there.</think>It is 3.<|end|>"
    told = parse_response(
        tokenizer, tokenizer.encode(text, add_special_tokens=False), prefix=before
    )
    ours = parse_turn(text.removesuffix("<|end|>"))
    assert (told["reasoning_content"], told["content"]) == (ours.reasoning, ours.content)
