"""The tiny policy: a Qwen3 of about half a million parameters from a random start.

Qwen3 rather than Llama for its normalised queries and keys: on the same 504k tokens of the same
logs it had learnt to copy and solved .74 of the held-out scenarios, the Llama .16
(docs/decisions.md).
"""

from __future__ import annotations

import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from schemas.training_config import TinyPolicy


def new_policy(
    config: TinyPolicy, tokenizer: PreTrainedTokenizerFast, seed: int
) -> Qwen3ForCausalLM:
    """Make a randomly started policy for a tokenizer.

    Args:
        config: Its size.
        tokenizer: Gives the vocabulary and the end and padding tokens.
        seed: Seed of the weights.
    """
    torch.manual_seed(seed)
    end, padding = tokenizer.eos_token_id, tokenizer.pad_token_id
    return Qwen3ForCausalLM(tiny_config(config, len(tokenizer), end, padding))


def tiny_config(
    config: TinyPolicy, vocabulary: int, end: int | None, padding: int | None
) -> Qwen3Config:
    """Describe a tiny policy's model; `end` and `padding` are token ids."""
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=config.hidden_size,
        intermediate_size=4 * config.hidden_size * 2 // 3 // 16 * 16,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        head_dim=config.hidden_size // config.heads,
        max_position_embeddings=config.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=padding,
    )
