"""Reinforcement from logs alone: the mechanics on tau-bench's, and that it learns what paid."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.config import EnvironmentConfig, FlywheelConfig
from schemas.recipe_config import GrpoConfig
from tasks.rollout.environment import open_world
from tasks.rollout.play import opening, play_loaded
from tasks.rollout.replay.world import UNSEEN


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")


def imitator(episodes: list[Any], config: FlywheelConfig, folder: Path, **settings: Any) -> Any:
    """Teach a tiny policy some logged episodes."""
    from models.chat import TEMPLATE, to_chat
    from models.masks import tokenise
    from models.policy import LoadedPolicy, load_policy, save_policy
    from models.tiny import new_policy
    from models.tokenizer import render, train_tokenizer
    from models.trainers.run import TrainerRun
    from models.trainers.sft import train_sft

    size = config.train.policy
    chats = [to_chat(one) for one in episodes]
    tokenizer = train_tokenizer(render(chats, TEMPLATE), size.vocabulary)
    policy = LoadedPolicy(new_policy(size, tokenizer, 0), tokenizer, "")
    train_sft(
        policy, tokenise(chats * settings.pop("times"), tokenizer), epochs=1, optimizer="muon",
        run=TrainerRun(folder / "sft", 0), **settings,
    )  # fmt: skip
    return load_policy(save_policy(policy, folder / "policy"))


def reinforced(
    policy: Any, config: FlywheelConfig, folder: Path, recipe: GrpoConfig, **limits: Any
):
    """Let it play the logs' scenarios; gives what was logged and the prompts."""
    from models.generation import Sampling
    from models.trainers.grpo import train_grpo
    from models.trainers.run import TrainerRun

    world = open_world(config)
    scenarios = world.draw("train", recipe.steps * recipe.scenarios_per_step, 0)
    return train_grpo(
        policy, [{"prompt": opening(s, None), **json.loads(s.row)} for s in scenarios],
        world.environment, config=recipe, sampling=Sampling(temperature=1.0, **limits),
        run=TrainerRun(folder / "grpo", 0),
    )  # fmt: skip


def test_a_tiny_policy_plays_tau_benchs_logs(tau: FlywheelConfig, tmp_path: Path) -> None:
    from models.generation import Player, Sampling

    world = open_world(tau)
    scenarios = world.draw("train", 6, 0)
    logged = [one for s in scenarios for one in world._open(s.scenario_id).tape.logged]
    short = sorted(logged, key=lambda one: sum(len(m.content or "") for m in one.messages))[:2]
    policy = imitator(
        [one.messages for one in short], tau, tmp_path, times=2, learning_rate=2e-2, batch_size=2
    )
    recipe = GrpoConfig(steps=1, scenarios_per_step=2, generations=2, kl_rows=0)
    ran = reinforced(
        policy, tau, tmp_path, recipe, turn_tokens=60, episode_tokens=300, batch_size=4
    )
    assert ran.steps == 1
    environments = [world.environment() for _ in range(4)]
    for environment, scenario in zip(environments, scenarios, strict=False):
        environment.reset(**json.loads(scenario.row))
    player = Player(policy.model, policy.tokenizer, Sampling(1.0, 60, 300), seed=0)
    rollouts = player.play(environments, [opening(s, None) for s in scenarios[:4]])
    for rollout, scenario in zip(rollouts, scenarios, strict=False):
        known = world._open(scenario.scenario_id).tape
        results = [m.content for m in rollout.messages if m.role == "tool"]
        assert all(r == UNSEEN or r.startswith("Error") or r in str(known.logged) for r in results)
        assert rollout.prompt_ids  # the airline's rules and the customer's first words
        assert "airline" in policy.tokenizer.decode(rollout.prompt_ids).lower()


def test_play_in_the_logs_learns_the_way_that_paid(
    tmp_path: Path, shop_log: Callable[..., Any], write: Any, at_night: Callable[..., str]
) -> None:
    """Logged: each want was met with the right thing half of the time, with sand the other half."""
    from schemas.config import BuildConfig, TrainConfig
    from schemas.training_config import TinyPolicy

    tiny = TinyPolicy(hidden_size=32, layers=2, heads=2, vocabulary=420, context=256)
    config = FlywheelConfig(
        home=tmp_path / "home", build=BuildConfig(held_out_share=0.0),
        environment=EnvironmentConfig(use="replay"), train=TrainConfig(policy=tiny),
    )  # fmt: skip
    goods = ("tea", "rice", "salt")
    records = [
        shop_log(f"{want}{n}", want, sold, reward)
        for want in goods
        for n, (sold, reward) in enumerate([(want, 1.0), ("sand", 0.0)])
    ]
    at_night(config, write("shop.jsonl", *records))
    world = open_world(config)
    scenarios = world.draw("train", len(goods), 0)
    logged = [one for s in scenarios for one in world._open(s.scenario_id).tape.logged]
    policy = imitator(
        [one.messages for one in logged], config, tmp_path, times=100, learning_rate=2e-2,
        batch_size=6,
    )  # fmt: skip

    def success() -> float:
        rollouts = play_loaded(
            config, world, policy, scenarios, samples=40, temperature=1.0, seed=9,
            progress=lambda stage, done, total, note="": None,
        )  # fmt: skip
        return sum(r.reward or 0.0 for r in rollouts) / len(rollouts)

    before = success()
    assert 0.2 < before < 0.75
    recipe = GrpoConfig(
        steps=14, scenarios_per_step=3, generations=8, learning_rate=1e-3, average_last=0.2,
        kl_rows=0,
    )  # fmt: skip
    reinforced(policy, config, tmp_path, recipe, turn_tokens=60, episode_tokens=160)
    assert success() > max(0.8, before + 0.2)
