"""The agent mask: every token the agent said, its end tokens too, and none of anybody else's."""

from typing import Any

from models.masks import tokenise


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
