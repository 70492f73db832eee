"""The mean of the last steps' weights."""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, TrainerControl, TrainerState

from models.trainers.run import checkpoint_folder

_FILE = "average.safetensors"
_COUNT = "count"


class WeightAverage(TrainerCallback):
    """Keeps the running mean of the trained weights over the last share of the steps.

    Source: Izmailov et al. 2018, https://arxiv.org/abs/1803.05407 (stochastic weight averaging).
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._mean: dict[str, torch.Tensor] = {}
        self._count = 0

    def on_train_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take up the mean that the checkpoint holds which training goes on from."""
        if state.global_step and (file := checkpoint_folder(args, state) / _FILE).exists():
            kept = load_file(file, device=str(kwargs["model"].device))
            self._count = int(kept.pop(_COUNT).item())
            self._mean = kept

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the weights in, near the end."""
        if state.global_step <= (1 - self._share) * state.max_steps:
            return
        self._count += 1
        for name, value in _trained(kwargs["model"]):
            if name not in self._mean:
                self._mean[name] = value.detach().clone()
            else:
                self._mean[name] += (value.detach() - self._mean[name]) / self._count

    def on_save(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the mean in the checkpoint."""
        if self._count and state.is_world_process_zero:
            kept = {**self._mean, _COUNT: torch.tensor(self._count)}
            save_file(kept, checkpoint_folder(args, state) / _FILE)

    def forget(self) -> None:
        """Begin again: the run went back to earlier weights."""
        self._mean, self._count = {}, 0

    def put_into(self, model: torch.nn.Module) -> None:
        """Load the mean into a model; does nothing if no step was taken in."""
        with torch.no_grad():
            for name, value in _trained(model):
                if name in self._mean:
                    value.copy_(self._mean[name])


def _trained(model: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    """List what training changes: the adapter alone where there is one."""
    inner = model.module if hasattr(model, "module") else model
    assert isinstance(inner, torch.nn.Module)
    return [(name, value) for name, value in inner.named_parameters() if value.requires_grad]
