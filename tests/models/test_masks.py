"""The agent mask: every token the agent said, its end tokens too, and none of anybody else's."""

import copy
import re
from typing import Any

import pytest

from models.chat import TEMPLATE
from models.masks import Conversation, Masked, tokenise, tokenise_all

CHATML = """
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content }}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
"""A template as hub models have it, which does not mark what the agent says."""


def said(masked: Any, tokenizer: Any, bit: int) -> str:
    kept = [i for i, m in zip(masked.input_ids, masked.agent_mask, strict=True) if m == bit]
    return str(tokenizer.decode(kept))


def test_the_mask_holds_the_agents_words_and_end_tokens_alone(
    tokenizer: Any, chats: dict[str, Any]
) -> None:
    (masked,) = tokenise([chats["tea"]], tokenizer)
    assert said(masked, tokenizer, 1) == (
        '<tool_call>{"name": "count", "arguments": {"thing": "tea"}}</tool_call><|end|>'
        "It is 3.<|end|>"
    )
    assert said(masked, tokenizer, 0) == (
        "<|user|>how many tea?<|end|><|assistant|><|tool|>3<|end|><|assistant|>"
    )


def test_system_user_and_tool_never_count(tokenizer: Any) -> None:
    chat = [
        {"role": "system", "content": "Be short. It is 3."},
        {"role": "user", "content": "It is 3."},
        {"role": "tool", "content": "It is 3."},
    ]
    (masked,) = tokenise([chat], tokenizer)
    assert sum(masked.agent_mask) == 0


def test_a_mask_is_as_long_as_its_conversation(tokenizer: Any, chats: dict[str, Any]) -> None:
    for masked in tokenise(list(chats.values()), tokenizer):
        assert len(masked.agent_mask) == len(masked.input_ids)
        assert set(masked.agent_mask) == {0, 1}


def test_nothing_to_tokenise_is_nothing(tokenizer: Any) -> None:
    assert tokenise([], tokenizer) == []


@pytest.fixture
def other(tokenizer: Any) -> Any:
    """Make a copy of the tokenizer under a template of ChatML, whose turns end otherwise."""
    made = copy.deepcopy(tokenizer)
    made.add_special_tokens(
        {"additional_special_tokens": ["<|im_start|>"], "eos_token": "<|im_end|>"}
    )
    made.chat_template = CHATML
    return made


def test_only_the_messages_named_are_trained_on(tokenizer: Any, chats: dict[str, Any]) -> None:
    call = '<tool_call>{"name": "count", "arguments": {"thing": "tea"}}</tool_call><|end|>'
    for named, text in (
        ([], f"{call}It is 3.<|end|>"),
        ([True, True, True, False], call),
        ([False, False, False, True], "It is 3.<|end|>"),
        ([True, False, True, False], ""),
    ):
        (masked,) = tokenise_all([Conversation(chats["tea"], train_on=named)], tokenizer)
        assert said(masked, tokenizer, 1) == text
        # What is not trained on is still what the agent is told.
        assert masked.input_ids == tokenise([chats["tea"]], tokenizer)[0].input_ids


def test_naming_other_than_all_messages_is_an_error(tokenizer: Any, chats: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="2 messages of 4"):
        tokenise_all([Conversation(chats["tea"], train_on=[True, True])], tokenizer)


def test_a_template_without_marks_gives_the_same_mask(
    tokenizer: Any, chats: dict[str, Any]
) -> None:
    marked = tokenise(list(chats.values()), tokenizer)
    plain = copy.deepcopy(tokenizer)
    plain.chat_template = re.sub(r"\{%- (end)?generation -%\}", "", TEMPLATE)
    assert tokenise(list(chats.values()), plain) == marked


def test_what_a_template_writes_after_the_end_token_is_not_the_agents(other: Any) -> None:
    chat = [
        {"role": "user", "content": "so?"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "no?"},
        {"role": "assistant", "content": "no"},
    ]
    (masked,) = tokenise([chat], other)
    assert said(masked, other, 1) == "yes<|im_end|>no<|im_end|>"
    assert said(masked, other, 0) == (
        "<|im_start|>user\nso?<|im_end|>\n<|im_start|>assistant\n\n"
        "<|im_start|>user\nno?<|im_end|>\n<|im_start|>assistant\n\n"
    )


def test_no_token_crosses_into_what_the_agent_said(other: Any) -> None:
    # The head of an answer ends in a new line and this answer begins with two: one run of spaces.
    chat = [{"role": "user", "content": "so?"}, {"role": "assistant", "content": "\n\n  yes"}]
    text = "<|im_start|>user\nso?<|im_end|>\n<|im_start|>assistant\n\n\n  yes<|im_end|>\n"
    other.add_tokens(["\n\n\n"])  # so that all three are one token
    (masked,) = tokenise([chat], other)
    assert masked.input_ids != other(text, add_special_tokens=False)["input_ids"]
    assert said(masked, other, 1) == "\n\n  yes<|im_end|>"
    assert str(other.decode(masked.input_ids)) == text
    # As it plays, the policy is given the head alone and goes on from there.
    head = other.apply_chat_template(chat[:1], add_generation_prompt=True, return_dict=False)
    assert masked.input_ids[: len(head)] == head


def test_characters_of_several_tokens_are_the_agents_whole(other: Any) -> None:
    other.eos_token = None  # so that the emoji itself ends what the agent said
    other.chat_template = CHATML.replace("{{- '<|im_end|>\\n' }}", "{{- ' / ' }}")
    chat = [
        {"role": "user", "content": "日本?"},
        {"role": "assistant", "content": "日本👩\u200d💻"},
    ]
    (masked,) = tokenise([chat], other)
    assert said(masked, other, 1) == "日本👩\u200d💻 / "


def test_a_template_that_rewrites_the_past_is_refused(other: Any) -> None:
    other.chat_template = CHATML.replace(
        "message.content", "(message.content if loop.last or loop.first else '')"
    )
    chat = [
        {"role": "user", "content": "so?"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "no?"},
    ]
    with pytest.raises(ValueError, match="chat template changes a message"):
        tokenise([chat], other)


def test_conversations_with_tools_of_their_own_keep_their_order(tokenizer: Any) -> None:
    shown = copy.deepcopy(tokenizer)
    shown.chat_template = "{%- if tools -%}{{- tools[0].name -}}{%- endif -%}" + TEMPLATE
    chat = [{"role": "user", "content": "so?"}, {"role": "assistant", "content": "yes"}]
    tools = ['[{"name": "one"}]', None, '{"name": "two"}', '[{"name": "one"}]', "[]"]
    rows = tokenise_all([Conversation(chat, one) for one in tools], shown)
    began = [str(shown.decode(row.input_ids)).split("<|user|>")[0] for row in rows]
    assert began == ["one", "", "two", "one", ""]
    assert {said(row, shown, 1) for row in rows} == {"yes<|end|>"}


def test_thoughts_are_the_agents(tokenizer: Any) -> None:
    chat = [
        {"role": "user", "content": "so?"},
        {"role": "assistant", "content": "yes", "reasoning_content": "no\nyes"},
    ]
    (masked,) = tokenise([chat], tokenizer)
    assert said(masked, tokenizer, 1) == "<think>no\nyes</think>yes<|end|>"
    assert isinstance(masked, Masked)
