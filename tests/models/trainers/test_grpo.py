"""Reinforcement by play: TRL's loss at less cost, averaged weights, and a reward that is learnt."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig as TrlGrpoConfig
from trl import GRPOTrainer

from models.generation import Player, Sampling
from models.masks import tokenise
from models.policy import load_policy, save_policy
from models.trainers.curriculum import Curriculum
from models.trainers.grpo import Play, PlayedGrpoTrainer, grpo_settings, train_grpo
from models.trainers.run import TrainerRun, trainer_arguments
from models.trainers.sft import train_sft
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
            **{**trainer_arguments(TrainerRun(folder, seed), "cpu"), "max_steps": 1},
            per_device_train_batch_size=4, num_generations=4, max_completion_length=20,
            **{"loss_type": "dapo", "beta": 0.0, **settings},
        ),
        train_dataset=Dataset.from_list([{"prompt": ASKED}] * 4),
        processing_class=policy.tokenizer,
        environment_factory=Oracle,
    )  # fmt: skip
    made.current_gradient_accumulation_steps = 1
    sampling = Sampling(temperature=1.0, episode_tokens=20)
    curriculum = Curriculum([{"prompt": ASKED}] * 4, [""] * 4, seed, even=True)
    made.play = Play(GrpoConfig(), sampling, curriculum, None, None)
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


LOSSES = ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo")


@pytest.mark.parametrize("settings", [{}, {"entropy_coef": 0.05}, {"beta": 0.1}])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_in_parts_is_trls_in_one_piece(
    new: Any, tmp_path: Path, loss: str, settings: dict[str, Any]
) -> None:
    save_policy(new(), tmp_path / "start")  # a penalty's reference is read from where it lies
    made = trainer(load_policy(tmp_path / "start"), tmp_path, loss_type=loss, **settings)
    made.rows_at_once = 5
    inputs = batch(advantages(12))
    inputs["ref_per_token_logps"] = torch.full((12, 18), -5.0)
    ours = loss_and_gradient(made, PlayedGrpoTrainer._compute_loss, inputs)
    trls = loss_and_gradient(made, GRPOTrainer._compute_loss, inputs)
    torch.testing.assert_close(ours, trls, atol=2e-5, rtol=2e-4)


def test_advantages_by_step_take_the_same_path(new: Any, tmp_path: Path) -> None:
    made = trainer(new(), tmp_path)
    made.rows_at_once = 7
    by_step = advantages(30)[:, None] * torch.linspace(0.5, 1.5, 18)
    ours = loss_and_gradient(made, PlayedGrpoTrainer._compute_loss, batch(by_step))
    trls = loss_and_gradient(made, GRPOTrainer._compute_loss, batch(by_step))
    torch.testing.assert_close(ours, trls, atol=1e-5, rtol=1e-5)


def test_another_seed_plays_other_rollouts(new: Any, tmp_path: Path) -> None:
    played = []
    for seed in (1, 1, 2):
        made = trainer(new(), tmp_path, seed)
        made.environments = [opened() for _ in range(4)]
        played.append(made._generate([ASKED] * 4)[1])
    assert played[0] == played[1]
    assert played[0] != played[2]


def share_of_yes(policy: Any) -> float:
    player = Player(policy.model, policy.tokenizer, Sampling(temperature=1.0), seed=99)
    rollouts = player.play([opened() for _ in range(64)], [ASKED] * 64)
    return sum(r.reward for r in rollouts) / 64


def test_play_learns_what_pays(new: Any, tmp_path: Path) -> None:
    policy = new(seed=6)
    chats = [[*ASKED, {"role": "assistant", "content": said}] for said in ("yes", "no")]
    train_sft(
        policy, tokenise(chats * 240, policy.tokenizer), run=TrainerRun(tmp_path / "sft", 0),
        learning_rate=2e-2, epochs=1, batch_size=8, optimizer="muon",
    )  # fmt: skip
    before = share_of_yes(policy)
    assert 0.2 < before < 0.7
    start = copy.deepcopy(policy.model.state_dict())
    ran = train_grpo(
        policy, [{"prompt": ASKED}] * 96, Oracle,
        config=GrpoConfig(
            steps=24, scenarios_per_step=4, generations=8, learning_rate=1e-3, average_last=0.2
        ),
        sampling=Sampling(temperature=1.0, episode_tokens=20), run=TrainerRun(tmp_path / "grpo", 0),
    )  # fmt: skip
    assert share_of_yes(policy) > max(0.7, before + 0.2)
    assert any(not torch.equal(start[k], v) for k, v in policy.model.state_dict().items())
    steps = [row for row in ran.history if "groups/mixed" in row]
    assert len(steps) == 24
    assert all(0 <= row["groups/mixed"] <= 1 for row in steps)
    moved = [row["kl"] for row in ran.history if "kl" in row]
    assert moved[0] == pytest.approx(0, abs=1e-6)
    assert moved[-1] > 1e-3
    earned = [row["reward"] for row in ran.history if "reward" in row]
    assert sum(earned[-6:]) / 6 > sum(earned[:6]) / 6 + 0.1


class Silent(Oracle):
    """Cannot judge."""

    def get_reward(self) -> None:
        return None


def says_yes(rollouts: Any, prompts: Any) -> list[float | None]:
    assert all(prompt == ASKED for prompt in prompts)
    return [float(r.messages[-1].content == "yes") for r in rollouts]


@pytest.mark.parametrize("judge", [None, says_yes])
def test_only_what_somebody_judges_moves_the_policy(new: Any, tmp_path: Path, judge: Any) -> None:
    policy = new(seed=6)
    chats = [[*ASKED, {"role": "assistant", "content": said}] for said in ("yes", "no")]
    train_sft(
        policy, tokenise(chats * 60, policy.tokenizer), run=TrainerRun(tmp_path / "sft", 0),
        learning_rate=2e-2, epochs=1, batch_size=8, optimizer="muon",
    )  # fmt: skip
    start = copy.deepcopy(policy.model.state_dict())
    ran = train_grpo(
        policy, [{"prompt": ASKED}] * 4, Silent,
        config=GrpoConfig(steps=2, scenarios_per_step=4, generations=8, average_last=0),
        sampling=Sampling(temperature=1.0, episode_tokens=20),
        run=TrainerRun(tmp_path / "grpo", 0), judge=judge,
    )  # fmt: skip
    moved = any(not torch.equal(start[k], v) for k, v in policy.model.state_dict().items())
    abstained = [row["rewards/abstained"] for row in ran.history if "rewards/abstained" in row]
    assert moved == (judge is not None)
    assert abstained == [float(judge is None)] * 2


@pytest.fixture
def rollouts_by(learnt: Any, chats: Any, shop: Any, tmp_path: Path) -> Any:
    """Play the shop's questions 40 times each through the trainer."""

    def played(how: str, temperature: float) -> list[Any]:
        return by_trainer(learnt[0], chats, shop, tmp_path, how, temperature)

    return played


def by_trainer(
    policy: Any, chats: Any, shop: Any, folder: Path, how: str, temperature: float
) -> list[Any]:
    config = GrpoConfig(rollouts=how, temperature=temperature, generations=40, scenarios_per_step=4)
    asked = [chats[name][:1] for name in ("tea", "both", "hello", "malformed")]
    limits = Sampling(temperature=temperature, episode_tokens=120)
    made = PlayedGrpoTrainer(
        model=policy.model,
        args=grpo_settings(config, limits, TrainerRun(folder, 0), "cpu"),
        train_dataset=Dataset.from_dict({"prompt": asked}),
        processing_class=policy.tokenizer,
        environment_factory=shop,
    )
    rows = [{"prompt": prompt} for prompt in asked]
    made.play = Play(config, limits, Curriculum(rows, [""] * 4, 0, even=True), None, None)
    made._generate_and_score_completions([{"prompt": asked[0]}] * 160)
    return made._rollouts


def test_trls_own_loop_plays_the_same_episodes(rollouts_by: Any) -> None:
    ours, trls = (rollouts_by(how, 0.01) for how in ("player", "trl"))
    assert {r.reward for r in ours} == {0.0, 1.0}
    for one, other in zip(ours, trls, strict=True):
        assert one.completion_ids == other.completion_ids
        assert one.agent_mask == other.agent_mask
        assert (one.reward, one.malformed, one.turns) == (
            other.reward,
            other.malformed,
            other.turns,
        )


def test_trls_own_loop_plays_with_the_same_odds(rollouts_by: Any) -> None:
    ours, trls = (rollouts_by(how, 1.6) for how in ("player", "trl"))
    for measure in (lambda r: r.reward, lambda r: float(sum(r.agent_mask)), lambda r: r.malformed):
        one, other = (torch.tensor([float(measure(r)) for r in rows]) for rows in (ours, trls))
        error = float((one.var() / len(one) + other.var() / len(other)) ** 0.5)
        assert abs(float(one.mean() - other.mean())) < 4 * error + 1e-6
    assert len({tuple(r.completion_ids) for r in ours}) > 8  # it does vary
