"""Credit: a rollout against its group, and each step by itself."""

import math

import pytest
import torch

from models.trainers.advantages import (
    outcome_advantages,
    process_rewards,
    returns_to_go,
    spread,
)
from schemas.episode import Message, ToolCall
from schemas.rollout import Rollout

NAN = float("nan")


def turn(*queries: str) -> Message:
    calls = [ToolCall(name="sql", arguments=query) for query in queries]
    return Message(role="assistant", tool_calls=calls)


def told(content: str, *, error: bool = False) -> Message:
    return Message(role="tool", content=content, error=error)


def rollout(*messages: Message, reward: float | None = 1.0, malformed: bool = False) -> Rollout:
    return Rollout(
        scenario_id="s", attempt=0, messages=list(messages), reward=reward, turns=0, tool_calls=0,
        tool_errors=0, malformed=malformed,
    )  # fmt: skip


ANSWER = Message(role="assistant", content="It is 3.")


def test_a_group_is_compared_with_its_mean() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    found, _ = outcome_advantages(rewards, 4, baseline="group", scale="none")
    # Mean .25: 1 - .25 and 0 - .25; the second group agrees and teaches nothing.
    assert found.tolist() == pytest.approx([0.75, -0.25, -0.25, -0.25, 0, 0, 0, 0])


def test_leaving_one_out_compares_with_the_others() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.0, 0.0])
    found, _ = outcome_advantages(rewards, 4, baseline="leave_one_out", scale="none")
    # The others of the first have mean 0; those of the second 1/3.
    assert found.tolist() == pytest.approx([1.0, -1 / 3, -1 / 3, -1 / 3], abs=1e-6)


def test_who_was_not_judged_counts_neither_as_baseline_nor_as_failure() -> None:
    rewards = torch.tensor([1.0, 0.0, NAN, NAN])
    found, _ = outcome_advantages(rewards, 4, baseline="group", scale="none")
    assert found.tolist() == pytest.approx([0.5, -0.5, 0, 0])
    found, _ = outcome_advantages(rewards, 4, baseline="leave_one_out", scale="none")
    assert found.tolist() == pytest.approx([1.0, -1.0, 0, 0])


def test_a_group_that_nobody_judged_moves_nothing() -> None:
    found, _ = outcome_advantages(
        torch.tensor([NAN, NAN]), 2, baseline="leave_one_out", scale="batch"
    )
    assert found.tolist() == [0, 0]


def test_scaling_by_group_and_by_batch_differ_by_whose_deviation_they_take() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.6, 0.4])
    by_group, _ = outcome_advantages(rewards, 2, baseline="group", scale="group")
    by_batch, divisor = outcome_advantages(rewards, 2, baseline="group", scale="batch")
    # Two values d apart have the deviation d / sqrt(2): every group comes out at the same size.
    assert by_group.tolist() == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5)] * 2, rel=1e-2)
    deviation = math.sqrt((0.25 + 0.25 + 0.01 + 0.01) / 3)
    assert divisor.tolist() == pytest.approx([deviation + 1e-4] * 4)
    assert by_batch.tolist() == pytest.approx(
        [r / (deviation + 1e-4) for r in (0.5, -0.5, 0.1, -0.1)]
    )


def test_steps_are_charged_for_errors_repeats_no_news_and_malformed_calls() -> None:
    played = rollout(
        turn("a"), told("Error: no table", error=True),  # -.1
        turn("a"), told("Error: no table", error=True),  # the same again: -.1 - .1
        turn("b"), told("3"),  # 0
        turn("c"), told("3"),  # told what it knew: -.02
        Message(role="assistant", content="<tool_call>42</tool_call>"),  # -.2
        malformed=True,
    )  # fmt: skip
    assert process_rewards(played) == pytest.approx([-0.1, -0.2, 0, -0.02, -0.2])


def test_returns_to_go_are_against_the_mean_step_of_the_group() -> None:
    clean = rollout(turn("a"), told("3"), ANSWER)
    failed = rollout(turn("a"), told("Error: x", error=True), ANSWER)
    # Steps 0, 0 and -.1, 0: mean -.025.
    found = returns_to_go([clean, failed], 2, 1.0)
    assert found[0] == pytest.approx([0.05, 0.025])
    assert found[1] == pytest.approx([-0.05, 0.025])
    assert returns_to_go([clean, failed], 2, 0.5)[1] == pytest.approx([-0.0625, 0.025])


def test_a_turns_value_stands_at_each_of_its_tokens() -> None:
    assert spread([1.0, -2.0], [1, 1, 0, 0, 1], 7) == [1, 1, 0, 0, -2, 0, 0]
    assert spread([1.0], [0, 1, 1], 3) == [0, 1, 1]
