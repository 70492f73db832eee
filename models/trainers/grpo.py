"""GRPO by play in an environment, over TRL's trainer.

TRL owns the loss, the advantages and the optimizer loop. Ours are three things around it: rollouts
come from `models.generation` (one decode loop, the cache kept across turns), episodes that carry
no gradient are not recomputed, and the result is the mean of the last steps' weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from datasets import Dataset
from transformers import (
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
)
from trl import GRPOConfig as TrlGrpoConfig
from trl import GRPOTrainer

from models.generation import Player, Sampling
from models.policy import LoadedPolicy
from models.trainers.run import Ran, TrainerRun, run_trainer, trainer_arguments
from schemas.recipe_config import GrpoConfig

_BY_ROW = (
    "prompt_ids",
    "prompt_mask",
    "completion_ids",
    "completion_mask",
    "advantages",
    "tool_mask",
)
_MICRO_BATCH = 48


class PlayedGrpoTrainer(GRPOTrainer):
    """TRL's GRPO trainer, with rollouts by `models.generation.Player`."""

    sampling: Sampling

    def _generate(self, prompts: list[list[dict[str, Any]]]) -> tuple[Any, ...]:
        """Play the batch; the return value is what `GRPOTrainer._generate` returns."""
        model = cast(PreTrainedModel, self.model)
        environments, size = cast(list[Any], self.environments), cast(int, self.num_generations)
        seed = self.args.seed * 100_003 + self.state.global_step + 1  # no step shares another's
        player = Player(model, self._tokenizer, self.sampling, seed)
        rollouts = player.play(environments, prompts)
        mode = "train" if model.training else "eval"
        rewards = [r.reward for r in rollouts]
        groups = [rewards[i : i + size] for i in range(0, len(rewards), size)]
        calls = sum(r.tool_calls for r in rollouts)
        for name, value in {
            "groups/mixed": sum(len(set(g)) > 1 for g in groups) / len(groups),
            "completions/clipped_ratio": sum(r.truncated for r in rollouts) / len(rollouts),
            "completions/malformed": sum(r.malformed for r in rollouts) / len(rollouts),
            "completions/mean_length": sum(sum(r.agent_mask) for r in rollouts) / len(rollouts),
            "tools/failure_frequency": sum(r.tool_errors for r in rollouts) / max(calls, 1),
        }.items():
            self._metrics[mode][name].append(value)
        completions = [
            [{"role": m.role, "content": m.content or ""} for m in r.messages] for r in rollouts
        ]
        return (
            [r.prompt_ids for r in rollouts],
            [r.completion_ids for r in rollouts],
            [r.agent_mask for r in rollouts],
            completions, None, {}, None, [],
        )  # fmt: skip

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Compute the loss without the rows whose advantage is zero, in length-sorted parts.

        A row without advantage adds nothing to the `dapo` loss, a plain sum over tokens divided by
        the batch's token count, so leaving it out changes no gradient. Other losses average over
        rows, and a KL penalty acts on every row: those take TRL's own path.
        """
        plain = self.loss_type == "dapo" and self.beta == 0 and "old_per_token_logps" not in inputs
        if not plain:
            return cast(torch.Tensor, super()._compute_loss(model, inputs))  # type: ignore[no-untyped-call]
        kept = torch.nonzero(inputs["advantages"], as_tuple=True)[0]
        if len(kept) == 0:
            kept = torch.arange(1, device=inputs["advantages"].device)
        lengths = inputs["completion_mask"][kept].sum(dim=1)
        kept = kept[torch.argsort(lengths)]
        total: torch.Tensor | None = None
        for part in kept.split(_MICRO_BATCH):
            loss = super()._compute_loss(model, self._trimmed(inputs, part))  # type: ignore[no-untyped-call]
            total = loss if total is None else total + loss
        assert total is not None  # `kept` holds at least one row
        return total

    def _trimmed(self, inputs: dict[str, Any], rows: torch.Tensor) -> dict[str, Any]:
        """Take some rows and cut the padding that only longer rows needed."""
        part = {k: v[rows] if k in _BY_ROW else v for k, v in inputs.items()}
        end = int(part["completion_mask"].sum(dim=1).max())
        start = part["prompt_mask"].shape[1] - int(part["prompt_mask"].sum(dim=1).max())
        for name in ("completion_ids", "completion_mask", "tool_mask"):
            part[name] = part[name][:, :end]
        for name in ("prompt_ids", "prompt_mask"):
            part[name] = part[name][:, start:]
        return part


class WeightAverage(TrainerCallback):
    """Keeps the running mean of the weights over the last share of the steps.

    Source: Izmailov et al. 2018, https://arxiv.org/abs/1803.05407 (stochastic weight averaging).
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._mean: dict[str, torch.Tensor] = {}
        self._count = 0

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the weights in, near the end."""
        if state.global_step <= (1 - self._share) * state.max_steps:
            return
        self._count += 1
        for name, value in kwargs["model"].named_parameters():
            if name not in self._mean:
                self._mean[name] = value.detach().clone()
            else:
                self._mean[name] += (value.detach() - self._mean[name]) / self._count

    def put_into(self, model: torch.nn.Module) -> None:
        """Load the mean into a model; does nothing if no step was taken in."""
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name in self._mean:
                    value.copy_(self._mean[name])


def train_grpo(
    policy: LoadedPolicy,
    rows: Sequence[dict[str, Any]],
    environment_factory: Callable[[], Any],
    *,
    config: GrpoConfig,
    sampling: Sampling,
    run: TrainerRun,
) -> Ran:
    """Improve a policy in place by play.

    Args:
        policy: Trained in place.
        rows: One a scenario: `prompt` (chat messages) and the columns `reset(**row)` takes.
        environment_factory: Makes one environment of TRL's contract with `get_reward`.
        config: The recipe.
        sampling: How rollouts are played; its temperature is the recipe's.
        run: Where it writes, what it tells and when it stops.

    Returns:
        What TRL logged a step, with `groups/mixed`: the share of groups whose rewards differ.

    Source: Shao et al. 2024, https://arxiv.org/abs/2402.03300; token-level loss as in DAPO, Yu et
        al. 2025, https://arxiv.org/abs/2503.14476, equation 12.
    """
    batch = config.scenarios_per_step * config.generations
    settings = TrlGrpoConfig(
        **{**trainer_arguments(run, policy.model.device.type), "logging_steps": 1},
        max_steps=config.steps,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=1,
        num_generations=config.generations,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant",
        temperature=config.temperature,
        loss_type=config.loss_type,
        scale_rewards=config.scale_rewards,
        beta=config.beta,
        max_completion_length=sampling.episode_tokens,
    )
    average = WeightAverage(config.average_last)
    trainer = PlayedGrpoTrainer(
        model=policy.model,
        args=settings,
        train_dataset=Dataset.from_list(list(rows)),
        processing_class=policy.tokenizer,
        environment_factory=environment_factory,
    )
    trainer.sampling = sampling
    ran = run_trainer(trainer, run, [average])
    average.put_into(policy.model)
    return ran
