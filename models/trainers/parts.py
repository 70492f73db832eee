"""TRL's GRPO loss in parts: rows of like length together, rows that teach nothing left out.

Each part is sent backward by itself, so memory holds the activations of one part. The sum over the
parts is what TRL computes in one piece, whichever of its losses it is.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from trl import GRPOTrainer

_OF_PROMPTS = ("prompt_ids", "prompt_mask")
_SUMS = ("dapo", "cispo", "vespo")
"""Losses that add tokens up and divide by the batch's number of tokens."""


class LossInParts(GRPOTrainer):
    """TRL's GRPO trainer, whose loss takes at most `rows_at_once` rows at a time."""

    rows_at_once: int = 48

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Send all parts but the last backward; return the last, with the value of the whole.

        A row without advantage adds nothing to a policy loss, so leaving it out changes no
        gradient. A KL penalty and an entropy bonus act on every row: then all are kept, and so they
        are where several processes must take the same number of parts.
        """
        rows = len(inputs["completion_mask"])
        kept = torch.arange(rows, device=inputs["completion_mask"].device)
        if (
            self.beta == 0
            and not self._entropy_bonus_enabled
            and self.accelerator.num_processes < 2
        ):
            teaching = inputs["advantages"].reshape(rows, -1).any(dim=1)
            kept = kept[teaching] if bool(teaching.any()) else kept[:1]
        lengths = inputs["completion_mask"][kept].sum(dim=1)
        kept = kept[torch.argsort(lengths)]
        total = torch.zeros((), device=kept.device)
        parts = kept.split(self.rows_at_once)
        coefficient = self.entropy_coef
        for number, part in enumerate(parts):
            share, tokens = self._shares(inputs, part)
            self.entropy_coef = coefficient * tokens / share
            loss = share * super()._compute_loss(model, trimmed(inputs, part))  # type: ignore[no-untyped-call]
            if number + 1 < len(parts):
                self.accelerator.backward(loss)
                total = total + loss.detach()
        self.entropy_coef = coefficient
        return cast(torch.Tensor, loss + total)

    def _shares(self, inputs: dict[str, Any], part: torch.Tensor) -> tuple[float, float]:
        """Say how much a part's own loss counts in that of the whole, and its share of tokens."""
        mask = inputs["completion_mask"] * inputs.get("tool_mask", 1)
        tokens = float(mask[part].sum() / mask.sum().clamp_min(1))
        if self.loss_type in _SUMS:
            return 1.0, tokens
        return (max(tokens, 1e-9) if self.loss_type == "bnpo" else len(part) / len(mask)), tokens


def trimmed(inputs: dict[str, Any], rows: torch.Tensor) -> dict[str, Any]:
    """Take some rows of a batch, without the padding that only longer rows needed."""
    size, width = inputs["completion_mask"].shape
    part = {
        k: v[rows] if torch.is_tensor(v) and v.dim() and len(v) == size else v
        for k, v in inputs.items()
    }
    end = int(part["completion_mask"].sum(dim=1).max())
    start = part["prompt_mask"].shape[1] - int(part["prompt_mask"].sum(dim=1).max())
    for name, value in part.items():
        if name in _OF_PROMPTS:
            part[name] = value[:, start:]
        elif torch.is_tensor(value) and value.dim() == 2 and value.shape[1] == width:
            part[name] = value[:, :end]
    return part
