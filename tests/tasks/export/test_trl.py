"""TRL's rows, by TRL's own eyes: recognised, loaded without a change, rendered, and tokenised."""

import json

import pytest

from tasks.export.export import export

USES = ("sft", "dpo", "kto", "rl")


@pytest.fixture(scope="module")
def tokenizer():
    from models.chat import TEMPLATE
    from models.tokenizer import render, train_tokenizer

    chats = [
        [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": "It is 3"}]
    ]
    return train_tokenizer(render(chats * 3, TEMPLATE), 420)


@pytest.fixture
def loaded(store, make, tmp_path):
    """Export rows of a build for a use and load them as docs/export.md says."""
    from datasets import Features, Json, List, Value, load_dataset

    columns = {
        "sft": {"messages": List(Json()), "train_on": List(Value("bool")), "tools": List(Json())},
        "dpo": dict.fromkeys(("prompt", "tools", "chosen", "rejected"), List(Json())),
        "kto": {**dict.fromkeys(("prompt", "tools", "completion"), List(Json())),
                "label": Value("bool")},
        "rl": None,
    }  # fmt: skip
    side = [make.say("assistant", None, make.call("mail", '{"to": ["a"]}'))]

    def load(use):
        home = store(
            make.trajectory("a"), make.trajectory("b", tools=None, rank=1),
            make.trajectory("k", use="kto"), make.pair("p", make.work, side), make.scenario("s"),
        )  # fmt: skip
        export(home, "trl", tmp_path / use, use=use)
        file = tmp_path / use / f"{use}.jsonl"
        features = Features(columns[use]) if columns[use] else None
        dataset = load_dataset(
            "json", data_files=str(file), split="train", features=features,
            cache_dir=str(tmp_path / "cache"),
        )  # fmt: skip
        return dataset, [json.loads(line) for line in file.read_text().split("\n") if line]

    return load


@pytest.mark.parametrize("use", USES)
def test_trl_takes_rows_for_conversations_and_renders_them(loaded, tokenizer, use):
    from trl.data_utils import apply_chat_template, is_conversational

    dataset, written = loaded(use)
    assert len(dataset) == len(written) > 0
    for row, line in zip(dataset, written, strict=True):
        assert is_conversational(row)
        if use != "rl":  # loaded with the features of docs/export.md, nothing is added or widened
            assert {key: value for key, value in row.items() if value is not None} == line
        keys = ("messages", "prompt", "completion", "chosen", "rejected", "label")
        example = {key: row[key] for key in keys if key in row}
        text = apply_chat_template(example, tokenizer, tools=row.get("tools"))
        whole = text.get("text") or text["prompt"] + (
            text.get("chosen") or text.get("completion") or ""
        )
        assert whole.startswith("<|system|>You answer with SQL.<|end|><|user|>Wie viele?")
        if use != "rl":
            assert '"arguments": {"to": ["x", null], "deep": {"a": [1, 2.5, true]}}' in whole
            assert whole.endswith("It is 3.<|end|>")
        if use == "dpo":
            assert text["rejected"].endswith('"arguments": {"to": ["a"]}}</tool_call><|end|>')


def test_a_result_has_the_name_of_its_tool(loaded):
    _, [line, _] = loaded("sft")
    assert [m.get("name") for m in line["messages"] if m["role"] == "tool"] == [
        "run_sql", "mail", "run_sql",
    ]  # fmt: skip


def test_a_prompt_that_is_not_the_agents_turn_is_left_out(store, make, tmp_path):
    # TRL raises on a prompt that ends with the system's message.
    opening = [make.prompt[0], *make.work]
    home = store(make.trajectory("k", opening, use="kto"), make.trajectory("a", opening))
    account = export(home, "trl", tmp_path / "kto", use="kto")
    assert account["left_out"] == {"a prompt that is not the agent's turn": 1}
    assert export(home, "trl", tmp_path / "sft")["files"][0]["rows"] == 1


def test_trls_own_trainer_masks_all_but_what_the_agent_says(loaded, tokenizer, tmp_path):
    from trl import SFTConfig, SFTTrainer

    from models.tiny import new_policy
    from models.trainers.run import TrainerRun, trainer_arguments
    from schemas.training_config import TinyPolicy

    size = TinyPolicy(hidden_size=32, layers=1, heads=2, vocabulary=420, context=1024)
    dataset, _ = loaded("sft")
    settings = SFTConfig(
        **trainer_arguments(TrainerRun(tmp_path / "out", 0), "cpu"),
        assistant_only_loss=True,
        max_length=None,
    )
    trainer = SFTTrainer(
        model=new_policy(size, tokenizer, 0), args=settings, processing_class=tokenizer,
        train_dataset=dataset,
    )  # fmt: skip
    row = trainer.train_dataset[0]
    said = [label for label in row["labels"] if label != -100]  # -100: no loss
    text = tokenizer.decode(said)
    assert text.startswith("Let me look.<tool_call>")
    assert text.endswith("It is 3.<|end|>")
    assert "Error: no a" not in text
