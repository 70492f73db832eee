"""How a trainer runs: it tells its steps, leaves checkpoints, is taken up from them, and stops.

A run may be asked to stop after a share of its steps (candidates are compared there), after some
seconds, or by its monitors. Wherever it stops it can go on: a checkpoint counts once its last file
says that it is whole, so that a process killed while saving loses the steps since the one before.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from models.processes import as_the_first, wait_for_all
from schemas.errors import ConfigurationError

WHOLE = "whole"
"""File that is written last into a checkpoint."""
_CHECKPOINTING = next(  # transformers renamed it; TRL switches it on under either name
    name
    for name in ("activation_checkpointing", "gradient_checkpointing")
    if hasattr(TrainingArguments, name)
)


class Acted(msgspec.Struct, frozen=True):
    """Something that a monitor saw, and what it did about it."""

    step: int
    monitor: str
    """Name of the monitor, for example `kl`."""
    saw: str
    """In plain words, with the figure."""
    did: str
    """In plain words: `halved the learning rate to 2e-4`, `nothing`, ..."""


class Guard(TrainerCallback):
    """What a run takes for its monitors: a callback that may stop it."""

    acted: list[Acted]
    """All that its monitors did, in order; kept over a resume."""
    stopped: str = ""
    """Name of the monitor that ended the run."""

    def attach(self, trainer: Trainer) -> None:
        """Take the trainer whose optimizer, weights and settings the remedies change."""


@dataclass
class TrainerRun:
    """Where a trainer writes, what it tells, and when it stops."""

    folder: Path
    """TRL's own, with the checkpoints."""
    seed: int
    progress: Callable[[int, int], None] = lambda done, total: None
    """Told steps done and in all."""
    until: float = 1.0
    """Share of the steps after which it stops and leaves a checkpoint."""
    seconds: float | None = None
    """Wall-clock time after which it stops where it is."""
    began: float = field(default_factory=time.monotonic)
    """When that time began: what was played before training counts."""
    checkpoint_steps: int = 0
    """Steps between checkpoints; 0 leaves one only where `until` stops it."""
    gradient_checkpointing: bool = False
    parts: int = 1
    """Parts that a batch is computed in, one after the other, before a step."""
    processes: int = 1
    """How many train together; each takes its share of a batch."""
    guard: Guard | None = None


@dataclass
class Ran:
    """What a run came to."""

    history: list[dict[str, float]]
    """What was logged, one mapping a row with its `step`; rows of before a resume included."""
    steps: int
    """Optimizer steps done."""
    of: int
    """Optimizer steps of the whole."""
    stopped: str = ""
    """`share`, `time`, or the monitor that ended it; empty when it came to its end."""
    acted: list[Acted] = field(default_factory=list)


class _Steps(TrainerCallback):
    """Tells steps, stops in time, and marks checkpoints whole. The last callback of a run."""

    def __init__(self, run: TrainerRun) -> None:
        self._run = run
        self.stopped = ""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report one step and see whether it was the last."""
        self._run.progress(state.global_step, state.max_steps)
        if state.global_step >= state.max_steps or control.should_training_stop:
            return
        seconds = self._run.seconds
        if state.global_step >= until_step(self._run.until, state.max_steps):
            self.stopped = "share"
        elif seconds is not None and as_the_first(time.monotonic() - self._run.began > seconds):
            self.stopped = "time"
        if self.stopped:
            control.should_training_stop = control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Mark the checkpoint that was just written as whole, once every process has."""
        wait_for_all()
        if state.is_world_process_zero:
            (checkpoint_folder(args, state) / WHOLE).touch()


def until_step(until: float, steps: int) -> int:
    """Give the step after which a share of the steps is done: at least one."""
    return max(1, math.ceil(until * steps - 1e-9))


def checkpoint_folder(args: TrainingArguments, state: TrainerState) -> Path:
    """Give the folder of the checkpoint of the step that a trainer is at."""
    return Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"


def last_checkpoint(folder: Path) -> Path | None:
    """Find the newest whole checkpoint; what a killed process left half-written is removed."""
    whole: list[tuple[int, Path]] = []
    for found in folder.glob("checkpoint-*"):
        if (found / WHOLE).exists():
            whole.append((int(found.name.rpartition("-")[2]), found))
        else:
            shutil.rmtree(found, ignore_errors=True)  # another process may be at it too
    return max(whole)[1] if whole else None


def trainer_arguments(run: TrainerRun, device: str) -> dict[str, Any]:
    """Give what every TRL trainer here shares: nothing is uploaded, a row every five steps."""
    saving = {"save_strategy": "no"}
    if run.checkpoint_steps:
        saving = {"save_strategy": "steps", "save_steps": run.checkpoint_steps}  # type: ignore[dict-item]
    return {
        "output_dir": str(run.folder), "report_to": "none", "seed": run.seed, **saving,
        "save_total_limit": 2, "use_cpu": device == "cpu", "bf16": False,
        _CHECKPOINTING: run.gradient_checkpointing, "disable_tqdm": True,
        "dataloader_pin_memory": False, "logging_steps": 5, "max_grad_norm": 1.0,
    }  # fmt: skip


def batches(run: TrainerRun, size: int) -> dict[str, Any]:
    """Give the settings that make a step of `size` rows in all, over processes and parts.

    Raises:
        ConfigurationError: The rows cannot be shared out evenly.
    """
    shares = run.parts * run.processes
    if size % shares:
        raise ConfigurationError(
            f"A batch of {size} cannot be shared out to {run.processes} processes in {run.parts}"
            " parts.",
            "Choose a batch_size (for play: scenarios_per_step) that train.devices divides.",
        )
    return {
        "per_device_train_batch_size": size // shares, "gradient_accumulation_steps": run.parts
    }  # fmt: skip


def run_trainer(
    trainer: Trainer, run: TrainerRun, callbacks: Sequence[TrainerCallback] = ()
) -> Ran:
    """Train from the last whole checkpoint, or from the start, to where the run is to stop.

    Args:
        trainer: Made with `trainer_arguments` of the same run.
        run: Where and how long.
        callbacks: Of the trainer's own; they see a checkpoint before it is marked whole.
    """
    last = last_checkpoint(run.folder)
    steps = _Steps(run)
    guards = [run.guard] if run.guard is not None else []
    for callback in [*callbacks, *guards, steps]:
        trainer.add_callback(callback)
    trainer.remove_callback(PrinterCallback)
    if run.guard is not None:
        run.guard.attach(trainer)
    if last is not None and _is_there(last, run.until):
        _take_up(trainer, last)
        for callback in callbacks:  # what they gathered stands in the checkpoint too
            callback.on_train_begin(
                trainer.args, trainer.state, trainer.control, model=trainer.model
            )
        steps.stopped = "share" if trainer.state.global_step < trainer.state.max_steps else ""
    else:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    state = trainer.state
    return Ran(
        history=[_numbers(row) for row in state.log_history],
        steps=state.global_step, of=state.max_steps,
        stopped=run.guard.stopped if run.guard and run.guard.stopped else steps.stopped,
        acted=list(run.guard.acted) if run.guard else [],
    )  # fmt: skip


def _is_there(checkpoint: Path, until: float) -> bool:
    """Tell whether a checkpoint is as far as a run is to go."""
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    return int(state["global_step"]) >= until_step(until, int(state["max_steps"]))


def _take_up(trainer: Trainer, checkpoint: Path) -> None:
    """Load what a checkpoint holds, to train no further."""
    trainer._load_from_checkpoint(str(checkpoint))  # noqa: SLF001 - `train` would take one more step
    trainer.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {k: float(v) for k, v in row.items() if isinstance(v, int | float)}
