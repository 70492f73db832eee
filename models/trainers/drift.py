"""How far a policy has moved from where it started: the KL divergence, measured on its own play."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from schemas.rollout import Rollout

LOGITS = 1 << 27
"""Most numbers in the logits of one forward pass of the start: half a gigabyte."""


class StartPolicy:
    """The policy as it was before training: its weights, or the model without its adapter.

    Args:
        model: Trained from here on. Without an adapter its weights are copied.
    """

    def __init__(self, model: PreTrainedModel | PeftModel) -> None:
        self._model: Any = model
        self._copy = None if isinstance(model, PeftModel) else _copied(model)

    @contextmanager
    def weights(self) -> Iterator[PreTrainedModel]:
        """Give the model that computes as the start did."""
        if self._copy is not None:
            yield self._copy
            return
        was_training = self._model.training
        self._model.eval()
        with self._model.disable_adapter():
            yield self._model
        self._model.train(was_training)


def _copied(model: PreTrainedModel) -> PreTrainedModel:
    """Copy a model; a trainer that had it has put a `forward` of its own into it.

    That one is bound to the original: the copy would compute with the weights that are trained.
    """
    made = copy.deepcopy(model)
    for name in ("forward", "_original_forward"):
        made.__dict__.pop(name, None)
    made.eval()
    return made


def measured_kl(start: StartPolicy, rollouts: Sequence[Rollout], temperature: float) -> float:
    """Measure the divergence from the start on rollouts that the policy has just played.

    Args:
        start: Where it started.
        rollouts: With the log-probabilities that the policy gave its tokens.
        temperature: Of the play; both sides are taken at it.

    Returns:
        Mean over the agent's tokens of the k3 estimate of KL(policy || start), nats a token; 0
        where there is no token.

    Source: Schulman 2020, http://joschu.net/blog/kl-approx.html, k3 = r - 1 - log r with
        r = start / policy.
    """
    total, count = 0.0, 0
    rows = sorted(rollouts, key=lambda r: len(r.prompt_ids) + len(r.completion_ids))
    with torch.inference_mode(), start.weights() as model:
        most = at_once(model, rows)
        for begin in range(0, len(rows), most):
            part = rows[begin : begin + most]
            said = token_logprobs(model, part, temperature)
            acted = _padded([r.logprobs for r in part], said)
            mask = _padded([[float(m) for m in r.agent_mask] for r in part], said)
            log_ratio = said - acted
            k3 = (torch.expm1(log_ratio) - log_ratio) * mask
            total, count = total + float(k3.sum()), count + int(mask.sum())
    return total / max(count, 1)


def at_once(model: PreTrainedModel, rollouts: Sequence[Rollout]) -> int:
    """Say how many rollouts fit into one forward pass: one where the vocabulary is large."""
    longest = max((len(r.completion_ids) for r in rollouts), default=0)
    return max(1, LOGITS // max(longest * int(model.config.vocab_size), 1))


def token_logprobs(
    model: PreTrainedModel, rollouts: Sequence[Rollout], temperature: float = 1.0
) -> torch.Tensor:
    """Give each completion token its log-probability: (rollouts, longest completion), 0 beyond."""
    ids = [[*r.prompt_ids, *r.completion_ids] for r in rollouts]
    longest = max(map(len, ids))
    width = max(len(r.completion_ids) for r in rollouts)
    device = model.device
    padded = torch.tensor([[0] * (longest - len(row)) + row for row in ids], device=device)
    seen = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids], device=device)
    positions = (seen.cumsum(dim=1) - 1).clamp_min(0)
    output = model(
        input_ids=padded, attention_mask=seen, position_ids=positions, logits_to_keep=width + 1
    )
    logits = output.logits[:, :-1].float() / temperature
    targets = padded[:, -width:, None]
    found = logits.gather(2, targets)[:, :, 0] - logits.logsumexp(dim=-1)
    # Rows end together; completions are to begin together.
    shifts = [width - len(r.completion_ids) for r in rollouts]
    return torch.stack([_shifted(row, shift) for row, shift in zip(found, shifts, strict=True)])


def _shifted(row: torch.Tensor, shift: int) -> torch.Tensor:
    return torch.cat([row[shift:], row.new_zeros(shift)])


def _padded(rows: Sequence[Sequence[float]], like: torch.Tensor) -> torch.Tensor:
    width = like.shape[1]
    return torch.tensor([[*row, *([0.0] * (width - len(row)))] for row in rows], device=like.device)
