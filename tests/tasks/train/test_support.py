"""What a night's data supports, and in which words what it does not is left out."""

from pathlib import Path
from typing import Any

import pytest

from schemas.config import FlywheelConfig
from schemas.dataset import Pair, Trajectory
from schemas.episode import Episode, Message
from schemas.errors import TrainingError
from schemas.recipe_config import DpoConfig, OffPolicyConfig
from schemas.tables import arrow_rows
from schemas.training_config import TrainConfig
from tasks.train.support import Evidence, idle_play, lacking, unsupported
from warehouse.tables import Warehouse

SAID = [Message(role="user", content="how many?"), Message(role="assistant", content="41")]


def trajectory(number: int, use: str, *, good: bool = True) -> Trajectory:
    return Trajectory(
        build="b", use=use, episode_id=f"{use}{number}", messages=SAID, desirable=good,  # type: ignore[arg-type]
        weight=1.0, total=1.0,
    )  # fmt: skip


def episode(name: str, tokens: list[int] | None, odds: list[float] | None) -> Episode:
    return Episode(
        episode_id=name, logged_id=name, format="f", day="2026-01-01", messages=SAID,
        token_ids=tokens, logprobs=odds, source="s", source_file="f", source_line=1,
        raw_digest="r",
    )  # fmt: skip


def evidence(
    home: Path, *, sft: int = 0, good: int = 0, bad: int = 0, retries: int = 0, **train: Any
) -> Evidence:
    """Write a build with so many rows of each kind."""
    rows = [trajectory(n, "sft") for n in range(sft)]
    rows += [trajectory(n, "kto", good=n < good) for n in range(good + bad)]
    pairs = [
        Pair(
            build="b", pair_id=str(n), kind="retry", prompt=SAID[:1], chosen=SAID[1:],
            rejected=SAID[1:], chosen_episode="1", rejected_episode="2", margin=1.0, confidence=1.0,
        )
        for n in range(retries)
    ]  # fmt: skip
    other = [trajectory(n, "sft") for n in range(50)]
    warehouse = Warehouse(home)
    for table, made in (("trajectories", rows), ("pairs", pairs)):
        if made:
            warehouse.append(table, arrow_rows(table, made))
    elsewhere = arrow_rows("trajectories", other)
    column = elsewhere.column_names.index("build")
    warehouse.append(
        "trajectories", elsewhere.set_column(column, "build", [["another"] * len(other)])
    )
    return Evidence(FlywheelConfig(home=home, train=TrainConfig(**train)), "b")


def test_imitation_needs_twenty_successes_of_this_build(tmp_path: Path) -> None:
    assert lacking("sft", evidence(tmp_path / "enough", sft=20)) == ""
    assert lacking("sft", evidence(tmp_path / "few", sft=19)) == (
        "the build has 19 successes to imitate, 20 are needed"
    )


def test_preference_needs_pairs_of_its_kinds_or_play(tmp_path: Path) -> None:
    alone = DpoConfig(scenarios=0, kinds=("retry",))
    assert lacking("dpo", evidence(tmp_path / "a", retries=1, dpo=alone)) == ""
    assert lacking("dpo", evidence(tmp_path / "b", dpo=DpoConfig(scenarios=10))) == ""
    others = DpoConfig(scenarios=0, kinds=("episode", "correction"))
    assert lacking("dpo", evidence(tmp_path / "c", retries=3, dpo=others)) == (
        "the build has no pair of the kinds episode, correction (but 3 retry), and "
        "train.dpo.scenarios is 0"
    )


def test_kto_needs_twenty_episodes_of_either_sort(tmp_path: Path) -> None:
    assert lacking("kto", evidence(tmp_path / "both", good=20, bad=20)) == ""
    assert lacking("kto", evidence(tmp_path / "one", good=60, bad=19)) == (
        "the build has 60 liked and 19 disliked episodes, 20 of each are needed"
    )


def test_off_policy_counts_training_episodes_with_tokens_and_their_probabilities(
    tmp_path: Path,
) -> None:
    made = evidence(tmp_path, sft=30, off_policy=OffPolicyConfig(least_episodes=2))
    assert made.logged == 0
    assert lacking("off_policy", made) == (
        "0 training episodes carry the tokens and log-probabilities that the agent acted with, 2 "
        "are needed; dpo or kto take its place"
    )


def test_only_episodes_with_a_log_probability_a_token_count_as_logged_behaviour(
    tmp_path: Path,
) -> None:
    made = evidence(tmp_path, sft=3)
    said = [([5, 6], [-0.1, -0.2]), ([5, 6], [-0.1]), (None, None), ([7], [-0.3])]
    # The first has both; the second lacks one; the last is of no row of the build.
    rows = [
        episode(f"sft{n}" if n < 3 else "elsewhere", tokens, odds)
        for n, (tokens, odds) in enumerate(said)
    ]
    Warehouse(tmp_path).append("episodes", arrow_rows("episodes", rows))
    assert made.logged == 1


def test_play_needs_an_environment_with_training_scenarios(tmp_path: Path) -> None:
    for stage in ("grpo", "rloo", "rejection"):
        assert lacking(stage, evidence(tmp_path / stage)) == ""


class NothingToPlay(Evidence):
    """What a build offers where the environment draws no training scenario."""

    playable = False  # type: ignore[assignment]


def test_without_scenarios_play_is_left_out(tmp_path: Path) -> None:
    bare = evidence(tmp_path)
    made = NothingToPlay(bare.config, "b")
    said = "the environment sql_agent has no training scenario to play"
    assert lacking("grpo", made) == said
    assert lacking("dpo", made) == f"the build has no pair, and {said}"


def test_a_route_is_left_out_for_the_first_stage_that_lacks_something(tmp_path: Path) -> None:
    made = evidence(tmp_path, sft=20)
    routes = {"sft": "sft", "sft+kto+grpo": "sft+kto+grpo", "kto": "kto"}
    lack = "the build has 0 liked and 0 disliked episodes, 20 of each are needed"
    assert unsupported(routes, made) == {"sft+kto+grpo": f"kto: {lack}", "kto": lack}


def test_a_night_that_supports_no_candidate_is_an_error_that_says_what_to_do(
    tmp_path: Path,
) -> None:
    with pytest.raises(TrainingError, match=r"sft: the build has 0 .*more logs with feedback"):
        unsupported({"sft": "sft", "kto": "kto"}, evidence(tmp_path))


def test_nothing_is_looked_up_that_no_candidate_needs(tmp_path: Path) -> None:
    made = evidence(tmp_path, sft=20)
    unsupported({"sft": "sft"}, made)
    assert set(vars(made)) & {"playable", "logged", "unpaired", "pairs"} == set()


def test_routes_that_begin_with_play_are_left_out_where_few_groups_are_mixed() -> None:
    routes = {
        "sft": "sft",
        "grpo": "grpo",
        "sft+grpo": "sft+grpo",
        "rejection+dpo": "rejection+dpo",
    }
    said = (
        "only 4% of the start's groups are mixed, 10% are needed: play has next to nothing to teach"
    )
    assert idle_play(routes, 0.04, 0.1) == {"grpo": said, "rejection+dpo": said}
    assert idle_play(routes, 0.1, 0.1) == {}


def test_play_stays_where_nothing_else_is_left() -> None:
    assert idle_play({"grpo": "grpo", "rloo": "rloo"}, 0.0, 0.1) == {}
