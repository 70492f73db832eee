"""A model's shape, read without its weights, is that of the model itself."""

from typing import Any

import pytest

from models.shape import shape_of, tiny_shape
from schemas.errors import ConfigurationError
from schemas.training_config import TinyPolicy

QWEN_06B = {
    "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024, "intermediate_size": 3072,
    "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
    "tie_word_embeddings": True,
}  # fmt: skip
"""The published sizes of Qwen3-0.6B."""


def test_the_published_sizes_give_the_published_number_of_parameters() -> None:
    # Embedding 151936 x 1024; a layer: q and o 2 x 1024 x 2048, k and v 2 x 1024 x 1024, three
    # feed-forward matrices 1024 x 3072, norms 2 x 1024 + 2 x 128; the last norm 1024.
    layer = 2 * 1024 * 2048 + 2 * 1024 * 1024 + 3 * 1024 * 3072
    shape = shape_of(QWEN_06B)
    assert shape.parameters == 151936 * 1024 + 28 * (layer + 2 * 1024 + 2 * 128) + 1024
    assert shape.matrices == 28 * layer
    # Rank 1 adds a row of each matrix's inputs and one of its outputs:
    # q 1024+2048, k and v 1024+1024, o 2048+1024, gate and up 1024+3072, down 3072+1024.
    assert shape.adapter_rows == 28 * (3072 + 2 * 2048 + 3072 + 3 * 4096)
    assert (shape.queries, shape.keys) == (2048, 1024)


def test_a_tiny_policys_shape_counts_the_weights_it_has(new: Any, tokenizer: Any) -> None:
    size = TinyPolicy(
        hidden_size=32, layers=2, heads=2, vocabulary=len(tokenizer), context=256
    )  # as large as its tokenizer came out
    assert tiny_shape(size).parameters == new(0, size).model.num_parameters()


def test_a_model_that_is_no_language_model_is_one_clear_line() -> None:
    with pytest.raises(ConfigurationError, match="'vit' describes no causal language model") as one:
        shape_of({"model_type": "vit"})
    with pytest.raises(ConfigurationError, match="'nonsense' describes"):
        shape_of({"model_type": "nonsense"})
    assert "\n" not in str(one.value)
