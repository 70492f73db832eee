"""What is built of every format trains on what the agent said, and on nothing else.

The same conversation is written as each logger writes it, twice: answered rightly and wrongly. It
goes through ingest, label and build, is rendered and tokenised, and the tokens under the loss are
read back. Under them stands what the agent said, to the character, and nothing of anybody else.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.chat import TEMPLATE, renders, to_chat
from models.cutting import fit, fit_pairs
from models.mask_audit import dpo_under_mask, sft_under_mask
from models.masks import Conversation, Masked, tokenise_all
from models.tokenizer import render, train_tokenizer
from schemas.config import BuildConfig, FlywheelConfig
from schemas.dataset import Pair, Trajectory
from schemas.episode import Message
from tasks.build.build import build
from tasks.ingest.detect import built_in
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from tasks.train.rows import read_rows
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"

HUB = """
{%- if tools %}{{- '<|im_start|>system\\n' + (tools | tojson) + '<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {%- if loop.first or loop.previtem.role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' }}
        {%- if message.reasoning_content %}
            {{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}
        {%- endif %}
        {{- message.content }}
        {%- for call in message.tool_calls or [] %}
            {{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- (call.function.arguments | tojson) + '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
"""A template in the style of many hub models, without marks of what the agent says."""

OURS = ("<|end|>", "<think>{}</think>", "<tool_call>{}</tool_call>")
THEIRS = ("<|im_end|>", "<think>\n{}\n</think>\n\n", "\n<tool_call>\n{}\n</tool_call>")
"""How a template writes the end of a turn, a thought and a call."""


THINKING = {"atif", "inspect_ai", "intercode", "openai_chat", "session_trace", "tensorzero"}
WITHOUT_SYSTEM = {"intercode", "openhands", "session_trace"}


def turns_of(name: str, answer: str, style: tuple[str, str, str]) -> list[tuple[str, str]]:
    """Write by hand what each speaker says in a format, as a template writes it."""
    _, think, call = style
    thought = think.format("Is it there?") if name in THINKING else ""
    made = call.format('{"name": "run_sql", "arguments": {"query": "select \'é\'", "limit": null}}')
    turns = [("system", "Be brief.")] * (name not in WITHOUT_SYSTEM)
    turns += [("assistant", "Hi!")] * (name == "tau2_bench")
    turns += [("user", f"How many of {name}?"), ("assistant", f"{thought}I look.{made}")]
    turns += [("tool", "3")]
    if name == "tau2_bench":
        turns += [("assistant", "Toggle it."), ("user", "It fails.")]
    if name == "intercode":
        made = call.format('{"name": "execute", "arguments": {"query": "select \'é\'"}}')
        last = [("assistant", f"{think.format(answer)}submit"), ("tool", answer)]
        return [turns[0], ("assistant", f"{thought}{made}"), ("tool", "3"), *last]
    return [*turns, ("assistant", answer)]


class Built(msgspec.Struct):
    """What a night came to."""

    trajectories: list[Trajectory]
    pairs: list[Pair]
    names: dict[str, str]
    """Episode to format and answer."""


def built(home: Path, paths: list[str], good: Callable[[dict[str, Any]], bool]) -> Built:
    """Ingest files, say of every episode what it came to, label and build with no limits."""
    every = {"held_out_share": 0.0, "sft_confidence": 0.0, "sft_cap_per_scenario": 1000}
    every |= {"pair_margin": 0.0, "pair_confidence": 0.0, "pair_length_ratio": 1000.0}
    config = FlywheelConfig(home=home, build=BuildConfig(**every))
    warehouse = Warehouse(home)

    def clock() -> datetime:
        return datetime(2026, 1, 2, 3, tzinfo=UTC)

    ingest(config, paths, night=NIGHT, clock=clock)
    episodes = warehouse.read("episodes").to_pylist()
    events = [
        {"episode_id": one["episode_id"], "kind": "outcome", "value": int(good(one))}
        for one in episodes
    ]
    feedback = home.parent / f"{home.name}-feedback.jsonl"
    feedback.write_text("".join(json.dumps(event) + "\n" for event in events))
    ingest(config, [str(feedback)], night=NIGHT, clock=clock)
    label(config, night=NIGHT, clock=clock)
    digest = build(config, night=NIGHT, clock=clock)["digest"]
    return Built(
        read_rows(config, "trajectories", digest, Trajectory, use="sft"),
        read_rows(config, "pairs", digest, Pair),
        {e["episode_id"]: f"{e['format']} {e['messages'][-1]['content']}" for e in episodes},
    )


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, written: dict[str, Any]) -> Built:
    folder = tmp_path_factory.mktemp("formats")
    paths = []
    for name, write in written.items():
        path = folder / f"{name}.jsonl"
        records = [
            record
            for answer in ("right", "wrong")
            for record in write(f"{name}-{answer}", f"How many of {name}?", answer)
        ]
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        paths.append(str(path))
    return built(folder / "home", paths, lambda e: e["messages"][-1]["content"] == "right")


def conversations(night: Built) -> list[Conversation]:
    return [Conversation(to_chat(t.messages), t.tools, t.train_on) for t in night.trajectories]


def sides(night: Built) -> list[tuple[Conversation, Conversation]]:
    return [
        (
            Conversation(to_chat([*pair.prompt, *pair.chosen]), pair.tools),
            Conversation(to_chat([*pair.prompt, *pair.rejected]), pair.tools),
        )
        for pair in night.pairs
    ]


def tokenizer_of(night: Built, template: str) -> Any:
    """Train a tokenizer on these rows, under our template or a hub model's."""
    made = train_tokenizer(render([one.chat for one in conversations(night)], TEMPLATE), 600)
    if template != TEMPLATE:
        tags = {"additional_special_tokens": ["<|im_start|>"], "eos_token": "<|im_end|>"}
        made.add_special_tokens(tags)
        made.chat_template = template
    return made


def under(row: Masked, tokenizer: Any) -> str:
    return str(
        tokenizer.decode([i for i, m in zip(row.input_ids, row.agent_mask, strict=True) if m])
    )


def others(counts: dict[str, int]) -> int:
    """Count the tokens under the loss that are not the agent's."""
    assert counts["assistant"] > 0
    return sum(counts.values()) - counts["assistant"]


def test_every_format_that_holds_episodes_is_written_here(written: dict[str, Any]) -> None:
    assert sorted(written) == sorted({one.NAME for one in built_in()} - {"feedback"})


@pytest.mark.parametrize(("template", "style"), [(TEMPLATE, OURS), (HUB, THEIRS)])
def test_what_is_trained_on_is_what_the_agent_said_in_every_format(
    night: Built, written: dict[str, Any], template: str, style: tuple[str, str, str]
) -> None:
    tokenizer = tokenizer_of(night, template)
    found = {}
    rows = tokenise_all(conversations(night), tokenizer)
    for trajectory, row in zip(night.trajectories, rows, strict=True):
        name, answer = night.names[trajectory.episode_id].split()
        turns = turns_of(name, answer, style)
        agents = "".join(f"{text}{style[0]}" for role, text in turns if role == "assistant")
        assert under(row, tokenizer) == agents
        if style is OURS:
            whole = "".join(f"<|{role}|>{text}<|end|>" for role, text in turns)
            assert tokenizer.decode(row.input_ids) == whole
        found[name] = answer
    assert found == dict.fromkeys(written, "right")
    kept = fit(conversations(night), tokenizer, 10_000).kept
    assert len(kept) == len(written)
    assert others(sft_under_mask(kept, tokenizer)) == 0


@pytest.mark.parametrize(("template", "style"), [(TEMPLATE, OURS), (HUB, THEIRS)])
def test_pairs_weigh_what_the_agent_said_in_every_format(
    night: Built, template: str, style: tuple[str, str, str]
) -> None:
    tokenizer = tokenizer_of(night, template)
    fitted = fit_pairs(sides(night), tokenizer, 10_000)
    assert (len(fitted.kept), fitted.cut, fitted.left_out) == (len(night.pairs), 0, 0)
    formats = set()
    for pair, told in zip(night.pairs, fitted.kept, strict=True):
        for episode, (_, row) in zip(
            (pair.chosen_episode, pair.rejected_episode), told, strict=True
        ):
            name, answer = night.names[episode].split()
            formats.add(name)
            turns = turns_of(name, answer, style)
            agents = "".join(f"{text}{style[0]}" for role, text in turns if role == "assistant")
            assert under(row, tokenizer) == agents
    assert formats >= {"art", "intercode", "tau2_bench", "tau_bench"}
    assert others(dpo_under_mask(fitted.kept, tokenizer)) == 0


@pytest.fixture(scope="module")
def real(real_logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    react = "intercode-sql/ic_sql_react_10_turns.json"
    paths = [react, "tau-bench", "inspect-ai", "langfuse", "openinference", "openhands"]
    night = built(
        tmp_path_factory.mktemp("real") / "home", [str(real_logs / path) for path in paths],
        lambda one: one["logged_reward"] is None or one["logged_reward"] > 0.5,
    )  # fmt: skip
    # A call that is no object cannot be rendered to what the tool was given: it is left out.
    sound = [t for t in night.trajectories if renders(t.messages)]
    pairs = [p for p in night.pairs if renders([*p.prompt, *p.chosen, *p.rejected])]
    return Built(sound, pairs, night.names)


def as_said(message: Message, style: tuple[str, str, str]) -> str:
    """Write what the agent did in one turn as a template writes it."""
    end, think, call = style
    calls = [
        {"name": made.name, "arguments": json.loads(made.arguments)} for made in message.tool_calls
    ]
    told = "".join(call.format(json.dumps(one, ensure_ascii=False)) for one in calls)
    thought = think.format(message.reasoning) if message.reasoning else ""
    return f"{thought}{message.content or ''}{told}{end}"


@pytest.mark.parametrize(("template", "style"), [(TEMPLATE, OURS), (HUB, THEIRS)])
def test_real_logs_put_what_the_agent_said_under_the_loss_and_nothing_else(
    real: Built, template: str, style: tuple[str, str, str]
) -> None:
    tokenizer = tokenizer_of(real, template)
    spoken = [t for t in real.trajectories if any(m.role == "assistant" for m in t.messages)]
    fitted = fit(conversations(real), tokenizer, 10**6)
    assert (fitted.cut, fitted.left_out) == (0, len(real.trajectories) - len(spoken))
    assert len(fitted.kept) == len(spoken) > 70
    for trajectory, (_, row) in zip(spoken, fitted.kept, strict=True):
        agents = [as_said(m, style) for m in trajectory.messages if m.role == "assistant"]
        assert under(row, tokenizer) == "".join(agents)
    assert others(sft_under_mask(fitted.kept, tokenizer)) == 0
    pairs = fit_pairs(sides(real), tokenizer, 10**6).kept
    assert len(pairs) == len(real.pairs) > 10
    assert others(dpo_under_mask(pairs, tokenizer)) == 0


def test_real_rows_that_are_too_long_are_cut_between_steps(real: Built) -> None:
    tokenizer = tokenizer_of(real, TEMPLATE)
    whole = fit(conversations(real), tokenizer, 10**6)
    limit = 1500
    fitted = fit(conversations(real), tokenizer, limit)
    assert fitted.cut > 0
    assert fitted.left_out > 0
    assert len(fitted.kept) + fitted.left_out == len(real.trajectories)
    assert max(len(row.input_ids) for _, row in fitted.kept) <= limit
    tokens = {json.dumps(one.chat): row for one, row in whole.kept}
    for one, row in fitted.kept:
        text = tokenizer.decode(row.input_ids)
        # The same tokens from the start, up to where a message ends.
        (full,) = [
            found for key, found in tokens.items() if key.startswith(json.dumps(one.chat)[:-1])
        ][:1]
        assert full.input_ids[: len(row.input_ids)] == row.input_ids
        assert full.agent_mask[: len(row.input_ids)] == row.agent_mask
        assert text.endswith("<|end|>")
        made = [c for m in one.chat for c in m.get("tool_calls", [])]
        assert text.count("<tool_call>{") == text.count("</tool_call>") == len(made)
    assert others(sft_under_mask(fitted.kept, tokenizer)) == 0
