"""Read a model's shape from its configuration, without its weights.

The model is made on PyTorch's `meta` device, which keeps sizes and no numbers, so that the counts
hold for any architecture that transformers knows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from models.tiny import tiny_config
from schemas.errors import ConfigurationError
from schemas.model_shape import ModelShape
from schemas.training_config import TinyPolicy


def shape_of(values: dict[str, Any]) -> ModelShape:
    """Give the shape that a `config.json` describes.

    Args:
        values: What the file holds.

    Raises:
        ConfigurationError: transformers knows no such model.
    """
    kind = values.get("model_type")
    try:
        config = AutoConfig.for_model(**values)
        return measured(config)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"A config.json of type {kind!r} describes no causal language model that transformers"
            f" knows: {' '.join(str(error).split())[:200]}",
            "Choose a text model, or upgrade transformers.",
        ) from error


def tiny_shape(policy: TinyPolicy) -> ModelShape:
    """Give the shape of a tiny policy that has the largest vocabulary it may have."""
    return measured(tiny_config(policy, policy.vocabulary, 1, 0))


def measured(config: PretrainedConfig) -> ModelShape:
    """Count a model's weights on the `meta` device."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    linear = [m for m in model.modules() if isinstance(m, nn.Linear) and m is not head]
    text = config.get_text_config()
    heads = int(text.num_attention_heads)
    return ModelShape(
        parameters=sum(p.numel() for p in model.parameters()),
        matrices=sum(p.numel() for p in model.parameters() if p.ndim == 2 and id(p) not in tables),
        adapter_rows=sum(m.in_features + m.out_features for m in linear),
        hidden=int(text.hidden_size),
        intermediate=int(getattr(text, "intermediate_size", None) or 4 * text.hidden_size),
        layers=int(text.num_hidden_layers),
        heads=heads,
        key_value_heads=int(getattr(text, "num_key_value_heads", None) or heads),
        head_width=int(getattr(text, "head_dim", None) or text.hidden_size // heads),
        vocabulary=int(text.vocab_size),
        context=int(getattr(text, "max_position_embeddings", None) or 0),
    )
