"""Pairs that a stage prefers by: of the logs, and of the policy's own play."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.dataset import Pair
from schemas.episode import Message
from schemas.errors import TrainingError
from schemas.recipe_config import DpoConfig


@pytest.fixture
def pair(make_bench: Any) -> Pair:
    """Make a pair whose sides part in the last answer."""
    messages = make_bench().successes[0].messages
    return Pair(
        build="b", pair_id="p", kind="episode", prompt=messages[:3], chosen=messages[3:],
        rejected=[Message(role="assistant", content="It is 42.")], chosen_episode="1",
        rejected_episode="2", margin=1.0, confidence=1.0,
    )  # fmt: skip


def test_played_pairs_stand_within_one_scenario_two_at_most(make_rollout: Any) -> None:
    from tasks.train.stages.preference import pairs_of_play

    played = [
        make_rollout("a", [5, 6, 7], 1.0),
        make_rollout("a", [5, 8], 0.0),
        make_rollout("a", [5, 6], 1.0),
        make_rollout("a", [9], 0.0),
        make_rollout("a", [5, 6, 7, 8], 1.0),
        make_rollout("a", [4], 0.0),
        make_rollout("b", [5], 1.0),  # no failure to set against
        make_rollout("c", [5], 0.0),  # no success
        make_rollout("d", [5], None),  # no verdict
    ]
    pairs = [(p.prompt_ids, p.chosen_ids, p.rejected_ids) for p in pairs_of_play(played)]
    # The shortest successes first, each with the next failure; they part after the 5, or at once.
    assert pairs == [([1, 2, 5], [6], [8]), ([1, 2], [5, 6, 7], [9])]


def test_a_logged_pair_parts_where_its_sides_do(make_bench: Any, pair: Pair) -> None:
    from models.cutting import fit_pairs
    from models.trainers.preference import masked_pair
    from tasks.train.stages.bench import start
    from tasks.train.stages.preference import both_sides

    policy = start(make_bench(), None)
    (((_, chosen), (_, rejected)),) = fit_pairs([both_sides(pair)], policy.tokenizer, 256).kept
    found = masked_pair(chosen, rejected)
    assert found is not None
    assert policy.tokenizer.decode(found.prompt_ids).endswith("<|assistant|>It is 4")
    assert policy.tokenizer.decode(found.chosen_ids) == "1.<|end|>"
    assert policy.tokenizer.decode(found.rejected_ids) == "2.<|end|>"
    assert set(found.chosen_mask) == set(found.rejected_mask) == {1}


def test_only_as_many_logged_pairs_are_tokenised_as_a_night_uses(
    make_bench: Any, pair: Pair
) -> None:
    from tasks.train.stages.bench import start
    from tasks.train.stages.preference import logged_pairs

    made = make_bench()
    same = msgspec.structs.replace(pair, rejected=pair.chosen)
    made.pairs[:] = [same, pair, pair, pair, pair, pair]
    fitted, logged = logged_pairs(made, start(made, None), DpoConfig(max_pairs=2))
    # Two by two: of the first two only one has a say, the next two are enough.
    assert (len(logged), len(fitted.kept)) == (3, 4)


def test_a_decision_point_is_preferred_at_its_own_step(
    make_bench: Any, pair: Pair, tmp_path: Path
) -> None:
    from models.trainers.run import TrainerRun
    from tasks.train.stages.bench import start
    from tasks.train.stages.preference import dpo

    recipe = DpoConfig(kinds=("decision_point",), scenarios=0, batch_size=2)
    made = make_bench(dpo=recipe)
    policy = start(made, None)
    # Both sides are one action of the agent: to call, as in the episode, or to give up.
    calls = msgspec.structs.replace(
        pair, kind="decision_point", prompt=pair.prompt[:1], chosen=pair.prompt[1:2],
        rejected=[Message(role="assistant", content="I could not find it.")],
    )  # fmt: skip
    made.pairs[:] = [pair, calls, calls, calls]
    fed = dpo(made, policy, recipe, TrainerRun(tmp_path / "trainer", 0))
    assert (fed.account["logged_pairs"], fed.account["used"]) == (3, 3)
    assert (fed.ran.steps, fed.ran.of) == (2, 2)  # three pairs by two
    assert fed.account["assistant_tokens_under_mask"] > 0
    for who in ("user", "tool", "template"):
        assert fed.account[f"{who}_tokens_under_mask"] == 0


def test_without_any_pair_the_stage_says_what_to_do(make_bench: Any, tmp_path: Path) -> None:
    from models.trainers.run import TrainerRun
    from tasks.train.stages.bench import start
    from tasks.train.stages.preference import dpo

    made = make_bench()
    with pytest.raises(TrainingError, match="no pair to prefer by"):
        dpo(made, start(made, None), DpoConfig(scenarios=0), TrainerRun(tmp_path, 0))
