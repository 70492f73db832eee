"""What candidates learn from: the best of a policy's own play, and pairs of it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.config import FlywheelConfig
from schemas.dataset import Pair, Scenario, Trajectory
from schemas.episode import Message, ToolCall
from schemas.errors import TrainingError
from schemas.recipe_config import DpoConfig, SftConfig
from schemas.rollout import Rollout
from schemas.training_config import TinyPolicy, TrainConfig


def rollout(scenario: str, tokens: list[int], reward: float | None, **how: Any) -> Rollout:
    """Make a rollout whose agent says every token but the tool's 99."""
    return Rollout(
        scenario_id=scenario, attempt=0, messages=[], reward=reward, turns=1, tool_calls=1,
        tool_errors=how.pop("errors", 0), prompt_ids=[1, 2], completion_ids=tokens,
        agent_mask=[int(t != 99) for t in tokens], **how,
    )  # fmt: skip


def bench(tmp_path: Path, *, start: str | None = None, **train: Any) -> Any:
    from tasks.train.candidates import Bench

    context = train.pop("context", 256)
    tiny = TinyPolicy(hidden_size=16, layers=1, heads=1, vocabulary=320, context=context)
    config = FlywheelConfig(home=tmp_path, train=TrainConfig(policy=tiny, **train))
    call = ToolCall(name="run_sql", arguments='{"query": "SELECT 1"}')
    told = [
        Trajectory(
            build="b", use="sft", episode_id=str(i), desirable=True, weight=1.0, total=1.0,
            messages=[
                Message(role="user", content="how many orders?"),
                Message(role="assistant", tool_calls=[call]),
                Message(role="tool", content="41"),
                Message(role="assistant", content="It is 41."),
            ],
        )
        for i in range(10)
    ]  # fmt: skip
    return Bench(
        config=config, world=None, successes=told, pairs=[], start=start, seed=0, folder=tmp_path,
        progress=lambda stage, done, total: None,
    )  # fmt: skip


def passes(made: Any, epochs: float) -> list[Any]:
    from tasks.train.candidates import _base, _passes, _rows, _Told

    told = [_Told(t.messages, t.tools, t.train_on) for t in made.successes]
    share = made.config.train.sft.retold_share
    return _rows(_passes(made, _base(made), told, epochs=epochs, retold_share=share))


def question(name: str) -> Scenario:
    return Scenario(
        scenario_id=name, split="train", slice="count", specification=name, composition=name,
        question=f"how many {name}?", environment="sql_agent", row="{}",
    )  # fmt: skip


def test_the_shortest_distinct_clean_successes_are_kept_with_their_question() -> None:
    from tasks.train.candidates import _best

    rollouts = [
        rollout("a", [5, 6, 7, 8], 1.0),
        rollout("a", [5, 6], 1.0, errors=1),  # shorter, but it met an error
        rollout("a", [5, 6, 7], 1.0),
        rollout("a", [5, 6, 7], 1.0),  # the same again
        rollout("a", [5], 0.0),
        rollout("a", [6], 1.0, truncated=True),
        rollout("a", [7], 1.0, malformed=True),
        rollout("a", [8], None),
        rollout("b", [9], 0.0),
    ]
    for one in rollouts:
        one.messages = [Message(role="assistant", content=str(one.completion_ids))]
    kept = _best([(question(r.scenario_id), r) for r in rollouts], 2)
    said = [[m.content for m in messages] for messages in kept]
    assert said == [["how many a?", "[5, 6, 7]"], ["how many a?", "[5, 6, 7, 8]"]]


def test_played_pairs_stand_within_one_scenario_two_at_most() -> None:
    from tasks.train.candidates import _pairs_of_play

    played = [
        rollout("a", [5, 6, 7], 1.0),
        rollout("a", [5, 8], 0.0),
        rollout("a", [5, 6], 1.0),
        rollout("a", [9], 0.0),
        rollout("a", [5, 6, 7, 8], 1.0),
        rollout("a", [4], 0.0),
        rollout("b", [5], 1.0),  # no failure to set against
        rollout("c", [5], 0.0),  # no success
        rollout("d", [5], None),  # no verdict
    ]
    pairs = [(p.prompt_ids, p.chosen_ids, p.rejected_ids) for p in _pairs_of_play(played)]
    # The shortest successes first, each with the next failure; they part after the 5, or at once.
    assert pairs == [([1, 2, 5], [6], [8]), ([1, 2], [5, 6, 7], [9])]


@pytest.mark.parametrize("name", ["dpo", "grpo", "rejection"])
def test_only_imitation_can_begin_from_nothing(tmp_path: Path, name: str) -> None:
    from tasks.train.candidates import CANDIDATES

    with pytest.raises(TrainingError, match="needs a policy to start from"):
        CANDIDATES[name](bench(tmp_path))


@pytest.mark.parametrize(("epochs", "rows"), [(1.0, 10), (2.0, 20), (2.5, 25), (0.5, 5)])
def test_passes_over_the_successes_may_be_parts(tmp_path: Path, epochs: float, rows: int) -> None:
    made = bench(tmp_path)
    assert len(passes(made, epochs)) == rows


def test_a_share_of_the_episodes_is_retold(tmp_path: Path) -> None:
    for share, fewest, most in ((0.0, 1, 1), (1.0, 5, 10)):
        made = bench(tmp_path, sft=SftConfig(retold_share=share))
        rows = passes(made, 1.0)
        # All ten episodes are the same until they are retold.
        assert fewest <= len({tuple(r.input_ids) for r in rows}) <= most


def test_episodes_longer_than_the_context_are_left_out(tmp_path: Path) -> None:
    made = bench(tmp_path, context=64)
    long = Message(role="user", content="1234567890 " * 10)
    first = made.successes[0]
    made.successes[0] = Trajectory(
        build="b", use="sft", episode_id="long", desirable=True, weight=1.0, total=1.0,
        messages=[long, *first.messages[1:]],
    )  # fmt: skip
    assert len(passes(made, 1.0)) == 9


def test_a_logged_pair_parts_where_its_sides_do(tmp_path: Path) -> None:
    from models.cutting import fit_pairs
    from models.trainers.preference import masked_pair
    from tasks.train.candidates import _base, _sides

    made = bench(tmp_path)
    policy = _base(made)
    messages = made.successes[0].messages
    pair = Pair(
        build="b", pair_id="p", kind="episode", prompt=messages[:3], chosen=messages[3:],
        rejected=[Message(role="assistant", content="It is 42.")], chosen_episode="1",
        rejected_episode="2", margin=1.0, confidence=1.0,
    )  # fmt: skip
    (((_, chosen), (_, rejected)),) = fit_pairs([_sides(pair)], policy.tokenizer, 256).kept
    found = masked_pair(chosen, rejected)
    assert found is not None
    assert policy.tokenizer.decode(found.prompt_ids).endswith("<|assistant|>It is 4")
    assert policy.tokenizer.decode(found.chosen_ids) == "1.<|end|>"
    assert policy.tokenizer.decode(found.rejected_ids) == "2.<|end|>"
    assert set(found.chosen_mask) == set(found.rejected_mask) == {1}


def test_a_stage_tells_what_was_cut_and_whose_tokens_its_loss_covers(tmp_path: Path) -> None:
    from tasks.train.candidates import sft

    made = bench(tmp_path, context=64, sft=SftConfig(retold_share=0.0, epochs=1.0))
    first = made.successes[0]
    answer = Message(role="assistant", content="1234567890 " * 10)
    asked = Message(role="user", content="1234567890 " * 10)
    for number, messages in enumerate(
        ([*first.messages[:3], answer], [asked, *first.messages[1:]])
    ):
        made.successes[number] = msgspec.structs.replace(first, messages=messages)
    (stage,) = sft(made).stages
    # The first keeps its question and its call; the second's question alone is too long.
    assert (stage["name"], stage["episodes"]) == ("sft", 10)
    assert (stage["cut"], stage["left_out"]) == (1, 1)
    assert stage["assistant_tokens_under_mask"] > 9
    for who in ("system", "user", "tool", "template"):
        assert stage[f"{who}_tokens_under_mask"] == 0


def test_only_as_many_logged_pairs_are_tokenised_as_a_night_uses(tmp_path: Path) -> None:
    from tasks.train.candidates import _base, _logged_pairs

    made = bench(tmp_path, dpo=DpoConfig(max_pairs=2))
    messages = made.successes[0].messages
    same = Pair(
        build="b", pair_id="p", kind="episode", prompt=messages[:3], chosen=messages[3:],
        rejected=messages[3:], chosen_episode="1", rejected_episode="2", margin=1.0, confidence=1.0,
    )  # fmt: skip
    other = [Message(role="assistant", content="It is 42.")]
    unlike = msgspec.structs.replace(same, rejected=other)
    made.pairs[:] = [same, unlike, unlike, unlike, unlike, unlike]
    fitted, logged = _logged_pairs(made, _base(made))
    # Two by two: of the first two only one has a say, the next two are enough.
    assert (len(logged), len(fitted.kept)) == (3, 4)
