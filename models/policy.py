"""A policy on disk and in memory: weights, tokenizer and chat template together."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from models.processes import is_first, wait_for_all
from schemas.errors import ConfigurationError, MissingStateError

_REFERENCE = "ref"
"""TRL's name of the adapter that it copies."""


@dataclass
class LoadedPolicy:
    """A policy ready to act or to be trained."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    folder: str
    """Where it was loaded from: TRL reloads a reference policy from here."""


def load_policy(folder: str | Path, device: str = "cpu", dtype: str = "float32") -> LoadedPolicy:
    """Load a policy from a folder, or a model from a hub id.

    Args:
        folder: A `save_pretrained` folder, or a hub id.
        device: Where its tensors live.
        dtype: Name of the torch type of its weights.

    Raises:
        MissingStateError: There is no such model here and none can be fetched.
        ConfigurationError: Its chat template cannot be trained with.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    except OSError as error:
        first = str(error).splitlines()[0]
        raise MissingStateError(
            f"The policy {folder} cannot be loaded: {first}",
            "Give the folder of a saved model, or a hub id that this machine can reach.",
        ) from error
    _mark_agent_text(tokenizer, folder)
    if tokenizer.pad_token_id is None:  # as TRL does, but before anything here asks for it
        tokenizer.pad_token = tokenizer.eos_token
    model.to(device)  # type: ignore[arg-type] # its decorator hides the signature
    return LoadedPolicy(model, tokenizer, str(folder))


def _mark_agent_text(tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> None:
    """Give a hub model's tokenizer TRL's training template, which marks what the agent says.

    Raises:
        ConfigurationError: Its template neither marks it nor is one that TRL knows.
    """
    if re.search(r"\{%-?\s*generation\s*-?%\}", str(tokenizer.chat_template)):
        return
    from trl.chat_template_utils import get_training_chat_template

    try:
        tokenizer.chat_template = get_training_chat_template(tokenizer)
    except ValueError as error:
        raise ConfigurationError(
            f"The chat template of {folder} does not mark what the agent says, and TRL has no"
            " training template for it.",
            "Wrap the agent's text in {% generation %} in the model's chat_template.jinja.",
        ) from error


def add_adapter(policy: LoadedPolicy, rank: int, seed: int = 0) -> LoadedPolicy:
    """Put a LoRA adapter on every linear layer, and leave the weights beneath it as they are.

    Args:
        policy: Its model is wrapped; only the adapter trains from here on.
        rank: Rank of the adapter; its scale is 2, whatever the rank.
        seed: Of the adapter's first matrices; a run that is taken up makes the same ones.

    Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685.
    """
    settings = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    device = policy.model.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        policy.model = cast(PreTrainedModel, get_peft_model(policy.model, settings))
    return policy


def forget_reference(policy: LoadedPolicy) -> None:
    """Remove the copy of a fresh adapter that TRL adds to a model as its reference.

    TRL adds it whenever a trainer is made, and refuses a model that has one already.
    """
    if isinstance(policy.model, PeftModel) and _REFERENCE in policy.model.peft_config:
        policy.model.delete_adapter(_REFERENCE)


def save_policy(policy: LoadedPolicy, folder: Path) -> Path:
    """Save weights (safetensors), configuration, tokenizer and template into a folder.

    An adapter is merged into the weights first: what is saved can be served and trained further
    by anything that loads a model. Of several processes that train together the first one writes,
    and the others wait for it.
    """
    if isinstance(policy.model, PeftModel):
        policy.model = cast(PreTrainedModel, policy.model.merge_and_unload())
    if is_first():
        policy.model.save_pretrained(folder)
        policy.tokenizer.save_pretrained(folder)
    wait_for_all()
    policy.folder = str(folder)
    return folder


def use_threads(count: int) -> None:
    """Let this process compute with so many CPU threads."""
    torch.set_num_threads(count)


def weights_digest(folder: Path) -> str:
    """Digest a saved policy's weight files: the identity of what would be served.

    Args:
        folder: A `save_pretrained` folder.

    Raises:
        MissingStateError: The folder holds no weights.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise MissingStateError(
            f"No weights (*.safetensors) in {folder}.", "Train a policy first: flywheel train."
        )
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
