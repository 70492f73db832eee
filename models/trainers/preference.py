"""Direct preference optimisation over TRL, with the loss on the agent's own tokens only.

TRL's completion mask is everything after the prompt, tool results included, so a stock DPO run on
tool-calling episodes mostly learns which environment text goes with the better episode. Here the
collator zeroes the mask wherever the agent did not speak; TRL's own is there to compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from datasets import Dataset, Features, List, Value
from trl import DPOConfig as TrlDpoConfig
from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from models.masks import Masked
from models.policy import LoadedPolicy, forget_reference
from models.trainers.run import Ran, TrainerRun, batches, run_trainer, trainer_arguments
from schemas.recipe_config import DpoConfig

_IDS = Features(
    {name: List(Value("int32")) for name in ("prompt_ids", "chosen_ids", "rejected_ids")}
)
_SAID = Features({name: List(Value("int8")) for name in ("chosen_mask", "rejected_mask")})


class MaskedPair(msgspec.Struct, frozen=True):
    """A tokenised pair: one prompt, two continuations, and who said what in them."""

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    chosen_mask: list[int]
    """1 for each token of `chosen_ids` the agent produced, else 0."""
    rejected_mask: list[int]


def masked_pair(chosen: Masked, rejected: Masked) -> MaskedPair | None:
    """Split two tokenised episodes where they part.

    Whatever both begin with is context, not preference: it cancels in the loss.

    Returns:
        The pair; None if one side has no agent token after the parting, and so no say in the loss.
    """
    shared = 0
    for one, other in zip(chosen.input_ids, rejected.input_ids, strict=False):
        if one != other:
            break
        shared += 1
    pair = MaskedPair(
        chosen.input_ids[:shared],
        chosen.input_ids[shared:],
        rejected.input_ids[shared:],
        chosen.agent_mask[shared:],
        rejected.agent_mask[shared:],
    )
    return pair if any(pair.chosen_mask) and any(pair.rejected_mask) else None


@dataclass
class AgentTokensCollator(DataCollatorForPreference):
    """TRL's preference collator with tool and user tokens taken out of the loss."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Collate chosen rows above rejected ones, `(2 * batch, time)`."""
        batch: dict[str, Any] = super().torch_call(examples)
        mask = batch["completion_mask"]
        sides = [(e, e["chosen_mask"]) for e in examples] + [
            (e, e["rejected_mask"]) for e in examples
        ]
        for row, (example, said) in enumerate(sides):
            start = len(example["prompt_ids"])
            mask[row, start : start + len(said)] *= torch.tensor(said, dtype=mask.dtype)
        return batch


class TokenisedDpoTrainer(DPOTrainer):
    """TRL's DPO trainer for rows that are tokens already."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset


def train_dpo(
    policy: LoadedPolicy,
    pairs: Sequence[MaskedPair],
    *,
    config: DpoConfig,
    run: TrainerRun,
) -> Ran:
    """Train a policy in place on pairs; the policy as it comes in is the reference.

    Args:
        policy: Trained in place.
        pairs: Tokenised pairs.
        config: The recipe.
        run: Where it writes, what it tells and when it stops.

    Returns:
        How far it came, and what TRL logged a few steps apart: loss, rewards of both sides,
        accuracy, margin.

    Source: Rafailov et al. 2023, https://arxiv.org/abs/2305.18290, equation 7; the likelihood of
        the chosen side is added as in Pang et al. 2024, https://arxiv.org/abs/2404.19733.
    """
    forget_reference(policy)
    settings = TrlDpoConfig(
        **trainer_arguments(run, policy.model.device.type),
        **batches(run, config.batch_size),
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant",
        beta=config.beta,
        loss_type=["sigmoid", "sft"],
        loss_weights=[1.0, config.sft_weight],
        max_length=None,
        precompute_ref_log_probs=True,
        remove_unused_columns=False,
    )
    trainer = TokenisedDpoTrainer(
        model=policy.model,
        args=settings,
        train_dataset=as_dataset(pairs, config),
        processing_class=policy.tokenizer,
        data_collator=collator(policy, config),
    )
    ran = run_trainer(trainer, run)
    forget_reference(policy)
    return ran


def as_dataset(pairs: Sequence[MaskedPair], config: DpoConfig) -> Dataset:
    """Put pairs into a dataset with explicit types; who spoke is told only where it counts.

    TRL keeps reference log-probabilities by the dataset's content, to which the mask must belong.
    """
    features = Features({**_IDS, **_SAID}) if config.agent_tokens_only else _IDS
    columns = {name: [getattr(p, name) for p in pairs] for name in features}
    return Dataset.from_dict(columns, features=features)


def collator(policy: LoadedPolicy, config: DpoConfig) -> DataCollatorForPreference:
    """Choose whose tokens count: the agent's, or all after the prompt."""
    kind = AgentTokensCollator if config.agent_tokens_only else DataCollatorForPreference
    return kind(pad_token_id=policy.tokenizer.pad_token_id)
