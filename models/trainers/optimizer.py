"""Muon for the hidden matrices, AdamW for everything else, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class MuonWithAdamW(torch.optim.Optimizer):
    """Steps both optimizers; schedulers and checkpoints see one.

    Tied embeddings, heads and norms are left to AdamW: Muon orthogonalises updates of matrices
    that act on hidden states, which a look-up table is not.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; the update is scaled by
    0.2 * sqrt(max dim) as in Liu et al. 2025, https://arxiv.org/abs/2502.16982, equation 4.

    Args:
        model: Whose trainable parameters.
        learning_rate: Peak rate of both.
        weight_decay: Decoupled decay of the matrices.
    """

    def __init__(self, model: nn.Module, learning_rate: float, weight_decay: float = 0.01) -> None:
        tables = {
            id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()
        }
        trainable = [p for p in model.parameters() if p.requires_grad]
        matrices = [p for p in trainable if p.ndim == 2 and id(p) not in tables]
        chosen = {id(p) for p in matrices}
        others = [p for p in trainable if id(p) not in chosen]
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                matrices, lr=learning_rate, momentum=0.95, weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
        ]  # fmt: skip
        super().__init__([*matrices, *others], {"lr": learning_rate})
        self.param_groups = [g for part in self._parts for g in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step with both."""
        loss = closure() if closure is not None else None
        for part in self._parts:
            part.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of both."""
        for part in self._parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Give the state of both, for a checkpoint."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the state of both."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [g for part in self._parts for g in part.param_groups]
