"""Imitation: the best of a policy's own play, and an account of what was imitated."""

from pathlib import Path
from typing import Any

import msgspec

from schemas.episode import Message
from schemas.recipe_config import SftConfig


def test_the_shortest_distinct_clean_successes_are_kept_with_their_question(
    make_rollout: Any, make_scenario: Any
) -> None:
    from tasks.train.stages.imitation import best

    rollouts = [
        make_rollout("a", [5, 6, 7, 8], 1.0),
        make_rollout("a", [5, 6], 1.0, errors=1),  # shorter, but it met an error
        make_rollout("a", [5, 6, 7], 1.0),
        make_rollout("a", [5, 6, 7], 1.0),  # the same again
        make_rollout("a", [5], 0.0),
        make_rollout("a", [6], 1.0, truncated=True),
        make_rollout("a", [7], 1.0, malformed=True),
        make_rollout("a", [8], None),
        make_rollout("b", [9], 0.0),
    ]
    for one in rollouts:
        one.messages = [Message(role="assistant", content=str(one.completion_ids))]
    kept = best([(make_scenario(r.scenario_id), r) for r in rollouts], 2)
    said = [[m.content for m in messages] for messages in kept]
    assert said == [["how many a?", "[5, 6, 7]"], ["how many a?", "[5, 6, 7, 8]"]]


def test_a_stage_tells_what_was_cut_and_whose_tokens_its_loss_covers(
    make_bench: Any, tmp_path: Path
) -> None:
    from models.trainers.run import TrainerRun
    from tasks.train.stages.bench import start
    from tasks.train.stages.imitation import sft

    recipe = SftConfig(retold_share=0.0, epochs=1.0)
    made = make_bench(context=64, sft=recipe)
    first = made.successes[0]
    answer = Message(role="assistant", content="1234567890 " * 10)
    asked = Message(role="user", content="1234567890 " * 10)
    for number, messages in enumerate(
        ([*first.messages[:3], answer], [asked, *first.messages[1:]])
    ):
        made.successes[number] = msgspec.structs.replace(first, messages=messages)
    fed = sft(made, start(made, None), recipe, TrainerRun(tmp_path / "trainer", 0))
    # The first keeps its question and its call; the second's question alone is too long.
    assert fed.account["episodes"] == 10
    assert (fed.account["cut"], fed.account["left_out"]) == (1, 1)
    assert fed.account["assistant_tokens_under_mask"] > 9
    for who in ("system", "user", "tool", "template"):
        assert fed.account[f"{who}_tokens_under_mask"] == 0
    assert (fed.ran.steps, fed.ran.of) == (2, 2)  # nine episodes by eight
