"""TRL's GRPO trainer as it is, to hold ours against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from datasets import Dataset
from trl import GRPOTrainer

from models.generation import Sampling
from models.policy import LoadedPolicy
from models.trainers.grpo import grpo_settings
from models.trainers.run import TrainerRun
from schemas.recipe_config import GrpoConfig


class StockGrpoTrainer(GRPOTrainer):
    """TRL's trainer and loop. Environments that ask for it are told the final answer.

    TRL never tells an environment what the agent said last, so one that judges the answer could
    give no reward.
    """

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        answered: tuple[Any, ...] = super()._generate(prompts)
        for environment, messages in zip(
            cast(list[Any], self.environments), answered[3], strict=True
        ):
            if hasattr(environment, "_finish"):
                environment._finish(str(messages[-1].get("content") or ""), False)  # noqa: SLF001 - TRL takes public names for tools
        return answered


def stock_trainer(
    policy: LoadedPolicy,
    rows: Sequence[dict[str, Any]],
    environment_factory: Callable[[], Any],
    config: GrpoConfig,
    sampling: Sampling,
    run: TrainerRun,
) -> GRPOTrainer:
    """Make TRL's trainer with the settings that ours would have."""
    return StockGrpoTrainer(
        model=policy.model,
        args=grpo_settings(config, sampling, run, policy.model.device.type),
        train_dataset=Dataset.from_list(list(rows)),
        processing_class=policy.tokenizer,
        environment_factory=environment_factory,
    )
