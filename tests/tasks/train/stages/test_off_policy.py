"""The off-policy stage: it trains on what the logs allow, or says what it does instead."""

from pathlib import Path
from typing import Any

import pytest

from schemas.dataset import Pair, Trajectory
from schemas.errors import TrainingError
from schemas.recipe_config import OffPolicyConfig


def started(bench: Any, folder: Path) -> tuple[Any, Any]:
    """Make the policy that the stage trains, saved as TRL wants a reference to be."""
    from models.policy import load_policy, save_policy
    from models.trainers.run import TrainerRun
    from tasks.train.stages.bench import start

    policy = load_policy(save_policy(start(bench, None), folder / "start"))
    return policy, TrainerRun(folder / "trainer", 0)


def pair(number: int, prompt: Any, chosen: Any, rejected: Any) -> Pair:
    return Pair(
        build="b", pair_id=str(number), kind="episode", prompt=prompt, chosen=chosen,
        rejected=rejected, chosen_episode=f"c{number}", rejected_episode=f"r{number}", margin=1.0,
        confidence=1.0,
    )  # fmt: skip


def test_without_logprobs_dpo_takes_its_place_and_it_is_said(
    make_bench: Any, tmp_path: Path
) -> None:
    from tasks.train.stages.off_policy import off_policy

    bench = make_bench()
    told = bench.successes[0].messages
    wrong = [*told[1:-1], type(told[0])(role="assistant", content="It is 7.")]
    bench.pairs = [pair(n, told[:1], told[1:], wrong) for n in range(4)]
    policy, run = started(bench, tmp_path)
    fed = off_policy(bench, policy, OffPolicyConfig(), run)
    assert fed.account["instead"] == "dpo"
    assert fed.account["why"].startswith("0 of 0 logged training episodes can be used off-policy")
    assert "DPO or KTO" in fed.account["why"]
    assert fed.account["logged_pairs"] == 4
    assert fed.account["played_pairs"] == 0
    assert fed.ran.steps >= 1


def test_without_pairs_kto_takes_its_place(make_bench: Any, tmp_path: Path) -> None:
    from tasks.train.stages.off_policy import off_policy

    bench = make_bench()
    told = bench.successes[0].messages
    bench.unpaired = [
        Trajectory(
            build="b", use="kto", episode_id=f"u{n}", desirable=n % 2 == 0, weight=1.0, total=1.0,
            messages=told,
        )
        for n in range(4)
    ]  # fmt: skip
    policy, run = started(bench, tmp_path)
    fed = off_policy(bench, policy, OffPolicyConfig(), run)
    assert fed.account["instead"] == "kto"
    assert fed.ran.steps >= 1


def test_logs_with_neither_are_an_error_that_says_both(make_bench: Any, tmp_path: Path) -> None:
    from tasks.train.stages.off_policy import off_policy

    bench = make_bench()
    policy, run = started(bench, tmp_path)
    with pytest.raises(TrainingError, match=r"off-policy, 100 are needed.*neither pairs nor"):
        off_policy(bench, policy, OffPolicyConfig(), run)
