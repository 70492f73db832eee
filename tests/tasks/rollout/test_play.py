"""Playing scenarios: the same seed plays the same, attempts stand beside each other."""

import json
from typing import Any

import pytest

from schemas.config import FlywheelConfig
from tasks.rollout.play import SCRIPTED, opening, play_policy, sampling
from tasks.rollout.scenarios import draw


def played(config: FlywheelConfig, seed: int, samples: int = 2) -> list[Any]:
    scenarios = draw(config.seed, config.build.split_salt, "train", 20, 5)
    return play_policy(config, SCRIPTED, scenarios, samples=samples, greedy=False, seed=seed)


def test_the_same_seed_plays_the_same_rollouts(config: FlywheelConfig) -> None:
    one, two = ([(r.messages, r.reward) for r in played(config, 1)] for _ in range(2))
    assert one == two


def test_another_seed_plays_others(config: FlywheelConfig) -> None:
    assert [r.messages for r in played(config, 1)] != [r.messages for r in played(config, 2)]


def test_attempts_of_a_scenario_stand_beside_each_other(config: FlywheelConfig) -> None:
    scenarios = draw(config.seed, config.build.split_salt, "train", 20, 5)
    assert [(r.scenario_id, r.attempt) for r in played(config, 1)] == [
        (s.scenario_id, attempt) for s in scenarios for attempt in (0, 1)
    ]


def test_the_scripted_agent_has_no_tokens(config: FlywheelConfig) -> None:
    for rollout in played(config, 1, samples=1):
        assert rollout.prompt_ids == rollout.completion_ids == []
        assert rollout.agent_mask == rollout.logprobs == []
        assert rollout.turns == sum(m.role == "assistant" for m in rollout.messages)
        assert rollout.tool_calls == sum(m.role == "tool" for m in rollout.messages)
        assert rollout.reward in {0.0, 1.0}


def test_progress_ends_at_the_whole(config: FlywheelConfig) -> None:
    told: list[tuple[str, int, int]] = []
    play_policy(
        config, SCRIPTED, draw(config.seed, config.build.split_salt, "train", 3, 5),
        samples=1, greedy=False, seed=0,
        progress=lambda stage, done, total, note="": told.append((stage, done, total)),
    )  # fmt: skip
    assert told[-1] == ("play", 3, 3)


def test_what_reset_returns_is_glued_to_the_question(config: FlywheelConfig) -> None:
    (scenario,) = draw(config.seed, config.build.split_salt, "train", 1, 5)
    assert opening(scenario, None) == [{"role": "user", "content": scenario.question}]
    (turn,) = opening(scenario, " Be short.")
    assert turn["content"] == f"{scenario.question} Be short."


def test_limits_follow_the_context(config: FlywheelConfig) -> None:
    limits = sampling(config, 0.5)
    assert (limits.turn_tokens, limits.episode_tokens) == (64, 384)  # 512 / 8 and 512 * 3 / 4
    assert limits.temperature == 0.5


def test_a_scenarios_row_holds_what_reset_takes(config: FlywheelConfig) -> None:
    for scenario in draw(config.seed, config.build.split_salt, "train", 5, 5):
        row = json.loads(scenario.row)
        assert set(row) == {"tenant", "question", "gold_sql"}
        assert row["question"] == scenario.question


def test_a_policy_that_is_not_there_is_an_error(config: FlywheelConfig) -> None:
    from schemas.errors import MissingStateError

    scenarios = draw(config.seed, config.build.split_salt, "train", 1, 5)
    with pytest.raises(MissingStateError):
        play_policy(config, "no/such/policy", scenarios, samples=1, greedy=True, seed=0)
