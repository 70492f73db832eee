"""A policy on disk: what is saved acts the same when loaded, and its digest is its identity."""

from pathlib import Path
from typing import Any

import pytest
import torch

from models.policy import add_adapter, load_policy, save_policy, use_threads, weights_digest
from schemas.errors import MissingStateError


def test_a_saved_policy_acts_the_same_when_loaded(new: Any, tmp_path: Path) -> None:
    policy = new(seed=3)
    save_policy(policy, tmp_path)
    again = load_policy(tmp_path)
    ids = torch.arange(20)[None]
    with torch.inference_mode():
        one, two = (p.model.eval()(input_ids=ids).logits for p in (policy, again))
    torch.testing.assert_close(one, two)
    assert policy.folder == again.folder == str(tmp_path)
    assert again.tokenizer.chat_template == policy.tokenizer.chat_template


def test_weights_are_saved_without_pickle(new: Any, tmp_path: Path) -> None:
    save_policy(new(), tmp_path)
    assert (tmp_path / "model.safetensors").exists()
    assert not [p for p in tmp_path.iterdir() if p.suffix in {".bin", ".pt", ".pkl"}]


def test_the_digest_changes_with_the_weights_alone(new: Any, tmp_path: Path) -> None:
    policy = new(seed=3)
    first = weights_digest(save_policy(policy, tmp_path / "a"))
    assert weights_digest(save_policy(policy, tmp_path / "b")) == first
    with torch.no_grad():
        next(policy.model.parameters())[0, 0] += 1e-3
    assert weights_digest(save_policy(policy, tmp_path / "c")) != first
    assert weights_digest(save_policy(new(seed=4), tmp_path / "d")) != first


def test_the_same_seed_gives_the_same_weights(new: Any, tmp_path: Path) -> None:
    folders = [save_policy(new(seed=7), tmp_path / name) for name in ("a", "b")]
    assert weights_digest(folders[0]) == weights_digest(folders[1])


def test_a_missing_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MissingStateError, match=r"nothing-here cannot be loaded") as caught:
        load_policy(tmp_path / "nothing-here")
    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(MissingStateError, match="No weights"):
        weights_digest(tmp_path)


def test_threads_can_be_limited() -> None:
    before = torch.get_num_threads()
    try:
        use_threads(1)
        assert torch.get_num_threads() == 1
    finally:
        use_threads(before)


# peft reads transformers' old name of the setting
def test_an_adapter_changes_nothing_until_trained_and_is_merged_when_saved(
    new: Any, tmp_path: Path
) -> None:
    saved = save_policy(new(seed=3), tmp_path / "base")
    ids = torch.tensor([[3, 5, 8]])
    plain = load_policy(saved).model.eval()(ids).logits
    adapted = add_adapter(load_policy(saved), rank=2)
    assert torch.equal(adapted.model.eval()(ids).logits, plain)
    trainable = [name for name, p in adapted.model.named_parameters() if p.requires_grad]
    assert trainable
    assert all("lora" in name for name in trainable)

    with torch.no_grad():
        for name, weight in adapted.model.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.1)
    moved = adapted.model(ids).logits
    assert not torch.allclose(moved, plain, atol=1e-4)
    merged = load_policy(save_policy(adapted, tmp_path / "merged")).model.eval()
    assert torch.allclose(merged(ids).logits, moved, atol=1e-5)
    assert not any("lora" in name for name, _ in merged.named_parameters())
