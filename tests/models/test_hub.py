"""A hub model's folder: its own template, marked for training, and told its tools."""

import copy
from pathlib import Path
from typing import Any

import pytest
from trl import chat_template_utils as templates

from models.generation import Player, Sampling
from models.masks import tokenise
from models.policy import LoadedPolicy, load_policy, save_policy
from schemas.errors import ConfigurationError

CHAT = [
    {"role": "user", "content": "how many tea?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"type": "function", "function": {"name": "count", "arguments": {"thing": "tea"}}}
        ],
    },
    {"role": "tool", "content": "3"},
    {"role": "assistant", "content": "It is 3."},
]


class Counter:
    """An environment with one tool."""

    def reset(self, **_: Any) -> None:
        """Start."""

    def count(self, thing: str) -> str:
        """Count things.

        Args:
            thing: What is counted.
        """
        return "3"

    def get_reward(self) -> float:
        """Judge nothing."""
        return 0.0


def hub_folder(new: Any, folder: Path, template: str) -> Path:
    """Save a random policy under a hub model's chat template and end token."""
    policy: LoadedPolicy = new(seed=1)
    policy.tokenizer = copy.deepcopy(policy.tokenizer)  # the session's own stays as it is
    policy.tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<|im_start|>"], "eos_token": "<|im_end|>"}
    )
    policy.model.resize_token_embeddings(len(policy.tokenizer))
    policy.tokenizer.chat_template = template
    return save_policy(policy, folder)


def test_qwens_template_is_marked_so_that_the_agents_tokens_train(new: Any, tmp_path: Path) -> None:
    policy = load_policy(hub_folder(new, tmp_path, templates.qwen3_chat_template))
    tools = '[{"type": "function", "function": {"name": "count", "parameters": {}}}]'
    (row,) = tokenise([CHAT], policy.tokenizer, tools)
    said = policy.tokenizer.decode(
        [t for t, m in zip(row.input_ids, row.agent_mask, strict=True) if m]
    )
    assert '<tool_call>\n{"name": "count", "arguments": {"thing": "tea"}}\n</tool_call>' in said
    assert said.rstrip().endswith("It is 3.<|im_end|>")
    assert "tool_response" not in said
    assert "how many" not in said
    assert '"name": "count"' in policy.tokenizer.decode(row.input_ids).split("<|im_end|>")[0]


def test_a_prompt_tells_a_hub_model_its_tools(new: Any, tmp_path: Path) -> None:
    policy = load_policy(hub_folder(new, tmp_path, templates.qwen3_chat_template))
    player = Player(policy.model, policy.tokenizer, Sampling(turn_tokens=4, episode_tokens=8), 0)
    (ids,) = player.prompt_ids([CHAT[:1]], [Counter()])
    text = policy.tokenizer.decode(ids)
    assert "Count things." in text
    assert text.endswith("<|im_start|>assistant\n")
    (rollout,) = player.play([Counter()], [CHAT[:1]])
    assert rollout.truncated or rollout.messages


def test_a_template_that_nobody_knows_is_one_clear_error(new: Any, tmp_path: Path) -> None:
    folder = hub_folder(new, tmp_path, "{{ messages[0].content }}")
    with pytest.raises(ConfigurationError, match="does not mark what the agent says"):
        load_policy(folder)
