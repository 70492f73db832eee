"""The growing cache gives what a full recompute gives, also after rows are dropped."""

from typing import Any

import torch

from models.cache import GrowingCache


def test_a_growing_cache_gives_the_logits_of_a_full_recompute(new: Any) -> None:
    model = new().model.eval()
    # 150 tokens cross the buffers' chunk of 64 twice.
    ids = torch.randint(0, 300, (3, 150), generator=torch.Generator().manual_seed(0))
    cache = GrowingCache(2)
    with torch.inference_mode():
        whole = model(input_ids=ids, use_cache=False).logits
        parts = [
            model(input_ids=ids[:, a:b], past_key_values=cache, use_cache=True).logits
            for a, b in [(0, 60), *((i, i + 1) for i in range(60, 70)), (70, 150)]
        ]
    assert cache.get_seq_length() == 150
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)


def test_rows_that_are_kept_go_on_as_if_they_had_been_alone(new: Any) -> None:
    model = new().model.eval()
    ids = torch.randint(0, 300, (4, 30), generator=torch.Generator().manual_seed(1))
    cache = GrowingCache(2)
    rows = torch.tensor([3, 1])
    with torch.inference_mode():
        model(input_ids=ids[:, :20], past_key_values=cache, use_cache=True)
        cache.keep_rows(rows)
        after = model(input_ids=ids[rows, 20:], past_key_values=cache, use_cache=True).logits
        alone = model(input_ids=ids[rows], use_cache=False).logits[:, 20:]
    torch.testing.assert_close(after, alone, atol=1e-5, rtol=1e-5)


def test_an_empty_cache_has_no_rows_to_drop() -> None:
    cache = GrowingCache(1)
    cache.keep_rows(torch.tensor([0]))
    assert cache.get_seq_length() == 0
