"""A reward model: a policy's backbone with one output, trained on pairs, that scores episodes.

TRL's RewardTrainer fits it so that the better episode of a pair scores higher. A score has no unit:
it is log-odds against another episode of the same problem, and what it means of one episode alone
is for a calibration to say.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset, Features, List, Value
from peft import LoraConfig, PeftModel
from torch.utils.data import Sampler
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from transformers.utils import logging
from trl import RewardConfig as TrlRewardConfig
from trl import RewardTrainer

from models.chat import TEMPLATE, renders, to_chat
from models.policy import LoadedPolicy, load_policy
from models.tiny import new_policy
from models.tokenizer import render, train_tokenizer
from models.trainers.run import TrainerRun, run_trainer, trainer_arguments
from models.trainers.sft import BucketedBatches
from schemas.dataset import Pair
from schemas.episode import Message
from schemas.errors import ConfigurationError, TrainingError
from schemas.label_config import RewardModelConfig
from schemas.training_config import HubPolicy, Policy, TinyPolicy

Floats = npt.NDArray[np.float64]
Told = Callable[[int, int], None]

BATCH = 32
"""Episodes scored at once."""
CENTRE = 0.01
"""Weight of the pull of both scores of a pair towards 0: a pair says nothing about where the scores
of its problem lie, and episodes of different problems are to be compared.
Source: Eisenstein et al. 2023, https://arxiv.org/abs/2312.09244, equation 2."""
RECORD = "reward_model.json"

_FEATURES = Features({name: List(Value("int32")) for name in ("chosen_ids", "rejected_ids")})


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What a reward model was made from, kept beside its weights."""

    context: int
    """Longest episode it takes, tokens."""
    used: int
    """Pairs it was trained on."""
    skipped: int
    """Pairs left out: longer than the context whatever is cut, equal once cut, or not to be
    rendered."""
    start: str | None
    """Folder or hub id of the policy whose backbone it has; None for a random start."""
    history: list[dict[str, float]]
    """What TRL logged a few steps apart: loss, accuracy, margin and rewards."""


class ScoringModel:
    """A trained reward model.

    Args:
        model: Sequence classification with one output.
        tokenizer: With the chat template it was trained on.
        training: What it was made from.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, training: Training
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.training = training

    @torch.inference_mode()
    def scores(
        self,
        episodes: Sequence[Sequence[Message]],
        tools: Sequence[str | None],
        progress: Told = lambda done, total: None,
    ) -> Floats:
        """Score whole episodes, those of like length together.

        Args:
            episodes: Messages of each, as the agent saw and said them.
            tools: Tool schemas of each as JSON text, or None.
            progress: Told episodes done and in all.

        Returns:
            Scores `(episodes,)`, higher is better; NaN for an episode that cannot be rendered, or
            whose prompt and last step are longer than the context.
        """
        rows = token_ids(episodes, tools, self.tokenizer, self.training.context)
        found = np.full(len(rows), np.nan)
        order = sorted((i for i, ids in enumerate(rows) if ids), key=lambda i: len(rows[i] or ()))
        pad = self.tokenizer.pad_token_id
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            ids = [torch.tensor(rows[i]) for i in batch]
            padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=pad)
            mask = torch.arange(padded.shape[1]) < torch.tensor([[len(one)] for one in ids])
            device = self.model.device
            given = {"input_ids": padded.to(device), "attention_mask": mask.long().to(device)}
            logits = self.model(**given, use_cache=False).logits
            found[batch] = logits.squeeze(-1).double().cpu().numpy()
            progress(start + len(batch), len(order))
        return found

    def save(self, folder: Path) -> Path:
        """Save weights (safetensors), configuration, tokenizer and what it was made from."""
        with _without_bars():
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        (folder / RECORD).write_bytes(msgspec.json.encode(self.training))
        return folder

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> ScoringModel:
        """Load what `save` wrote, in the precision it was saved in."""
        with _without_bars():
            model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="auto")
        training = msgspec.json.decode((folder / RECORD).read_bytes(), type=Training)
        return cls(model.to(device), AutoTokenizer.from_pretrained(folder), training)


class BucketedRewardTrainer(RewardTrainer):
    """TRL's reward trainer with batches of like length."""

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler[int]:
        rows: Any = dataset if dataset is not None else self.train_dataset
        sides = zip(rows["chosen_ids"], rows["rejected_ids"], strict=True)
        lengths = [max(len(chosen), len(rejected)) for chosen, rejected in sides]
        return BucketedBatches(lengths, self.args.per_device_train_batch_size, self.args.seed)


def train_reward_model(
    policy: Policy,
    pairs: Sequence[Pair],
    *,
    start: str | None,
    config: RewardModelConfig,
    folder: Path,
    seed: int,
    device: str = "cpu",
    progress: Told = lambda done, total: None,
) -> ScoringModel:
    """Train a reward model on pairs and save it.

    Args:
        policy: What kind of policy the backbone is: its size or hub id, precision and context.
        pairs: Whole episodes, the better and the worse; at most `config.max_pairs` are used.
        start: Folder of the policy whose backbone is taken; None takes the hub model itself, or a
            tiny one from a random start with a tokenizer trained on the pairs.
        config: The recipe.
        folder: Where it is saved.
        seed: Seed of the output's weights and of the order.
        device: Where tensors live.
        progress: Told steps done and in all.

    Returns:
        The model as it was saved.

    Raises:
        TrainingError: Fewer than `config.min_pairs` pairs fit into the context.
        ConfigurationError: The backbone's architecture has no sequence classification.

    Source: Bradley and Terry 1952, https://doi.org/10.2307/2334029; Ouyang et al. 2022,
        https://arxiv.org/abs/2203.02155, equation 1, with one pair a prompt.
    """
    usable = [p for p in pairs if renders([*p.prompt, *p.chosen, *p.rejected])][: config.max_pairs]
    with _without_bars():
        loaded = _backbone(policy, start, usable, device, seed)
    rows = _pair_rows(usable, loaded.tokenizer, policy.context)
    if len(rows) < config.min_pairs:
        raise TrainingError(
            f"{len(rows)} of {len(pairs)} pairs fit into {policy.context} tokens and differ there;"
            f" a reward model needs {config.min_pairs}.",
            "Raise train.policy.context, or lower label.reward_model.min_pairs.",
        )
    run = TrainerRun(folder, seed, progress)
    settings = _settings(config, run, device)
    model, history = _fit(loaded, rows, settings, _adapter(policy), run)
    training = Training(
        context=policy.context, used=len(rows), skipped=min(len(pairs), config.max_pairs) -
        len(rows), start=loaded.folder or None, history=history,
    )  # fmt: skip
    # Read back, so that what scores tonight is what scores when it is taken up again.
    return ScoringModel.load(ScoringModel(model, loaded.tokenizer, training).save(folder), device)


def _fit(
    loaded: LoadedPolicy,
    rows: Sequence[tuple[list[int], list[int]]],
    settings: TrlRewardConfig,
    adapter: LoraConfig | None,
    run: TrainerRun,
) -> tuple[PreTrainedModel, list[dict[str, float]]]:
    """Train a backbone with one output on tokenised pairs; gives what TRL logged as well."""
    columns = {name: [row[side] for row in rows] for side, name in enumerate(_FEATURES)}
    trainer = BucketedRewardTrainer(
        model=_with_one_output(loaded, settings.seed),
        args=settings,
        train_dataset=Dataset.from_dict(columns, features=_FEATURES),
        processing_class=loaded.tokenizer,
        peft_config=adapter,
    )
    history = run_trainer(trainer, run).history
    made: Any = trainer.model
    return made.merge_and_unload() if isinstance(made, PeftModel) else made, history


@contextmanager
def _without_bars() -> Iterator[None]:
    """Keep transformers' own progress bars out of a stage that has one."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _settings(config: RewardModelConfig, run: TrainerRun, device: str) -> TrlRewardConfig:
    return TrlRewardConfig(
        **trainer_arguments(run, device),
        per_device_train_batch_size=config.batch_size,
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.04,
        weight_decay=0.01,
        max_length=None,
        center_rewards_coefficient=CENTRE,
    )


def _adapter(policy: Policy) -> LoraConfig | None:
    """Give the adapter that is trained in place of a hub model's weights, beside the output."""
    if isinstance(policy, TinyPolicy) or policy.lora_rank is None:
        return None
    rank = policy.lora_rank
    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="SEQ_CLS")


def _backbone(
    policy: Policy, start: str | None, pairs: Sequence[Pair], device: str, seed: int
) -> LoadedPolicy:
    """Load the policy whose backbone is taken, or make a tiny one that knows the pairs' words."""
    if isinstance(policy, HubPolicy):
        return load_policy(start or policy.model, device, policy.dtype)
    if start is not None:
        return load_policy(start, device)
    sides = [[*p.prompt, *side] for p in pairs for side in (p.chosen, p.rejected)]
    tokenizer = train_tokenizer(render([to_chat(m) for m in sides], TEMPLATE), policy.vocabulary)
    model = new_policy(policy, tokenizer, seed)
    model.to(device)  # type: ignore[arg-type] # its decorator hides the signature
    return LoadedPolicy(model, tokenizer, "")


def _with_one_output(loaded: LoadedPolicy, seed: int) -> PreTrainedModel:
    """Put a policy's backbone, without its vocabulary head, under one randomly started output.

    Raises:
        ConfigurationError: The architecture has no sequence classification.
    """
    settings = copy.deepcopy(loaded.model.config)
    settings.num_labels = 1
    try:
        with torch.device("meta"):  # the backbone is there already: nothing is filled twice
            made: PreTrainedModel = AutoModelForSequenceClassification.from_config(settings)
    except ValueError as error:
        raise ConfigurationError(
            f"A {settings.model_type} model cannot score: transformers has no sequence"
            " classification of that kind.",
            "Name another model in train.policy.model, or leave label.reward_model out.",
        ) from error
    setattr(made, made.base_model_prefix, loaded.model.base_model)
    torch.manual_seed(seed)
    for name, part in made.named_children():
        if name != made.base_model_prefix:
            part.to_empty(device=loaded.model.device)
            part.to(loaded.model.dtype)
            for weights in part.parameters():
                torch.nn.init.normal_(weights, std=getattr(settings, "initializer_range", 0.02))
    return made


def _pair_rows(
    pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase, context: int
) -> list[tuple[list[int], list[int]]]:
    """Tokenise both sides of each pair; what does not fit, or is cut to two equals, is left out."""
    tools = [p.tools for p in pairs]
    chosen = token_ids([[*p.prompt, *p.chosen] for p in pairs], tools, tokenizer, context)
    rejected = token_ids([[*p.prompt, *p.rejected] for p in pairs], tools, tokenizer, context)
    both = zip(chosen, rejected, strict=True)
    return [(one, other) for one, other in both if one and other and one != other]


def token_ids(
    episodes: Sequence[Sequence[Message]],
    tools: Sequence[str | None],
    tokenizer: PreTrainedTokenizerBase,
    context: int,
) -> list[list[int] | None]:
    """Tokenise whole episodes, what the agent said and what it was told alike.

    Of an episode that is too long the prompt (all before the agent's first message) and as many of
    the last steps as fit are kept: a step goes whole, with the results of its calls.

    Returns:
        Ids of each; None where it cannot be rendered, or prompt and last step do not fit.
    """
    groups: defaultdict[str | None, list[int]] = defaultdict(list)
    for place, messages in enumerate(episodes):
        if messages and renders(messages):
            groups[tools[place]].append(place)
    found: list[list[int] | None] = [None] * len(episodes)
    for offered, places in groups.items():
        chats = [to_chat(episodes[place]) for place in places]
        rendered = _rendered(chats, offered, tokenizer)
        for place, chat, ids in zip(places, chats, rendered, strict=True):
            fits = len(ids) <= context
            found[place] = ids if fits else _shortened(chat, offered, tokenizer, context)
    return found


def _rendered(
    chats: list[list[dict[str, Any]]], tools: str | None, tokenizer: PreTrainedTokenizerBase
) -> list[list[int]]:
    made: Any = tokenizer.apply_chat_template(
        chats, tools=msgspec.json.decode(tools) if tools else None, tokenize=True, return_dict=True
    )
    return [list(ids) for ids in made["input_ids"]]


def _shortened(
    chat: list[dict[str, Any]], tools: str | None, tokenizer: PreTrainedTokenizerBase, context: int
) -> list[int] | None:
    """Drop the earliest steps after the prompt until the rest fits; None when it never does."""
    steps = [place for place, turn in enumerate(chat) if turn["role"] == "assistant"]
    kept: list[int] | None = None
    low, high = 1, len(steps) - 1  # the first step kept: the smallest that fits is looked for
    while low <= high:
        middle = (low + high) // 2
        [ids] = _rendered([[*chat[: steps[0]], *chat[steps[middle] :]]], tools, tokenizer)
        if len(ids) <= context:
            kept, high = ids, middle - 1
        else:
            low = middle + 1
    return kept
