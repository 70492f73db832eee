"""One optimizer out of two: Muon moves the hidden matrices, AdamW everything else."""

import copy
from typing import Any

import torch

from models.trainers.optimizer import MuonWithAdamW


def names_by_part(model: Any, optimizer: MuonWithAdamW) -> dict[str, set[str]]:
    name = {id(p): n for n, p in model.named_parameters()}
    return {
        type(part).__name__: {name[id(p)] for g in part.param_groups for p in g["params"]}
        for part in optimizer._parts
    }


def step(model: Any, optimizer: MuonWithAdamW, seed: int) -> None:
    ids = torch.randint(0, 300, (2, 12), generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()


def test_embeddings_and_norms_get_adamw_and_matrices_muon(new: Any) -> None:
    model = new().model
    parts = names_by_part(model, MuonWithAdamW(model, 1e-2))
    # Two layers of four attention and three feed-forward matrices; the head is tied.
    assert len(parts["Muon"]) == 2 * (4 + 3)
    assert all(n.endswith("_proj.weight") for n in parts["Muon"])
    norms = parts["AdamW"] - {"model.embed_tokens.weight"}
    assert len(norms) == len(parts["AdamW"]) - 1 >= 2 * 2 + 1  # two a layer, and the last
    assert all(n.endswith("norm.weight") for n in norms)
    assert parts["Muon"] | parts["AdamW"] == {n for n, _ in model.named_parameters()}


def test_frozen_weights_stay_with_nobody(new: Any) -> None:
    model = new().model
    model.model.layers[0].self_attn.q_proj.weight.requires_grad_(False)
    parts = names_by_part(model, MuonWithAdamW(model, 1e-2))
    assert "model.layers.0.self_attn.q_proj.weight" not in parts["Muon"] | parts["AdamW"]


def test_a_reloaded_state_takes_the_same_next_step(new: Any) -> None:
    model = new().model
    optimizer = MuonWithAdamW(model, 1e-2)
    for seed in range(3):
        step(model, optimizer, seed)
    twin = copy.deepcopy(model)
    other = MuonWithAdamW(twin, 1e-2)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    step(model, optimizer, 9)
    step(twin, other, 9)
    for one, two in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_without_its_state_the_next_step_differs(new: Any) -> None:
    model = new().model
    optimizer = MuonWithAdamW(model, 1e-2)
    for seed in range(3):
        step(model, optimizer, seed)
    twin = copy.deepcopy(model)
    step(model, optimizer, 9)
    step(twin, MuonWithAdamW(twin, 1e-2), 9)
    assert any(
        not torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True)
    )


def test_a_scheduler_reaches_both_parts(new: Any) -> None:
    model = new().model
    optimizer = MuonWithAdamW(model, 1e-2)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.5)
    step(model, optimizer, 0)
    scheduler.step()
    assert [g["lr"] for part in optimizer._parts for g in part.param_groups] == [5e-3, 5e-3]
