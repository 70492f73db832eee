"""Reinforcement by play: TRL's loss at less cost, averaged weights, and a reward that is learnt."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import TrainerControl, TrainerState
from trl import GRPOConfig as TrlGrpoConfig
from trl import GRPOTrainer

from models.generation import Player, Sampling
from models.masks import tokenise
from models.trainers.grpo import PlayedGrpoTrainer, WeightAverage, train_grpo
from models.trainers.sft import train_sft, trainer_arguments
from schemas.recipe_config import GrpoConfig

ASKED = [{"role": "user", "content": "is it so?"}]


class Oracle:
    """Pays for the answer `yes`; its one tool is of no use."""

    def reset(self, **_: Any) -> None:
        self._answer: str | None = None

    def look(self) -> str:
        """Look around."""
        return "nothing"

    def get_reward(self) -> float:
        return float(self._answer == "yes")

    def _finish(self, answer: str | None, malformed: bool) -> None:
        self._answer = answer


def opened() -> Oracle:
    made = Oracle()
    made.reset()
    return made


def trainer(policy: Any, folder: Path, seed: int = 0, **settings: Any) -> PlayedGrpoTrainer:
    made = PlayedGrpoTrainer(
        model=policy.model,
        args=TrlGrpoConfig(
            **{**trainer_arguments(folder, "cpu", seed), "max_steps": 1},
            per_device_train_batch_size=4, num_generations=4, max_completion_length=20,
            **{"loss_type": "dapo", "beta": 0.0, **settings},
        ),
        train_dataset=Dataset.from_list([{"prompt": ASKED}] * 4),
        processing_class=policy.tokenizer,
        environment_factory=Oracle,
    )  # fmt: skip
    made.current_gradient_accumulation_steps = 1
    made.sampling = Sampling(temperature=1.0, episode_tokens=20)
    return made


def batch(advantages: torch.Tensor) -> dict[str, Any]:
    """A made-up batch: prompts padded left, completions padded right, tools here and there."""
    rows, random = len(advantages), torch.Generator().manual_seed(0)
    columns = torch.arange(18)
    lengths = torch.randint(6, 19, (rows, 1), generator=random)
    starts = torch.randint(0, 4, (rows, 1), generator=random)
    completion_mask = (columns < lengths).long()
    tool_mask = (columns % 5 != 3).long().expand(rows, 18)
    return {
        "prompt_ids": torch.randint(8, 300, (rows, 7), generator=random),
        "prompt_mask": (torch.arange(7) >= starts).long(),
        "completion_ids": torch.randint(8, 300, (rows, 18), generator=random),
        "completion_mask": completion_mask,
        "tool_mask": tool_mask,
        "advantages": advantages,
        "num_items_in_batch": (completion_mask * tool_mask).sum(),
    }


def loss_and_gradient(made: GRPOTrainer, compute: Any, inputs: dict[str, Any]) -> tuple[Any, Any]:
    made.model.train()
    made.model.zero_grad()
    loss = compute(made, made.model, dict(inputs))
    loss.backward()
    flat = torch.cat([p.grad.flatten() for p in made.model.parameters() if p.grad is not None])
    return loss.detach(), flat


def advantages(rows: int) -> torch.Tensor:
    """Every third row counts for something."""
    made = torch.zeros(rows)
    made[::3] = torch.linspace(-1.5, 2.0, len(made[::3]))
    return made


def test_leaving_out_rows_without_advantage_changes_neither_loss_nor_gradient(
    new: Any, tmp_path: Path
) -> None:
    made = trainer(new(), tmp_path)
    inputs = batch(advantages(160))  # 54 rows count: more than one part of 48
    ours = loss_and_gradient(made, PlayedGrpoTrainer._compute_loss, inputs)
    trls = loss_and_gradient(made, GRPOTrainer._compute_loss, inputs)
    assert trls[1].norm() > 1e-3
    torch.testing.assert_close(ours[0], trls[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours[1], trls[1], atol=1e-5, rtol=1e-5)


def test_a_batch_without_any_advantage_moves_nothing(new: Any, tmp_path: Path) -> None:
    made = trainer(new(), tmp_path)
    loss, gradient = loss_and_gradient(
        made, PlayedGrpoTrainer._compute_loss, batch(torch.zeros(12))
    )
    assert loss == 0
    assert not gradient.any()


@pytest.mark.parametrize("settings", [{"loss_type": "grpo"}, {"loss_type": "dr_grpo"}])
def test_losses_that_average_over_rows_take_trls_own_path(
    new: Any, tmp_path: Path, settings: dict[str, Any]
) -> None:
    made = trainer(new(), tmp_path, **settings)
    inputs = batch(advantages(12))
    ours = loss_and_gradient(made, PlayedGrpoTrainer._compute_loss, inputs)
    trls = loss_and_gradient(made, GRPOTrainer._compute_loss, inputs)
    torch.testing.assert_close(ours, trls, atol=0, rtol=0)


def test_another_seed_plays_other_rollouts(new: Any, tmp_path: Path) -> None:
    played = []
    for seed in (1, 1, 2):
        made = trainer(new(), tmp_path, seed)
        made.environments = [opened() for _ in range(4)]
        played.append(made._generate([ASKED] * 4)[1])
    assert played[0] == played[1]
    assert played[0] != played[2]


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


def share_of_yes(policy: Any) -> float:
    player = Player(policy.model, policy.tokenizer, Sampling(temperature=1.0), seed=99)
    rollouts = player.play([opened() for _ in range(64)], [ASKED] * 64)
    return sum(r.reward for r in rollouts) / 64


@pytest.mark.filterwarnings(  # TRL 1.16 asks transformers by the old name
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
)
def test_play_learns_what_pays(new: Any, tmp_path: Path) -> None:
    policy = new(seed=6)
    chats = [[*ASKED, {"role": "assistant", "content": said}] for said in ("yes", "no")]
    train_sft(
        policy, tokenise(chats * 240, policy.tokenizer), folder=tmp_path, learning_rate=2e-2,
        epochs=1, batch_size=8, optimizer="muon", seed=0,
    )  # fmt: skip
    before = share_of_yes(policy)
    assert 0.2 < before < 0.7
    start = copy.deepcopy(policy.model.state_dict())
    history = train_grpo(
        policy, [{"prompt": ASKED}] * 96, Oracle,
        config=GrpoConfig(
            steps=24, scenarios_per_step=4, generations=8, learning_rate=1e-3, average_last=0.2
        ),
        sampling=Sampling(temperature=1.0, episode_tokens=20), folder=tmp_path, seed=0,
    )  # fmt: skip
    assert share_of_yes(policy) > max(0.7, before + 0.2)
    assert any(not torch.equal(start[k], v) for k, v in policy.model.state_dict().items())
    steps = [row for row in history if "groups/mixed" in row]
    assert len(steps) == 24
    assert all(0 <= row["groups/mixed"] <= 1 for row in steps)
    earned = [row["reward"] for row in history if "reward" in row]
    assert sum(earned[-6:]) / 6 > sum(earned[:6]) / 6 + 0.1
