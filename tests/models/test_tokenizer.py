"""The tokenizer: nothing is lost, digits stand alone, a name is one token wherever it stands."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from models.chat import RESPONSE_TEMPLATE, TEMPLATE
from models.tokenizer import call_scaffolds, render, train_tokenizer


def ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


@pytest.mark.parametrize(
    "text",
    [
        "how many tea in the north?",
        "SELECT SUM(amount) FROM sales WHERE area = 'north' AND day > DATE '2026-01-15' - 30",
        '  two  spaces,\n\ttabs "quotes" and {"json": [1, 2.50]} ',
        "Größe, 東京, \N{ROCKET} and \\ backslash",
        "don't , wait .",
        "",
    ],
)
def test_any_text_comes_back_exactly(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(ids(tokenizer, text)) == text


def test_conversations_come_back_exactly(tokenizer: Any, chats: dict[str, Any]) -> None:
    for text in render(list(chats.values()), TEMPLATE):
        assert tokenizer.decode(ids(tokenizer, text)) == text


def test_every_digit_stands_alone(tokenizer: Any) -> None:
    assert [tokenizer.decode(i) for i in ids(tokenizer, "4096.5")] == ["4", "0", "9", "6", ".", "5"]


def test_a_column_is_the_same_token_wherever_it_stands() -> None:
    texts = [
        "brand amount sold_on",
        "SELECT SUM(amount) FROM sales WHERE brand = 'tea' AND amount > 3",
        "SELECT amount FROM sales ORDER BY amount DESC",
    ]
    tokenizer = train_tokenizer(texts * 20, 420)
    (amount,) = ids(tokenizer, "amount")
    counts = [ids(tokenizer, text).count(amount) for text in texts]
    assert counts == [1, 2, 2]  # counted by eye in the texts


def test_a_reloaded_tokenizer_cuts_and_renders_the_same(
    tokenizer: Any, chats: dict[str, Any], tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.chat_template == TEMPLATE
    assert (again.eos_token, again.pad_token) == (tokenizer.eos_token, tokenizer.pad_token)
    for text in render(list(chats.values()), TEMPLATE):
        assert ids(again, text) == ids(tokenizer, text)
        assert again.decode(ids(again, text)) == text


def test_the_response_template_is_kept_on_disk(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).response_template == RESPONSE_TEMPLATE


def test_the_json_around_arguments_is_one_token(tokenizer: Any) -> None:
    scaffold = '{"name": "count", "arguments": {"thing": "'
    assert len(ids(tokenizer, scaffold)) == 1
    assert len(ids(tokenizer, '"}}')) == 1


def test_scaffolds_are_found_most_frequent_first() -> None:
    one = '<tool_call>{"name": "run_sql", "arguments": {"query": "SELECT 1"}}</tool_call>'
    two = '<tool_call>{"name": "calendar", "arguments": {}}</tool_call>'
    number = '<tool_call>{"name": "wait", "arguments": {"seconds": 3}}</tool_call>'
    assert call_scaffolds([two + one, one, one + number, number]) == [
        '{"name": "run_sql", "arguments": {"query": "',  # three times
        '{"name": "wait", "arguments": {"seconds": ',  # twice
        '{"name": "calendar", "arguments": {}}',  # once
    ]


def test_the_vocabulary_stays_within_what_was_asked(tokenizer: Any) -> None:
    assert len(tokenizer) <= 420
