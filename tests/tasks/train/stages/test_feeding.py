"""What imitation reads: as many passes as asked for, some episodes retold, none too long."""

from typing import Any

import pytest

from schemas.dataset import Trajectory
from schemas.episode import Message


def passes(made: Any, epochs: float, share: float = 0.0) -> list[Any]:
    from tasks.train.stages.bench import start
    from tasks.train.stages.feeding import Told, rows
    from tasks.train.stages.feeding import passes as told_passes

    told = [Told(t.messages, t.tools, t.train_on) for t in made.successes]
    return rows(
        told_passes(made, start(made, None), told, seed=0, epochs=epochs, retold_share=share)
    )


@pytest.mark.parametrize(("epochs", "rows"), [(1.0, 10), (2.0, 20), (2.5, 25), (0.5, 5)])
def test_passes_over_the_successes_may_be_parts(make_bench: Any, epochs: float, rows: int) -> None:
    assert len(passes(make_bench(), epochs)) == rows


def test_a_share_of_the_episodes_is_retold(make_bench: Any) -> None:
    for share, fewest, most in ((0.0, 1, 1), (1.0, 5, 10)):
        # All ten episodes are the same until they are retold.
        told = {tuple(r.input_ids) for r in passes(make_bench(), 1.0, share)}
        assert fewest <= len(told) <= most


def test_episodes_longer_than_the_context_are_left_out(make_bench: Any) -> None:
    made = make_bench(context=64)
    long = Message(role="user", content="1234567890 " * 10)
    first = made.successes[0]
    made.successes[0] = Trajectory(
        build="b", use="sft", episode_id="long", desirable=True, weight=1.0, total=1.0,
        messages=[long, *first.messages[1:]],
    )  # fmt: skip
    assert len(passes(made, 1.0)) == 9
