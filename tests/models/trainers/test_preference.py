"""Preference by pairs: what both sides share is context, and only the agent's tokens weigh."""

from pathlib import Path
from typing import Any

import torch
from trl import DPOConfig as TrlDpoConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference

from models.masks import Masked, tokenise
from models.trainers.preference import (
    AgentTokensCollator,
    MaskedPair,
    TokenisedDpoTrainer,
    as_dataset,
    collator,
    masked_pair,
    train_dpo,
)
from models.trainers.run import TrainerRun, trainer_arguments
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


OURS, STOCK = DpoConfig(), DpoConfig(agent_tokens_only=False)


def test_stock_is_trls_own_collator_and_is_told_no_mask(new: Any) -> None:
    policy, pair = new(), masked_pair(CHOSEN, REJECTED)
    assert pair is not None
    assert type(collator(policy, STOCK)) is DataCollatorForPreference
    assert type(collator(policy, OURS)) is AgentTokensCollator
    ids = {"prompt_ids", "chosen_ids", "rejected_ids"}
    assert set(as_dataset([pair], STOCK).column_names) == ids
    assert set(as_dataset([pair], OURS).column_names) == ids | {"chosen_mask", "rejected_mask"}


def gradients(new: Any, folder: Path, config: DpoConfig, last: int) -> list[torch.Tensor]:
    """Give the loss's gradient when both sides end with a token of the tool's, `last`."""
    pair = masked_pair(
        Masked([5, 11, 12, 13, last], [0, 0, 1, 1, 0]), Masked([5, 11, 14, last], [0, 0, 1, 0])
    )
    assert pair is not None
    policy = new(seed=5)
    trainer = TokenisedDpoTrainer(
        model=policy.model,
        args=TrlDpoConfig(
            **trainer_arguments(TrainerRun(folder, 0), "cpu"), per_device_train_batch_size=1,
            loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.3], max_length=None,
            precompute_ref_log_probs=True, remove_unused_columns=False,
        ),
        train_dataset=as_dataset([pair], config), processing_class=policy.tokenizer,
        data_collator=collator(policy, config),
    )  # fmt: skip
    (batch,) = trainer.get_train_dataloader()
    trainer.compute_loss(policy.model, dict(batch)).backward()
    return [p.grad for p in policy.model.parameters() if p.grad is not None]


def test_what_the_tool_said_changes_no_gradient_unless_stock_is_asked_for(
    new: Any, tmp_path: Path
) -> None:
    # Nothing stands after the tool's token: it is seen only where it has a loss of its own.
    ours = [gradients(new, tmp_path, OURS, last) for last in (20, 30)]
    for one, two in zip(*ours, strict=True):
        torch.testing.assert_close(one, two, atol=1e-7, rtol=1e-4)
    assert max(one.abs().max() for one in ours[0]) > 1e-3
    stock = [gradients(new, tmp_path, STOCK, last) for last in (20, 30)]
    gaps = [(one - two).abs().max() for one, two in zip(*stock, strict=True)]
    assert max(gaps) > 1e-3


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
