"""Whose tokens a loss covers: none but the agent's, in the batches that are trained on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trl import SFTConfig

from models.cutting import fit, fit_pairs
from models.mask_audit import (
    IGNORED,
    SAMPLE,
    SPEAKERS,
    dpo_under_mask,
    sft_under_mask,
    speakers_of,
    under_mask,
)
from models.masks import Conversation, Masked, tokenise
from models.trainers.run import TrainerRun, trainer_arguments
from models.trainers.sft import BucketedSftTrainer, as_dataset

SYSTEM = {"role": "system", "content": "Be short."}


def test_every_token_has_its_speaker(tokenizer: Any, chats: dict[str, Any]) -> None:
    chat = [SYSTEM, *chats["both"]]
    (row,) = tokenise([chat], tokenizer)
    said = speakers_of(Conversation(chat), row, tokenizer)
    texts = {
        name: str(tokenizer.decode([i for i, s in zip(row.input_ids, said, strict=True) if s == n]))
        for n, name in enumerate(SPEAKERS)
    }
    calls = "".join(
        f'<tool_call>{{"name": "count", "arguments": {{"thing": "{thing}"}}}}</tool_call>'
        for thing in ("tea", "rice")
    )
    assert texts == {
        "system": "<|system|>Be short.<|end|>",
        "user": "<|user|>tea and rice?<|end|>",
        "assistant": f"{calls}<|end|>It is 3 and 15.<|end|>",
        "tool": "<|tool|>3<|end|><|tool|>15<|end|>",
        "template": "<|assistant|><|assistant|>",
    }


def test_tokens_under_a_mask_are_counted_by_speaker() -> None:
    speakers = [np.array([0, 1, 4, 2, 2, 3], dtype=np.int8), np.array([1, 2], dtype=np.int8)]
    mask = np.array([[0, 1, 0, 1, 1, 1], [0, 1, 0, 0, 0, 0]])
    assert under_mask(mask, speakers) == {
        "system": 0, "user": 1, "assistant": 3, "tool": 1, "template": 0,
    }  # fmt: skip


def test_fine_tuning_learns_from_the_agents_tokens_alone(
    tokenizer: Any, chats: dict[str, Any]
) -> None:
    fitted = fit([Conversation([SYSTEM, *c]) for c in chats.values()], tokenizer, 256)
    counts = sft_under_mask(fitted.kept, tokenizer)
    said = sum(sum(row.agent_mask) for _, row in fitted.kept)
    assert counts == {"system": 0, "user": 0, "assistant": said, "tool": 0, "template": 0}


def test_a_mask_over_everything_is_found_out(tokenizer: Any, chats: dict[str, Any]) -> None:
    (row,) = tokenise([chats["tea"]], tokenizer)
    wrong = Masked(row.input_ids, [1] * len(row.input_ids))
    counts = sft_under_mask([(Conversation(chats["tea"]), wrong)], tokenizer)
    # The result is its tag, a digit and the end; each of two answers has a tag for its head.
    assert (counts["tool"], counts["template"]) == (3, 2)
    assert counts["assistant"] == sum(row.agent_mask)


def test_a_template_with_wrong_marks_is_found_out(
    tokenizer: Any, chats: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The mark is closed after the result that follows: it takes in what the tool returned.
    wrong = (
        "{%- for m in messages -%}{%- if m.role == 'user' -%}{{- '<|user|>' + m.content -}}"
        "{%- elif m.role == 'assistant' -%}{{- '<|assistant|>' -}}{%- generation -%}"
        "{{- m.content + '<|end|>' -}}{%- if loop.nextitem and loop.nextitem.role == 'tool' -%}"
        "{{- '<|tool|>' + loop.nextitem.content -}}{%- endif -%}{%- endgeneration -%}"
        "{%- endif -%}{%- endfor -%}{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
    )
    monkeypatch.setattr(tokenizer, "chat_template", wrong)
    (row,) = tokenise([chats["tea"]], tokenizer)
    assert sft_under_mask([(Conversation(chats["tea"]), row)], tokenizer)["tool"] > 0


def test_preference_weighs_the_agents_tokens_alone(tokenizer: Any) -> None:
    def side(thing: str, result: str) -> Conversation:
        call = {"type": "function", "function": {"name": "count", "arguments": {"thing": thing}}}
        return Conversation([
            {"role": "user", "content": "how many?"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": result},
            {"role": "assistant", "content": f"It is {result}."},
        ])  # fmt: skip

    fitted = fit_pairs([(side("tea", "3"), side("rice", "15"))], tokenizer, 256)
    counts = dpo_under_mask(fitted.kept, tokenizer)
    assert counts["assistant"] > 10
    assert {name: counts[name] for name in ("system", "user", "tool", "template")} == {
        "system": 0, "user": 0, "tool": 0, "template": 0,
    }  # fmt: skip


def test_the_labels_of_a_trainers_own_batch_are_those_that_are_counted(
    new: Any, chats: Any, tmp_path: Path
) -> None:
    policy = new()
    fitted = fit([Conversation(c) for c in chats.values()], policy.tokenizer, 256)
    settings = SFTConfig(
        **trainer_arguments(TrainerRun(tmp_path, 0), "cpu"),
        per_device_train_batch_size=7,
        max_length=None,
    )
    trainer = BucketedSftTrainer(
        model=policy.model, args=settings, train_dataset=as_dataset([r for _, r in fitted.kept]),
        processing_class=policy.tokenizer,
    )  # fmt: skip
    (batch,) = trainer.get_train_dataloader()
    speakers = []
    for ids in batch["input_ids"].tolist():
        ((one, row),) = [
            (one, row) for one, row in fitted.kept if ids[: len(row.input_ids)] == row.input_ids
        ]
        speakers.append(speakers_of(one, row, policy.tokenizer))
    counts = under_mask((batch["labels"] != IGNORED).numpy(), speakers)
    assert counts == sft_under_mask(fitted.kept, policy.tokenizer)
    assert counts["tool"] == counts["user"] == counts["template"] == 0


def test_nothing_to_train_on_counts_nothing(tokenizer: Any) -> None:
    assert sft_under_mask([], tokenizer) == dpo_under_mask([], tokenizer)
    assert sum(sft_under_mask([], tokenizer).values()) == 0


def test_of_many_rows_an_even_sample_is_counted(tokenizer: Any, chats: dict[str, Any]) -> None:
    (row,) = tokenise([chats["hello"]], tokenizer)
    rows = [(Conversation(chats["hello"]), row)] * (3 * SAMPLE)
    assert sft_under_mask(rows, tokenizer)["assistant"] == SAMPLE * sum(row.agent_mask)
