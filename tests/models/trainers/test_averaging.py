"""The mean of the last steps' weights, also over a resume."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import TrainerControl, TrainerState

from models.trainers.averaging import WeightAverage


def test_the_weights_of_the_last_steps_are_averaged() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(0.4)
    for step in range(1, 11):
        model.weight.data.fill_(float(step))
        state = TrainerState(global_step=step, max_steps=10)
        average.on_step_end(None, state, TrainerControl(), model=model)
    average.put_into(model)
    assert model.weight.item() == pytest.approx(8.5)  # (7 + 8 + 9 + 10) / 4


def test_a_share_of_zero_keeps_the_last_weights() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(0.0)
    for step in (1, 2):
        model.weight.data.fill_(float(step))
        average.on_step_end(
            None, TrainerState(global_step=step, max_steps=2), TrainerControl(), model=model
        )
    average.put_into(model)
    assert model.weight.item() == 2.0


def test_a_resumed_run_goes_on_with_the_mean(tmp_path: Path) -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    args = SimpleNamespace(output_dir=str(tmp_path))
    (tmp_path / "checkpoint-8").mkdir()
    average = WeightAverage(0.4)
    for step in range(1, 9):
        model.weight.data.fill_(float(step))
        state = TrainerState(global_step=step, max_steps=10, is_world_process_zero=True)
        average.on_step_end(args, state, TrainerControl(), model=model)
    average.on_save(args, state, TrainerControl())
    resumed = WeightAverage(0.4)
    model.device = torch.device("cpu")
    resumed.on_train_begin(args, state, TrainerControl(), model=model)
    for step in (9, 10):
        model.weight.data.fill_(float(step))
        state = TrainerState(global_step=step, max_steps=10)
        resumed.on_step_end(args, state, TrainerControl(), model=model)
    resumed.put_into(model)
    assert model.weight.item() == pytest.approx(8.5)  # (7 + 8 + 9 + 10) / 4
