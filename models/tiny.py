"""The tiny policy: a Llama of about half a million parameters from a random start."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from schemas.training_config import TinyPolicy


def new_policy(
    config: TinyPolicy, tokenizer: PreTrainedTokenizerFast, seed: int
) -> LlamaForCausalLM:
    """Make a randomly started policy for a tokenizer.

    Args:
        config: Its size.
        tokenizer: Gives the vocabulary and the end and padding tokens.
        seed: Seed of the weights.
    """
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden_size,
            intermediate_size=4 * config.hidden_size * 2 // 3 // 16 * 16,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=config.context,
            tie_word_embeddings=True,
            rope_theta=10_000.0,  # type: ignore[call-arg] # an old spelling; still read
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
