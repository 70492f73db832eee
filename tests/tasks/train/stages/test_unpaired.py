"""Episodes that are judged one by one: which are taken, and what the stage tells of them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.dataset import Trajectory
from schemas.episode import Message
from schemas.errors import TrainingError
from schemas.recipe_config import KtoConfig


def judged(made: Any, liked: int, disliked: int) -> list[Trajectory]:
    """Make episodes of both kinds, the best-ranked last."""
    first = made.successes[0]
    rows = []
    for desirable, count in ((True, liked), (False, disliked)):
        for rank in reversed(range(count)):
            answer = f"It is {rank}." if desirable else "I could not find it."
            told = [*first.messages[:3], Message(role="assistant", content=answer)]
            rows.append(
                msgspec.structs.replace(
                    first, use="kto", episode_id=f"{desirable}{rank}", desirable=desirable,
                    messages=told, rank=rank, train_on=[m.role == "assistant" for m in told],
                )
            )  # fmt: skip
    return rows


@pytest.mark.parametrize(
    ("good", "bad", "most", "expected"),
    [
        (9, 9, 6, (3, 3)),
        (9, 2, 6, (4, 2)),  # the good fill up
        (1, 9, 6, (1, 5)),
        (2, 2, 6, (2, 2)),
        (9, 9, 7, (4, 3)),
    ],
)
def test_half_of_each_kind_is_taken_where_there_are_enough(
    good: int, bad: int, most: int, expected: tuple[int, int]
) -> None:
    from tasks.train.stages.unpaired import halves

    taken: Any = halves(list(range(good)), list(range(bad)), most)  # type: ignore[arg-type]
    assert tuple(map(len, taken)) == expected
    assert list(taken[0]) == list(range(expected[0]))


def test_the_best_ranked_of_both_kinds_are_learnt_from(make_bench: Any, tmp_path: Path) -> None:
    from models.trainers.run import TrainerRun
    from tasks.train.stages.bench import start
    from tasks.train.stages.unpaired import kto

    recipe = KtoConfig(max_episodes=8, batch_size=4)
    made = make_bench(kto=recipe)
    made.unpaired[:] = judged(made, 12, 3)
    # Far too long, and ranked behind what is used.
    long = [Message(role="user", content="1234567890 " * 60), *made.unpaired[0].messages[1:]]
    made.unpaired[6] = msgspec.structs.replace(made.unpaired[6], messages=long)
    fed = kto(made, start(made, None), recipe, TrainerRun(tmp_path / "trainer", 0))
    assert (fed.account["desirable"], fed.account["undesirable"]) == (5, 3)
    assert (fed.account["cut"], fed.account["left_out"]) == (0, 1)
    assert (fed.ran.steps, fed.ran.of) == (2, 2)
    assert fed.account["assistant_tokens_under_mask"] > 0
    for who in ("system", "user", "tool", "template"):
        assert fed.account[f"{who}_tokens_under_mask"] == 0


@pytest.mark.parametrize(("liked", "disliked", "missing"), [(3, 0, "bad"), (0, 3, "good")])
def test_episodes_of_one_kind_alone_are_one_clear_error(
    make_bench: Any, tmp_path: Path, liked: int, disliked: int, missing: str
) -> None:
    from models.trainers.run import TrainerRun
    from tasks.train.stages.bench import start
    from tasks.train.stages.unpaired import kto

    made = make_bench()
    made.unpaired[:] = judged(made, liked, disliked)
    with pytest.raises(TrainingError, match=f"no {missing} episode"):
        kto(made, start(made, None), KtoConfig(), TrainerRun(tmp_path, 0))
