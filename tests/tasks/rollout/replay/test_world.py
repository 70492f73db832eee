"""Logged scenarios played again: tau-bench's logs as the environment, and what it cannot know."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.config import EnvironmentConfig, FlywheelConfig
from schemas.dataset import Scenario
from schemas.errors import ConfigurationError, MissingStateError
from tasks.build.manifest import builds_before
from tasks.rollout.environment import open_world, validation
from tasks.rollout.play import SCRIPTED, opening, play_policy
from tasks.rollout.replay.tape import Answered, events, opening_of
from tasks.rollout.replay.world import HELD_OUT, UNSEEN, ReplayWorld
from warehouse.tables import Warehouse

TRAIN = 6
"""Scenarios that the build of tau-bench's logs has."""


@pytest.fixture(scope="module")
def world(tau: FlywheelConfig) -> ReplayWorld:
    made = open_world(tau)
    assert isinstance(made, ReplayWorld)
    return made


def opened(world: ReplayWorld, scenario: Scenario) -> Any:
    environment = world.environment()
    environment.reset(**json.loads(scenario.row))
    return environment


def test_each_logged_episode_played_verbatim_gets_its_results_and_its_outcome(
    world: ReplayWorld, tau: FlywheelConfig
) -> None:
    labels = Warehouse(tau.home).read("labels", ["episode_id", "state"]).to_pylist()
    state = {row["episode_id"]: row["state"] for row in labels}
    calls = 0
    for scenario in world.draw("train", TRAIN, 0):
        for logged in world._open(scenario.scenario_id).tape.logged:
            environment = opened(world, scenario)
            done = [e for e in events(logged.messages) if isinstance(e, Answered)]
            for call in done:
                played = getattr(environment, call.name)(**json.loads(call.arguments))
                assert played == call.result
            environment._finish("done")
            calls += len(done)
            wanted = float(state[logged.episode_id] == "success") if done else None
            assert environment.get_reward() == wanted
    assert calls > 100


def test_a_call_that_nobody_made_is_an_error_and_nobody_knows_its_worth(
    world: ReplayWorld,
) -> None:
    environment = opened(world, world.draw("train", 1, 0)[0])
    assert environment.get_user_details(user_id="nobody") == UNSEEN
    assert UNSEEN.startswith("Error:")
    environment._finish("done")
    assert environment.get_reward() is None


def test_the_user_replies_as_logged(world: ReplayWorld) -> None:
    for scenario in world.draw("train", TRAIN, 0):
        environment = opened(world, scenario)
        replies = {
            m.content
            for logged in environment._tape.logged
            for m in logged.messages[2:]
            if m.role == "user"
        }
        assert environment._reply("Who are you?") in replies


def test_an_episode_that_a_limit_cut_off_has_failed(world: ReplayWorld) -> None:
    environment = opened(world, world.draw("train", 1, 0)[0])
    environment._finish(None)
    assert environment.get_reward() == 0.0


def test_a_reset_environment_begins_anew(world: ReplayWorld) -> None:
    scenario = world.draw("train", 1, 0)[0]
    environment = opened(world, scenario)
    environment.think(thought="I was never logged.")
    environment._finish(None)
    environment.reset(**json.loads(scenario.row))
    assert environment.get_reward() is None
    assert environment._chain == ""


def test_all_environments_are_of_one_class_with_every_tool(world: ReplayWorld) -> None:
    from models.generation import tools_of

    one, other = world.environment(), world.environment()
    assert type(one) is type(other)  # TRL rewards no other
    assert {"get_user_details", "think", "calculate", "cancel_reservation"} <= set(tools_of(one))
    assert not [name for name in tools_of(one) if name.startswith("_")]


def test_training_scenarios_all_come_before_one_comes_again(world: ReplayWorld) -> None:
    drawn = [s.scenario_id for s in world.draw("train", 2 * TRAIN, 3)]
    assert len(set(drawn[:TRAIN])) == len(set(drawn[TRAIN:])) == TRAIN
    assert drawn == [s.scenario_id for s in world.draw("train", 2 * TRAIN, 3)]
    assert drawn != [s.scenario_id for s in world.draw("train", 2 * TRAIN, 4)]


def test_held_out_splits_are_stable_and_disjoint_from_training_and_each_other(
    world: ReplayWorld, tau: FlywheelConfig
) -> None:
    drawn = {split: world.draw(split, 100, 1) for split in HELD_OUT}
    names = [s.composition for found in drawn.values() for s in found]
    assert len(names) == len(set(names)) >= 3
    assert not set(names) & {s.composition for s in world.draw("train", TRAIN, 0)}
    for split, found in drawn.items():
        assert found == world.draw(split, 100, 2)
        assert found[:1] == world.draw(split, 1, 1)
    held = Warehouse(tau.home).read("held_out", ["scenario_id"])["scenario_id"].to_pylist()
    assert set(names) == set(held)


def test_too_few_held_out_scenarios_are_said(tau: FlywheelConfig) -> None:
    with pytest.raises(ConfigurationError, match=r"has \d validation scenarios, 200 are asked"):
        validation(tau)


def test_a_scenario_opens_with_the_logged_messages(world: ReplayWorld) -> None:
    scenario = world.draw("train", 1, 0)[0]
    told = opening(scenario, None)
    assert [m["role"] for m in told] == ["system", "user"]
    assert "airline" in told[0]["content"].lower()
    assert told[1]["content"] == scenario.question


def test_the_agent_of_the_logs_is_played_again(tau: FlywheelConfig, world: ReplayWorld) -> None:
    scenarios = world.draw("train", TRAIN, 0)
    rollouts = play_policy(
        tau, SCRIPTED, scenarios, samples=3, greedy=False, seed=5,
        progress=lambda stage, done, total, note="": None,
    )  # fmt: skip
    assert len(rollouts) == 3 * TRAIN
    by_id = {s.scenario_id: s for s in scenarios}
    for rollout in rollouts:
        tape = world._open(by_id[rollout.scenario_id].scenario_id).tape
        (same,) = [
            one
            for one in tape.logged
            if one.messages[len(opening_of(one.messages)) :][: len(rollout.messages)]
            == rollout.messages
        ]
        assert rollout.reward == (same.success if rollout.tool_calls else None)


def test_another_process_reads_a_scenario_that_it_did_not_draw(
    tau: FlywheelConfig, world: ReplayWorld
) -> None:
    scenarios = [*world.draw("train", 1, 0), *world.draw("frozen_params", 1, 0)]
    other = open_world(tau)
    for scenario in scenarios:
        environment = other.environment()
        environment.reset(**json.loads(scenario.row))
        assert environment.get_reward() is None
    with pytest.raises(ConfigurationError, match="not one of build"):
        other.environment().reset(scenario="train:of-another-build")


def test_an_agent_that_acts_as_act_says_gets_the_episodes_outcome(world: ReplayWorld) -> None:
    scenario = world.draw("train", 1, 0)[0]
    environment = opened(world, scenario)
    messages = world.act(scenario, environment, np.random.default_rng(0))
    assert messages[0].role == "assistant"
    assert messages[-1].role in ("assistant", "tool")


def test_without_a_build_there_is_nothing_to_replay(tmp_path: Path) -> None:
    world = ReplayWorld(tmp_path / "environment")
    with pytest.raises(MissingStateError, match="no build to replay"):
        world.draw("train", 1, 0)
    with pytest.raises(MissingStateError, match="no build abc to replay"):
        ReplayWorld(tmp_path / "environment", build="abc").environment()


def test_scenarios_show_their_own_tools_and_refuse_others(
    tmp_path: Path, shop_log: Callable[..., Any], write: Any, at_night: Callable[..., str]
) -> None:
    from models.generation import shown_tools, tools_of

    def tools(*names: str) -> list[dict[str, Any]]:
        return [
            {"type": "function", "function": {
                "name": name, "parameters": {"type": "object", "properties": {}},
            }}
            for name in names
        ]  # fmt: skip

    records = [
        shop_log(f"{goods}{n}", goods, sold, reward, tools=tools(*offered))
        for goods, offered in (("tea", ("sell",)), ("rice", ("sell", "weigh")))
        for n, (sold, reward) in enumerate(((goods, 1.0), ("sand", 0.0)))
    ]
    config = FlywheelConfig(home=tmp_path / "home", environment=EnvironmentConfig(use="replay"))
    at_night(config.model_copy(update={"build": config.build.model_copy(
        update={"held_out_share": 0.0})}), write("shop.jsonl", *records))  # fmt: skip
    world = open_world(config)
    offered = {}
    for scenario in world.draw("train", 2, 0):
        environment = world.environment()
        environment.reset(**json.loads(scenario.row))
        shown = {tool["function"]["name"] for tool in shown_tools(environment)}
        assert set(tools_of(environment)) == shown
        offered[scenario.composition] = shown
    assert offered == {"tea": {"sell"}, "rice": {"sell", "weigh"}}


def test_held_out_scenarios_of_later_nights_come_after_those_of_earlier_ones(
    tmp_path: Path, shop_log: Callable[..., Any], write: Any, at_night: Callable[..., str]
) -> None:
    config = FlywheelConfig(home=tmp_path / "home", environment=EnvironmentConfig(use="replay"))
    config = config.model_copy(
        update={"build": config.build.model_copy(update={"held_out_share": 0.5})}
    )

    def logs(of: str) -> str:
        return write(f"{of}.jsonl", *(
            shop_log(f"{of}{k}-{n}", f"{of}{k}", f"{of}{n}", float(n))
            for k in range(12) for n in range(2)
        ))  # fmt: skip

    at_night(config, logs("tea"))
    before = {split: open_world(config).draw(split, 100, 0) for split in HELD_OUT}
    at_night(config, logs("rice"), night="2026-06-03")
    assert len(builds_before(config.home, "9999-99-99")) == 2
    after = {split: open_world(config).draw(split, 100, 0) for split in HELD_OUT}
    assert all(after[split][: len(before[split])] == before[split] for split in HELD_OUT)
    assert sum(map(len, after.values())) > sum(map(len, before.values()))
    newest = open_world(config).draw("train", 3, 0)
    assert {s.composition[:4] for s in newest} == {"rice"}
    old = config.environment.model_copy(
        update={"options": {"build": builds_before(config.home, "9999-99-99")[0]}}
    )
    first = open_world(config.model_copy(update={"environment": old}))
    assert {s.composition[:3] for s in first.draw("train", 3, 0)} == {"tea"}
