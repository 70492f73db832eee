"""Planted failures in real trainings: each is caught, named, and mended or ended."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from models.masks import tokenise
from models.trainers.guard import ActingGuard
from models.trainers.preference import masked_pair, train_dpo
from models.trainers.rules import Kind
from models.trainers.run import Acted, Ran, TrainerRun
from models.trainers.sft import train_sft
from schemas.errors import TrainingError
from schemas.monitor_config import MonitorConfig
from schemas.recipe_config import DpoConfig

ASKED = [{"role": "user", "content": "is it so?"}]
SAYING = [[*ASKED, {"role": "assistant", "content": said}] for said in ("yes", "no")]


Weights = dict[str, torch.Tensor]


def weights(policy: Any) -> Weights:
    return {name: value.detach().clone() for name, value in policy.model.named_parameters()}


def same(one: Weights, other: Weights) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def shake(step: int, model: Any) -> None:
    """Leave behind, at steps 22 and 23, what steps of a far too high rate leave behind."""
    if step in (22, 23):
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight), alpha=3.0)


class Diary(ActingGuard):
    """An acting guard that notes the weights after each step, and lets a test plant a failure."""

    def __init__(self, config: MonitorConfig, kind: Kind, **kwargs: Any) -> None:
        self.plant: Callable[[int, Any], None] = kwargs.pop("plant", lambda step, model: None)
        super().__init__(config, kind, **kwargs)
        self.after: dict[int, Weights] = {}
        self.rates: dict[int, float] = {}

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.rates[state.global_step + 1] = kwargs["optimizer"].param_groups[0]["lr"]

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        named = kwargs["model"].named_parameters()
        self.after[state.global_step] = {n: w.detach().clone() for n, w in named}
        self.plant(state.global_step, kwargs["model"])
        super().on_step_end(args, state, control, **kwargs)


def imitate(policy: Any, run: TrainerRun, rate: float = 3e-3, steps: int = 60) -> Ran:
    """Imitate two short answers; a row is logged every five steps."""
    rows = tokenise(SAYING * (2 * steps), policy.tokenizer)
    return train_sft(
        policy, rows, run=run, learning_rate=rate, epochs=1, batch_size=4, optimizer="adamw"
    )


def test_a_healthy_run_is_the_same_with_a_guard(new: Any, tmp_path: Path) -> None:
    plain, guarded = new(seed=3), new(seed=3)
    imitate(plain, TrainerRun(tmp_path / "plain", 0))
    guard = ActingGuard(MonitorConfig(), "imitation")
    ran = imitate(guarded, TrainerRun(tmp_path / "guarded", 0, guard=guard))
    assert (ran.acted, ran.stopped) == ([], "")
    assert same(weights(plain), weights(guarded))


def test_a_rate_too_high_goes_back_to_the_last_good_weights(new: Any, tmp_path: Path) -> None:
    policy = new(seed=3)

    guard = Diary(MonitorConfig(window=1), "imitation", plant=shake)
    ran = imitate(policy, TrainerRun(tmp_path, 0, guard=guard))
    (acted,) = ran.acted
    # Rows at 5, 10, 15, 20, 25. The row of 20 is healthy, and makes the weights of 15 good.
    assert (acted.step, acted.monitor) == (25, "loss")
    assert acted.saw.startswith("the loss rose from ")
    assert acted.did.startswith("went back to the weights of step 15 and halved the rate to 0.0015")
    assert (ran.stopped, ran.steps) == ("", 60)
    losses = [row["loss"] for row in ran.history if "loss" in row]
    assert losses[4] > 10
    assert losses[-1] < losses[3]  # it learns on from where it went back to


def test_the_rate_stays_halved_for_the_rest_of_the_schedule(new: Any, tmp_path: Path) -> None:
    plain, halved = (Diary(MonitorConfig(warm=0), "imitation") for _ in range(2))
    imitate(new(), TrainerRun(tmp_path / "plain", 0, guard=plain), steps=20)

    def halve(step: int, model: Any) -> None:
        if step == 8:
            halved._halve()

    halved.plant = halve
    imitate(new(), TrainerRun(tmp_path / "halved", 0, guard=halved), steps=20)
    for step, rate in plain.rates.items():
        assert halved.rates[step] == pytest.approx(rate if step <= 8 else rate / 2)


def test_a_rate_that_never_works_is_an_error_that_says_what_to_change(
    new: Any, tmp_path: Path
) -> None:
    guard = ActingGuard(MonitorConfig(), "imitation")
    with pytest.raises(TrainingError, match="no step was healthy") as caught:
        imitate(new(), TrainerRun(tmp_path, 0, guard=guard), rate=30.0)
    assert "learning rate of a tenth" in caught.value.next_step
    assert [a.monitor for a in guard.acted] == ["loss", "loss"]
    assert guard.acted[0].did == "went back to the start and halved the rate to 15"


class Poison:
    """Makes the outputs of some training passes of a model not numbers."""

    def __init__(self, model: Any, passes: set[int]) -> None:
        self.count, self.passes = 0, passes
        model.model.norm.register_forward_hook(self)

    def __call__(self, module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        if not output.requires_grad:
            return output
        self.count += 1
        return output * math.nan if self.count in self.passes else output


def test_one_batch_that_is_not_a_number_never_reaches_the_weights(new: Any, tmp_path: Path) -> None:
    policy = new(seed=3)
    Poison(policy.model, {33})
    guard = Diary(MonitorConfig(), "imitation")
    ran = imitate(policy, TrainerRun(tmp_path, 0, guard=guard))
    assert ran.acted == [
        Acted(
            33, "nan", "the gradient is not a number",
            "went back to the weights of step 25 and halved the rate to 0.0015",
        )
    ]  # fmt: skip
    assert same(guard.after[32], guard.after[33])  # the step itself changed nothing
    assert (ran.stopped, ran.steps) == ("", 60)
    assert all(torch.isfinite(value).all() for value in weights(policy).values())


def test_after_its_roll_backs_a_run_stops_with_its_last_good_weights(
    new: Any, tmp_path: Path
) -> None:
    policy = new(seed=3)
    Poison(policy.model, {33, 48})
    guard = Diary(MonitorConfig(), "imitation")
    ran = imitate(policy, TrainerRun(tmp_path, 0, guard=guard))
    assert [(a.step, a.did) for a in ran.acted] == [
        (33, "went back to the weights of step 25 and halved the rate to 0.0015"),
        (48, "went back to the weights of step 40 and stopped"),
    ]
    assert (ran.stopped, ran.steps) == ("nan", 48)
    assert same(weights(policy), guard.after[40])


def test_weights_that_are_not_numbers_are_seen_where_no_gradient_tells(
    new: Any, tmp_path: Path
) -> None:
    policy = new(seed=3)

    def break_one(step: int, model: Any) -> None:
        if step == 17:
            next(model.parameters()).data[0, 0] = math.inf

    guard = Diary(MonitorConfig(rollbacks=0), "imitation", plant=break_one)
    ran = imitate(policy, TrainerRun(tmp_path, 0, guard=guard))
    assert (ran.stopped, ran.acted[0].saw) == ("nan", "a weight is not a number")
    assert same(weights(policy), guard.after[10])


def test_numbers_that_are_none_from_the_first_step_are_an_error(new: Any, tmp_path: Path) -> None:
    policy = new()
    Poison(policy.model, set(range(99)))
    run = TrainerRun(tmp_path, 0, guard=ActingGuard(MonitorConfig(), "imitation"))
    with pytest.raises(TrainingError, match="the gradient is not a number"):
        imitate(policy, run)


def test_a_start_that_is_not_a_number_is_refused(new: Any, tmp_path: Path) -> None:
    policy = new()
    next(policy.model.parameters()).data[0, 0] = math.nan
    run = TrainerRun(tmp_path, 0, guard=ActingGuard(MonitorConfig(), "imitation"))
    with pytest.raises(TrainingError, match="Start from another version"):
        imitate(policy, run)


def test_a_preference_that_breaks_the_language_goes_back(
    speaker: Callable[[], Any], tmp_path: Path
) -> None:
    policy = speaker()
    yes, no = tokenise(SAYING, policy.tokenizer)
    pair = masked_pair(yes, no)
    assert pair is not None
    guard = Diary(MonitorConfig(rollbacks=0, window=1), "preference", plant=shake)
    recipe = DpoConfig(learning_rate=1e-4, batch_size=2)
    run = TrainerRun(tmp_path, 0, guard=guard)
    ran = train_dpo(policy, [pair] * 120, config=recipe, run=run)
    assert (ran.stopped, ran.steps) == ("loss", 25)
    assert ran.acted[-1].did == "went back to the weights of step 15 and stopped"
    assert same(weights(policy), guard.after[15])


def test_a_probe_that_falls_brings_the_best_weights_back(new: Any, tmp_path: Path) -> None:
    scores = iter([0.1, 0.6, 0.8, 0.78, 0.3])  # at the start, and after 10, 20, 30 and 40 steps
    guard = Diary(MonitorConfig(probe_every=10), "imitation", probe=lambda: next(scores))
    policy = new(seed=3)
    ran = imitate(policy, TrainerRun(tmp_path, 0, guard=guard))
    assert (ran.stopped, ran.steps) == ("probe", 40)
    assert ran.acted[-1].saw.startswith("held-out success fell from 0.80 to 0.30")
    # .78 is within half of what a probe may fall, so the weights of step 30 counted as good.
    assert ran.acted[-1].did == "went back to the weights of step 30 and stopped"
    assert same(weights(policy), guard.after[30])


def test_a_probe_leaves_the_training_as_it_was(new: Any, tmp_path: Path) -> None:
    plain, probed = new(seed=3), new(seed=3)
    imitate(plain, TrainerRun(tmp_path / "plain", 0), steps=20)

    def probe() -> float:
        torch.rand(7)
        return 0.5

    guard = ActingGuard(MonitorConfig(probe_every=5), "imitation", probe=probe)
    imitate(probed, TrainerRun(tmp_path / "probed", 0, guard=guard), steps=20)
    assert same(weights(plain), weights(probed))


def test_a_resumed_run_knows_what_was_done_and_where_to_go_back(new: Any, tmp_path: Path) -> None:
    policy = new(seed=3)
    Poison(policy.model, {18})
    first = Diary(MonitorConfig(), "imitation")
    ran = imitate(policy, TrainerRun(tmp_path, 0, until=0.5, guard=first))
    assert (ran.steps, ran.stopped, len(ran.acted)) == (30, "share", 1)

    resumed = new(seed=4)
    Poison(resumed.model, {2})  # step 32
    second = Diary(MonitorConfig(), "imitation")
    ran = imitate(resumed, TrainerRun(tmp_path, 0, guard=second))
    # The one roll-back was used before the resume. Good are the weights of step 25: those of 30
    # are in the checkpoint but no window of healthy steps has followed them.
    assert [(a.step, a.monitor) for a in ran.acted] == [(18, "nan"), (32, "nan")]
    assert ran.acted[1].did == "went back to the weights of step 25 and stopped"
    assert ran.stopped == "nan"
    assert same(weights(resumed), first.after[25])
    assert second.rates[31] == pytest.approx(first.rates[18] / 2, rel=0.5)  # still halved


def test_a_run_that_has_stopped_does_not_go_on_when_taken_up(new: Any, tmp_path: Path) -> None:
    policy = new(seed=3)
    Poison(policy.model, {30})
    first = Diary(MonitorConfig(rollbacks=0), "imitation")
    ran = imitate(policy, TrainerRun(tmp_path, 0, checkpoint_steps=30, guard=first))
    assert (ran.stopped, ran.steps) == ("nan", 30)
    again = new(seed=4)
    second = ActingGuard(MonitorConfig(rollbacks=0), "imitation")
    ran = imitate(again, TrainerRun(tmp_path, 0, guard=second))
    assert (ran.stopped, len(ran.acted)) == ("nan", 1)
    assert ran.steps == 31  # a trainer takes one step before it can be stopped; it is undone
    assert same(weights(again), first.after[20])
