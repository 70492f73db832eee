"""What a trainer logged, in plain words: divergence is an error, the rest are remarks."""

import math

import pytest

from schemas.errors import TrainingError
from tasks.train.monitors import health


@pytest.mark.parametrize("name", ["loss", "grad_norm"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_run_that_diverged_is_an_error(name: str, value: float) -> None:
    history = [{"step": 1.0, "loss": 1.0}, {"step": 7.0, name: value}]
    with pytest.raises(TrainingError, match=rf"{name} is .* at step 7"):
        health(history)


def test_a_healthy_run_has_no_remarks() -> None:
    row = {"loss": 0.1, "grad_norm": 1.0, "groups/mixed": 0.4, "entropy": 0.1}
    history = [{**row, "step": float(i), "completions/clipped_ratio": 0.01} for i in range(20)]
    assert health(history) == []


def test_nothing_logged_is_nothing_to_say() -> None:
    assert health([]) == []


def test_groups_that_differ_no_more_are_remarked() -> None:
    (remark,) = health([{"step": 1.0, "groups/mixed": 0.05}])
    assert remark.startswith("only 5% of the groups")


def test_only_the_last_quarter_counts() -> None:
    # Eight rows: the last two, 0.06 and 0.10, average 0.08; all eight would average 0.395.
    mixed = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.06, 0.10]
    (remark,) = health([{"step": float(i), "groups/mixed": m} for i, m in enumerate(mixed)])
    assert remark.startswith("only 8% of the groups")


def test_a_policy_that_explores_no_more_is_remarked_after_play_alone() -> None:
    told = health([{"step": 1.0, "groups/mixed": 0.5, "entropy": 0.001}])
    assert told == ["entropy fell to 0.0010 nats a token: the policy explores no more"]
    # Imitation is meant to end with little entropy.
    assert health([{"step": 1.0, "entropy": 0.001}]) == []


def test_many_truncated_episodes_are_remarked() -> None:
    (remark,) = health([{"step": 1.0, "completions/clipped_ratio": 0.25}])
    assert remark == "25% of the episodes ran into a length limit"
