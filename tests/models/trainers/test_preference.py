"""Preference by pairs: what both sides share is context, and only the agent's tokens weigh."""

from pathlib import Path
from typing import Any

import pytest
import torch
from trl.trainer.dpo_trainer import DataCollatorForPreference

from models.masks import Masked, tokenise
from models.trainers.preference import AgentTokensCollator, MaskedPair, masked_pair, train_dpo
from models.trainers.run import TrainerRun
from schemas.recipe_config import DpoConfig

CHOSEN = Masked([1, 2, 3, 4, 5, 6], [0, 0, 1, 1, 0, 1])
REJECTED = Masked([1, 2, 3, 7, 8], [0, 0, 1, 1, 0])


def test_a_pair_parts_where_its_sides_first_differ() -> None:
    # 1 2 3 are common; then 4 5 6 (the 5 is the tool's) against 7 8 (the 8 is the tool's).
    assert masked_pair(CHOSEN, REJECTED) == MaskedPair(
        prompt_ids=[1, 2, 3], chosen_ids=[4, 5, 6], rejected_ids=[7, 8],
        chosen_mask=[1, 0, 1], rejected_mask=[1, 0],
    )  # fmt: skip


def test_sides_that_are_the_same_are_no_pair() -> None:
    assert masked_pair(CHOSEN, CHOSEN) is None


def test_a_side_that_only_goes_on_is_no_pair() -> None:
    assert masked_pair(CHOSEN, Masked([1, 2, 3, 4], [0, 0, 1, 1])) is None


def test_a_side_whose_rest_is_the_tools_alone_is_no_pair() -> None:
    assert masked_pair(CHOSEN, Masked([1, 2, 3, 9], [0, 0, 1, 0])) is None


def collated(collator: Any) -> list[list[int]]:
    pair = masked_pair(CHOSEN, REJECTED)
    assert pair is not None
    example = {name: getattr(pair, name) for name in pair.__struct_fields__}
    return list(collator([example])["completion_mask"].tolist())


def test_tool_tokens_have_no_weight_in_the_loss() -> None:
    # Prompt of three, then the masks of both sides, padded to six.
    assert collated(AgentTokensCollator(pad_token_id=0)) == [
        [0, 0, 0, 1, 0, 1],
        [0, 0, 0, 1, 0, 0],
    ]


def test_trls_own_collator_would_weigh_tool_tokens() -> None:
    assert collated(DataCollatorForPreference(pad_token_id=0)) == [
        [0, 0, 0, 1, 1, 1],
        [0, 0, 0, 1, 1, 0],
    ]


def agent_margin(policy: Any, pair: MaskedPair) -> float:
    """Log-likelihood of the agent's chosen tokens less that of its rejected ones, nats."""
    sums = []
    for ids, mask in (
        (pair.chosen_ids, pair.chosen_mask),
        (pair.rejected_ids, pair.rejected_mask),
    ):
        whole = torch.tensor([[*pair.prompt_ids, *ids]])
        with torch.inference_mode():
            logprobs = torch.log_softmax(policy.model.eval()(input_ids=whole).logits[0], dim=-1)
        at = torch.arange(len(pair.prompt_ids), whole.shape[1])
        sums.append((logprobs[at - 1, whole[0, at]] * torch.tensor(mask)).sum().item())
    return sums[0] - sums[1]


@pytest.mark.filterwarnings(  # TRL 1.16 asks transformers by the old name
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
)
def test_training_raises_the_agents_margin(parrot: Any, tmp_path: Path) -> None:
    asked = {"role": "user", "content": "how many tea?"}
    call = {"type": "function", "function": {"name": "count", "arguments": {"thing": "tea"}}}
    other = {"type": "function", "function": {"name": "count", "arguments": {"thing": "rice"}}}
    chats = [
        [
            asked, {"role": "assistant", "content": "", "tool_calls": [made]},
            {"role": "tool", "content": result},
            {"role": "assistant", "content": f"It is {result}."},
        ]
        for made, result in ((other, "15"), (call, "3"))
    ]  # fmt: skip
    pair = masked_pair(*tokenise(chats, parrot.tokenizer))
    assert pair is not None
    before = agent_margin(parrot, pair)
    assert before < 0  # by heart it would count tea, and the pair prefers rice
    told: list[tuple[int, int]] = []
    ran = train_dpo(
        parrot, [pair] * 32, config=DpoConfig(learning_rate=3e-3, batch_size=4),
        run=TrainerRun(tmp_path, 0, lambda done, total: told.append((done, total))),
    )  # fmt: skip
    assert agent_margin(parrot, pair) > before + 2
    assert told[-1] == (8, 8)  # 32 pairs by 4
    margins = [row["rewards/margins"] for row in ran.history if "rewards/margins" in row]
    assert margins[-1] > margins[0]
