"""Conversations that are too long: whole steps are kept, or nothing; counted by hand."""

from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from models.chat import END, PAD, ROLES, TEMPLATE
from models.cutting import cut, cut_shared, fit, fit_pairs
from models.masks import Conversation

ASK = {"role": "user", "content": "a b c"}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}],
}
RESULT = {"role": "tool", "content": "r s"}
ANSWER = {"role": "assistant", "content": "d e"}
LONG = [ASK, CALL, RESULT, RESULT, CALL, RESULT, ANSWER]
"""Tokens of a message are its words and two tags: 5, 6, 4, 4, 6, 4 and 4, in all 33.

The words of a call are `<tool_call>{"name":`, `"f",`, `"arguments":` and `{}}</tool_call>`.
"""


def says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def asks(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.fixture(scope="module")
def words() -> Any:
    """Make a tokenizer of which every word is a token, and every tag."""
    made = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tags = [PAD, END, *(f"<|{role}|>" for role in ROLES)]
    made.add_special_tokens([AddedToken(tag, normalized=False) for tag in tags])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, pad_token=PAD, eos_token=END)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.mark.parametrize(
    ("limit", "messages", "dropped"),
    [
        (33, 7, 0),
        (32, 6, 1),  # all but the answer: 29
        (29, 6, 1),
        (28, 4, 2),  # the question, and the first step with both of its results: 19
        (19, 4, 2),
    ],
)
def test_as_many_whole_steps_as_fit_are_kept(
    words: Any, limit: int, messages: int, dropped: int
) -> None:
    made = cut(LONG, None, words, limit)
    assert (made.messages, made.dropped_steps) == (LONG[:messages], dropped)


def test_a_first_step_that_does_not_fit_leaves_the_conversation_out(words: Any) -> None:
    # The question and its call are 11 tokens, with one of two results 15, with both 19.
    made = cut(LONG, None, words, 18)
    assert made.messages is None
    assert made.reason == "no step that is trained on fits"


def test_what_is_kept_must_hold_a_message_that_is_trained_on(words: Any) -> None:
    last = [False] * 6 + [True]
    assert cut(LONG, None, words, 33, last).messages == LONG
    assert cut(LONG, None, words, 32, last).messages is None
    second = [False] * 4 + [True, False, True]
    made = cut(LONG, None, words, 32, second)
    assert made.messages == LONG[:6]
    assert made.train_on == second[:6]


def test_a_question_after_the_last_step_kept_is_not_kept(words: Any) -> None:
    chat = [ASK, ANSWER, asks("x"), says("y " * 10)]
    made = cut(chat, None, words, 14)
    # 5 + 4 = 9, with the second question 12: it would have no answer.
    assert made.messages == chat[:2]


def test_tools_that_the_template_shows_count(words: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "{%- if tools -%}{{- '<|system|>' + tools[0].name + '<|end|>' -}}{%- endif -%}"
    monkeypatch.setattr(words, "chat_template", shown + TEMPLATE)
    # Three tokens more than the 29 of all but the answer.
    assert cut(LONG, '[{"name": "f"}]', words, 32).messages == LONG[:6]
    assert cut(LONG, '[{"name": "f"}]', words, 31).messages == LONG[:4]


def test_fitted_conversations_are_counted_and_keep_the_loss_of_what_is_kept(words: Any) -> None:
    short = Conversation([ASK, ANSWER])
    silent = Conversation([ASK, ANSWER], train_on=[True, False])
    cut_one = Conversation(LONG, train_on=[False, True, False, False, False, False, True])
    hopeless = Conversation([asks("w " * 40), ANSWER])
    made = fit([short, silent, cut_one, hopeless], words, 32)
    assert (made.cut, made.left_out) == (1, 2)
    assert [len(row.input_ids) for _, row in made.kept] == [9, 29]
    assert made.tokens == 38
    # The answer and its end; the call's four words and its end, the second call having no loss.
    assert [sum(row.agent_mask) for _, row in made.kept] == [3, 5]
    assert made.kept[1][0].chat == LONG[:6]


SYSTEM = {"role": "system", "content": "be kind"}
SHARED = [
    SYSTEM, ASK, CALL, RESULT, says("d e"), asks("q1 q2 q3"), CALL, RESULT, CALL, RESULT,
]  # fmt: skip
"""4 + 5, then steps of 10 and 4, a question of 5, and steps of 10 and 10: 48."""


@pytest.mark.parametrize(
    ("limit", "gone", "dropped"),
    [
        (60, [], 0),
        (59, [2, 3], 1),
        (50, [2, 3], 1),
        (49, [2, 3, 4], 2),  # the second question is still to be answered
        (46, [2, 3, 4], 2),
        (45, [2, 3, 4, 6, 7], 3),  # 60 - 10 - 4 - 10 = 36
        (36, [2, 3, 4, 6, 7], 3),
        (35, [2, 3, 4, 6, 7, 8, 9], 4),
        (26, [2, 3, 4, 6, 7, 8, 9], 4),
    ],
)
def test_a_pair_loses_the_oldest_steps_of_what_it_shares(
    words: Any, limit: int, gone: list[int], dropped: int
) -> None:
    made = cut_shared(SHARED, 12, None, words, limit)
    assert made.messages == [m for n, m in enumerate(SHARED) if n not in gone]
    assert made.dropped_steps == dropped


def test_a_pair_without_room_for_question_and_sides_is_left_out(words: Any) -> None:
    # System 4, both questions 5 and 5, sides 12.
    assert cut_shared(SHARED, 12, None, words, 25).messages is None


def test_a_later_question_goes_with_its_last_answer(words: Any) -> None:
    shared = [ASK, says("d"), asks("x"), says("e"), asks("y"), says("f"), asks("z")]
    # 5, then 3 each: 23. Two answers gone take the question between with them, not the next.
    assert cut_shared(shared, 0, None, words, 22).messages == [ASK, *shared[2:]]
    assert cut_shared(shared, 0, None, words, 18).messages == [ASK, *shared[4:]]
    assert cut_shared(shared, 0, None, words, 8).messages == [ASK, shared[6]]


def test_pairs_that_are_too_long_are_cut_alike_on_both_sides_or_left_out(words: Any) -> None:
    def pair(chosen: str, rejected: str) -> tuple[Conversation, Conversation]:
        one, other = (Conversation([*SHARED, says(text)]) for text in (chosen, rejected))
        return one, other

    # 48 and sides of 3 and 4; of 3 and 12; of 3 and 42.
    pairs = [pair("x", "y y"), pair("x", "y " * 10), pair("x", "y " * 40)]
    made = fit_pairs(pairs, words, 55)
    assert (made.cut, made.left_out) == (1, 1)
    lengths = [[len(row.input_ids) for _, row in sides] for sides in made.kept]
    assert lengths == [[51, 52], [41, 50]]
    for (one, _), (other, _) in made.kept:
        assert one.chat[:-1] == other.chat[:-1]
    # Only the results of the calls differ: the sides part at the call, which may not be cut.
    asked = [ASK, CALL]
    late = (
        Conversation([*asked, RESULT, ANSWER]),
        Conversation([*asked, {"role": "tool", "content": "t " * 9}, ANSWER]),
    )
    assert fit_pairs([late], words, 20).left_out == 1


def test_a_long_conversation_is_tokenised_twice_and_no_more(words: Any) -> None:
    told: list[int] = []

    class Counting(type(words)):  # type: ignore[misc] # counts texts, all else is the tokenizer's
        def __call__(self, text: Any, *args: Any, **kwargs: Any) -> Any:
            told.append(len(text))
            return super().__call__(text, *args, **kwargs)

    counting = Counting(tokenizer_object=words.backend_tokenizer, pad_token=PAD, eos_token=END)
    counting.chat_template = TEMPLATE
    chat = [ASK, *[CALL, RESULT] * 200]
    made = fit([Conversation(chat)], counting, 1000)
    # 5 and 99 steps of 10 are 995.
    assert [len(row.input_ids) for _, row in made.kept] == [995]
    assert sum(told) == 3  # whole, once more to measure, and what is kept
