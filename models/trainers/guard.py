"""The guard of a training run: it carries out what the monitors ask for.

It keeps a copy of the weights from when all was well: what it goes back to. Weights count as good
once a window of steps after them was healthy, or once a probe on held-out scenarios found them so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import torch
from safetensors.torch import load_file, save_file
from torch.nn.utils import get_total_norm
from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments

from models.trainers.monitors import Judgement, Monitors
from models.trainers.rules import Decision, Kind, Seen
from models.trainers.run import Acted, Guard, checkpoint_folder, last_checkpoint
from schemas.errors import TrainingError
from schemas.monitor_config import MonitorConfig

STATE = "guard.json"
GOOD = "good.safetensors"
"""The last good weights, beside a checkpoint's own."""
_WARMER = 1.25
_HOPELESS = {"nan", "loss"}
"""Monitors that leave nothing to fall back on where no step was ever healthy."""


class _Kept(msgspec.Struct):
    """What a checkpoint keeps of a guard."""

    seen: Seen
    acted: list[Acted]
    stopped: str
    good_step: int
    proven: bool
    unwell: bool
    temperature: float | None


class ActingGuard(Guard):
    """Watches a run and acts: halves the rate, goes back to good weights, or stops.

    The good weights are kept twice in main memory (those that are good, and those that may become
    so): the trainable ones alone, so an adapter's where there is one. Other callbacks of the run
    that have a method `forget` are told when it goes back: what they gathered is of other weights.

    Args:
        config: Limits of the monitors.
        kind: What the run learns from.
        probe: Plays held-out scenarios with the model as it is and gives the share solved; asked at
            the start and every `probe_every` steps.
        told: Told each thing it does when it does it.
    """

    def __init__(
        self,
        config: MonitorConfig,
        kind: Kind,
        *,
        probe: Callable[[], float] | None = None,
        told: Callable[[Acted], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._kind = kind
        self._probe = probe if config.probe_every else None
        self._told = told

    def attach(self, trainer: Trainer) -> None:
        """Take the trainer, and what the checkpoint knows that it will go on from."""
        self._trainer = trainer
        config = getattr(trainer.model, "config", None)
        words = getattr(config, "vocab_size", None)
        self._monitors = Monitors(self._config, self._kind, math.log(words) if words else None)
        self.acted, self.stopped = [], ""
        self._good: dict[str, torch.Tensor] | None = None
        self._hopeful: dict[str, torch.Tensor] | None = None
        self._good_step = self._hopeful_step = 0
        self._proven = self._unwell = False
        self._temperature: float | None = None
        self._broken = ""
        self._mended_at = -1
        last = last_checkpoint(Path(str(trainer.args.output_dir)))
        if last is not None and (last / STATE).exists():
            self._take_up(last)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the weights that the run starts from.

        Raises:
            TrainingError: They are not numbers.
        """
        if _not_finite(list(self._weights().values())):
            raise TrainingError(
                "The policy to start from holds weights that are not numbers.",
                "Start from another version: a champion of before, or a base model.",
            )
        if self._good is None:
            self._good, self._good_step = self._copied(), state.global_step
            if self._probe is not None:
                self._judge_probe(state, control)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Drop gradients that are not numbers before they reach the weights.

        The trainer's log would not show them: it leaves such losses out of its mean.
        """
        gradients = [p.grad for p in self._weights().values() if p.grad is not None]
        if gradients and _not_finite(gradients):
            self._broken = "the gradient"
            for weight in self._weights().values():
                weight.grad = None

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """See that the weights are numbers, and probe them when it is time."""
        if self.stopped:  # a run that had stopped was taken up again, and must take one step
            self._put_back()
            control.should_training_stop = True
            return
        if not self._broken and _not_finite(list(self._weights().values())):
            self._broken = "a weight"
        if self._broken:
            what, self._broken = self._broken, ""
            self._mended_at = state.global_step
            judged = self._agreed(lambda: Judgement(self._monitors.broken(what), healthy=False))
            self._act(judged, state, control)
        elif self._probe is not None and state.global_step % self._config.probe_every == 0:
            self._judge_probe(state, control)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Judge the row that was just logged."""
        if not logs or "loss" not in logs or self.stopped:
            return
        row = {k: float(v) for k, v in logs.items() if isinstance(v, int | float)}
        if self._mended_at >= 0:  # what is not a number in this row was dealt with already
            row = {k: v for k, v in row.items() if math.isfinite(v)}
            self._mended_at = -1
        judged = self._agreed(lambda: self._monitors.judge(state.global_step, state.max_steps, row))
        self._act(judged, state, control)
        if not judged.healthy:
            self._hopeful, self._unwell = None, True
        elif self._probe is None:
            self._hope(state.global_step)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep what is known, and the good weights, in the checkpoint."""
        if not state.is_world_process_zero or self._good is None:
            return
        folder = checkpoint_folder(args, state)
        save_file(self._good, folder / GOOD)
        kept = _Kept(
            self._monitors.seen, self.acted, self.stopped, self._good_step, self._proven,
            self._unwell, self._temperature,
        )  # fmt: skip
        (folder / STATE).write_bytes(msgspec.json.encode(kept))

    def _take_up(self, folder: Path) -> None:
        """Go on with what a checkpoint keeps."""
        kept = msgspec.json.decode((folder / STATE).read_bytes(), type=_Kept)
        self._monitors.seen = kept.seen
        self.acted, self.stopped = kept.acted, kept.stopped
        self._good, self._good_step = load_file(folder / GOOD), kept.good_step
        self._proven, self._unwell = kept.proven, kept.unwell
        if kept.temperature is not None:
            self._set_temperature(kept.temperature)

    def _judge_probe(self, state: TrainerState, control: TrainerControl) -> None:
        """Probe the weights as they are; they are good if they solve what they did."""
        assert self._probe is not None
        with self._same_chance():
            # Every process plays, or those that wait would miss what a wrapped model exchanges.
            score = self._probe()
        judged = self._agreed(lambda: self._monitors.probed(score))
        self._act(judged, state, control)
        if judged.healthy and not self._unwell and not self.stopped:
            self._good, self._good_step = self._copied(), state.global_step
            self._proven = self._proven or state.global_step > 0
        self._unwell = False

    def _same_chance(self) -> AbstractContextManager[None]:
        """Leave the random numbers of the training as they were."""
        device = self._trainer.args.device
        devices = [device] if device.type == "cuda" else []
        return cast(AbstractContextManager[None], torch.random.fork_rng(devices))

    def _hope(self, step: int) -> None:
        """Let weights that a window of healthy steps followed be the good ones."""
        if self._hopeful is not None and step - self._hopeful_step < self._config.window:
            return
        if self._hopeful is not None:
            self._good, self._good_step, self._proven = self._hopeful, self._hopeful_step, True
        self._hopeful, self._hopeful_step = self._copied(), step

    def _agreed(self, judge: Callable[[], Judgement]) -> Judgement:
        """Judge in the first process, and let all processes do what it says."""
        accelerator = self._trainer.accelerator
        if accelerator.num_processes == 1:
            return judge()
        told = [judge() if accelerator.is_main_process else None]
        torch.distributed.broadcast_object_list(told)
        return cast(Judgement, told[0])

    def _act(self, judged: Judgement, state: TrainerState, control: TrainerControl) -> None:
        """Do what was decided, and write it down.

        Raises:
            TrainingError: It stops, and no step was ever healthy.
        """
        for decision in judged.decisions:
            did = self._remedy(decision, control)
            acted = Acted(state.global_step, decision.monitor, decision.saw, did)
            self.acted.append(acted)
            self._told(acted)
            if self.stopped and self.stopped in _HOPELESS and not self._proven:
                rate = self._rate()
                raise TrainingError(
                    f"Training diverged and no step was healthy: {decision.saw}, also with half the"
                    f" learning rate ({rate:.1g}).",
                    "Set a learning rate of a tenth for this stage; if that diverges too, look at"
                    " the policy that it starts from.",
                )

    def _remedy(self, decision: Decision, control: TrainerControl) -> str:
        """Carry out one remedy; say in words what was done."""
        if decision.remedy == "none":
            return f"nothing: this was mended {decision.spent}" if decision.spent else "nothing"
        if decision.remedy == "halve_rate":
            self._halve()
            return f"halved the learning rate to {self._rate():.2g}"
        if decision.remedy == "raise_temperature":
            return self._warm_up()
        if decision.remedy == "roll_back":
            self._put_back()
            self._halve()
            return f"went back to {self._good_name()} and halved the rate to {self._rate():.2g}"
        self.stopped = decision.monitor
        control.should_training_stop = True
        if decision.remedy == "stop":
            return "stopped"
        self._put_back()
        return f"went back to {self._good_name()} and stopped"

    def _good_name(self) -> str:
        return f"the weights of step {self._good_step}" if self._proven else "the start"

    def _put_back(self) -> None:
        """Load the good weights, and forget what the optimizer gathered since."""
        assert self._good is not None  # kept when training began
        with torch.no_grad():
            for name, weight in self._weights().items():
                weight.copy_(self._good[name])
        optimizer = cast(torch.optim.Optimizer, self._trainer.optimizer)
        optimizer.load_state_dict(_emptied(optimizer.state_dict()))
        self._hopeful = None
        for callback in self._trainer.callback_handler.callbacks:
            if hasattr(callback, "forget"):
                callback.forget()

    def _halve(self) -> None:
        """Halve the rate for the rest of the run: the schedule goes on at half its height."""
        optimizer = cast(torch.optim.Optimizer, self._trainer.optimizer)
        for group in optimizer.param_groups:
            group["lr"] /= 2
            if "initial_lr" in group:
                group["initial_lr"] /= 2
        scheduler = self._trainer.lr_scheduler
        scheduler = getattr(scheduler, "scheduler", scheduler)  # accelerate may wrap it
        for name in ("base_lrs", "_last_lr"):
            setattr(scheduler, name, [rate / 2 for rate in getattr(scheduler, name)])

    def _rate(self) -> float:
        """Give the schedule's full rate."""
        scheduler = self._trainer.lr_scheduler
        rates = getattr(scheduler, "scheduler", scheduler).base_lrs  # type: ignore[union-attr]
        return float(max(rates))

    def _warm_up(self) -> str:
        """Raise the temperature of play, in the rollouts and in the loss alike."""
        play = getattr(self._trainer, "play", None)
        if play is None or play.config.rollouts != "player":
            return "nothing: the temperature is another engine's; give train.grpo.entropy_coef"
        self._set_temperature(play.sampling.temperature * _WARMER)
        return f"raised the sampling temperature to {self._temperature:.2f}"

    def _set_temperature(self, temperature: float) -> None:
        trainer: Any = self._trainer
        trainer.play.sampling = replace(trainer.play.sampling, temperature=temperature)
        trainer.temperature = self._temperature = temperature

    def _weights(self) -> dict[str, torch.Tensor]:
        """Give what training changes, by name."""
        named = cast(torch.nn.Module, self._trainer.model).named_parameters()
        return {name: weight for name, weight in named if weight.requires_grad}

    def _copied(self) -> dict[str, torch.Tensor]:
        return {n: w.detach().to("cpu", copy=True).contiguous() for n, w in self._weights().items()}


def _not_finite(tensors: list[torch.Tensor]) -> bool:
    """Tell whether any number in some tensors is not one."""
    return not math.isfinite(float(get_total_norm([t.detach() for t in tensors])))


def _emptied(state: Any) -> Any:
    """Leave out what an optimizer gathered about its weights; its settings stay."""
    if not isinstance(state, dict):
        return [_emptied(part) for part in state] if isinstance(state, list) else state
    return {key: {} if key == "state" else _emptied(value) for key, value in state.items()}
