"""Kahneman-Tversky optimisation over TRL: single episodes, liked or not, by the agent's own tokens.

TRL's completion mask is everything after the prompt, and its estimate of the divergence from the
reference reads a prompt with the completion of another episode, tool results included. Here both
masks are zero wherever the agent did not speak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from datasets import Dataset, Features, List, Value
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from trl import KTOConfig as TrlKtoConfig
from trl import KTOTrainer
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

from models.cutting import Trained
from models.mask_audit import SAMPLE, speakers_of, under_mask
from models.masks import Masked
from models.policy import LoadedPolicy, forget_reference
from models.trainers.run import Ran, TrainerRun, batches, run_trainer, trainer_arguments
from schemas.errors import ConfigurationError
from schemas.recipe_config import KtoConfig

MOST_DESIRABLE = 4 / 3
"""Largest ratio of the weight of all liked episodes to that of all others; the smallest is 1."""
_IDS = Features(
    {
        **{name: List(Value("int32")) for name in ("prompt_ids", "completion_ids")},
        "KL_completion_ids": List(Value("int32")),
        "label": Value("bool"),
    }
)
_SAID = Features({name: List(Value("int8")) for name in ("said", "KL_said")})


class Judged(msgspec.Struct, frozen=True):
    """A tokenised episode, and whether its outcome was good."""

    row: Masked
    desirable: bool


@dataclass
class AgentTokensUnpairedCollator(DataCollatorForUnpairedPreference):
    """TRL's collator with tool and user tokens taken out of the loss and of the divergence."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Collate episodes, and prompts with the completions of others, `(batch, time)` each."""
        batch: dict[str, Any] = super().torch_call(examples)
        for prefix in ("", "KL_"):
            mask = batch[f"{prefix}completion_mask"]
            for row, example in enumerate(examples):
                start = len(example["prompt_ids"])
                said = example[f"{prefix}said"][: mask.shape[1] - start]
                mask[row, start : start + len(said)] *= torch.tensor(said, dtype=mask.dtype)
        return batch


class TokenisedKtoTrainer(KTOTrainer):
    """TRL's KTO trainer for rows that are tokens already, with the completions of others."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset


def train_kto(
    policy: LoadedPolicy, rows: Sequence[Judged], *, config: KtoConfig, run: TrainerRun
) -> Ran:
    """Train a policy in place on judged episodes; the policy as it comes in is the reference.

    Args:
        policy: Trained in place.
        rows: Tokenised episodes of both kinds; each has a token that the agent said.
        config: The recipe.
        run: Where it writes, what it tells and when it stops.

    Returns:
        How far it came, and what TRL logged a few steps apart: loss, rewards of both kinds, their
        margin, and the estimated divergence `kl` from the reference, nats an episode.

    Raises:
        ConfigurationError: A process would have one episode at a time.

    Source: Ethayarajh et al. 2024, https://arxiv.org/abs/2402.01306, equations 7 and 8.
    """
    desirable, undesirable = weights([one.desirable for one in rows])
    forget_reference(policy)
    shared = batches(run, config.batch_size)
    size = int(shared["per_device_train_batch_size"])
    if size < 2:
        raise ConfigurationError(
            f"KTO compares episodes at once, and train.kto.batch_size = {config.batch_size} in"
            f" {run.parts} parts over {run.processes} processes leaves one alone.",
            "Raise train.kto.batch_size, or lower train.devices.",
        )
    settings = TrlKtoConfig(
        **trainer_arguments(run, policy.model.device.type),
        **shared,
        num_train_epochs=1.0,  # the passes stand in the rows: TRL takes them in their order
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant",
        beta=config.beta,
        desirable_weight=desirable,
        undesirable_weight=undesirable,
        max_length=None,
        precompute_ref_log_probs=True,
        remove_unused_columns=False,
    )
    trainer = TokenisedKtoTrainer(
        model=policy.model,
        args=settings,
        train_dataset=as_dataset(arranged(rows, config.epochs, size, run.seed), config, size),
        processing_class=policy.tokenizer,
        data_collator=collator(rows, config, policy.tokenizer),
    )
    ran = run_trainer(trainer, run)
    forget_reference(policy)
    return ran


def weights(desirable: Sequence[bool]) -> tuple[float, float]:
    """Weigh both kinds so that the liked weigh 1 to 4/3 times as much as the others in all.

    Returns:
        Weight of each liked episode and of each other; the scarcer kind is raised, none lowered.

    Source: Ethayarajh et al. 2024, equation 8.
    """
    liked = sum(desirable)
    others = len(desirable) - liked
    if not liked or not others:
        return 1.0, 1.0
    ratio = liked / others
    return max(1.0, 1 / ratio), max(1.0, ratio / MOST_DESIRABLE)


def arranged(rows: Sequence[Judged], epochs: float, size: int, seed: int) -> list[Judged]:
    """Put all passes into one order in which every batch holds both kinds in their proportion.

    A last batch of one episode is left out: its completion has no other prompt to stand under.

    Args:
        rows: Episodes of both kinds.
        epochs: Passes over them; the last may be a part of one.
        size: Episodes that are computed at once.
        seed: Of the order.
    """
    rng = np.random.default_rng([seed, 71])
    order: list[Judged] = []
    for part in range(int(np.ceil(epochs))):
        one = _mixed(rows, rng)
        order += one[: round(min(1.0, epochs - part) * len(rows))]
    return order[:-1] if len(order) % size == 1 else order


def _mixed(rows: Sequence[Judged], rng: np.random.Generator) -> list[Judged]:
    """Shuffle each kind and spread it evenly over the whole."""
    places: list[tuple[float, int]] = []
    for kind in (True, False):
        own = rng.permutation([n for n, row in enumerate(rows) if row.desirable is kind])
        places += [((place + 0.5) / len(own), int(n)) for place, n in enumerate(own)]
    return [rows[n] for _, n in sorted(places)]


def as_dataset(rows: Sequence[Judged], config: KtoConfig, size: int) -> Dataset:
    """Part episodes before the agent's first word, and give each the completion of another.

    Within a batch the completions move on by one, as TRL does it: what the divergence is estimated
    on are the batch's own completions under other prompts.

    Args:
        rows: Episodes in the order in which they are trained on.
        config: Says whether who spoke is told.
        size: Episodes that are computed at once.
    """
    starts = [one.row.agent_mask.index(1) for one in rows]
    other = [n - 1 if n % size else min(n + size, len(rows)) - 1 for n in range(len(rows))]
    ids = [one.row.input_ids[start:] for one, start in zip(rows, starts, strict=True)]
    columns: dict[str, list[Any]] = {
        "prompt_ids": [one.row.input_ids[:s] for one, s in zip(rows, starts, strict=True)],
        "completion_ids": ids,
        "KL_completion_ids": [ids[n] for n in other],
        "label": [one.desirable for one in rows],
    }
    features = _IDS
    if config.agent_tokens_only:
        said = [one.row.agent_mask[start:] for one, start in zip(rows, starts, strict=True)]
        columns |= {"said": said, "KL_said": [said[n] for n in other]}
        features = Features({**_IDS, **_SAID})
    return Dataset.from_dict(columns, features=features)


def collator(
    rows: Sequence[Judged], config: KtoConfig, tokenizer: PreTrainedTokenizerBase
) -> DataCollatorForUnpairedPreference:
    """Choose whose tokens count; no row with another's completion is longer than the longest."""
    kind = DataCollatorForUnpairedPreference
    if config.agent_tokens_only:
        kind = AgentTokensUnpairedCollator
    longest = max(len(one.row.input_ids) for one in rows)
    return kind(pad_token_id=int(tokenizer.pad_token_id), max_length=longest)


def kto_under_mask(
    kept: Sequence[Trained], tokenizer: PreTrainedTokenizerBase, config: KtoConfig
) -> dict[str, int]:
    """Count whose tokens weigh in the loss, in an even sample of the episodes.

    Returns:
        Tokens under the loss by speaker, of `models.mask_audit.SPEAKERS`.
    """
    sample = kept[:: max(1, -(-len(kept) // SAMPLE))]
    rows = [Judged(row, desirable=True) for _, row in sample]
    batch = collator(rows, config, tokenizer).torch_call(list(as_dataset(rows, config, len(rows))))
    speakers = [speakers_of(one, row, tokenizer) for one, row in sample]
    return under_mask(batch["completion_mask"].numpy(), speakers)
