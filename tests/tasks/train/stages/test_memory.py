"""A stage that runs out of memory is tried again with less, in a fixed order."""

import gc
from collections.abc import Callable, Iterator

import pytest
import torch

from models.trainers.run import Acted
from schemas.errors import TrainingError
from schemas.recipe_config import DpoConfig, GrpoConfig, RejectionConfig, SftConfig
from tasks.train.stages.memory import Load, with_less_memory


@pytest.fixture(autouse=True)
def _little_to_collect() -> Iterator[None]:
    """Leave what was imported out of each collection: it takes most of a second."""
    gc.freeze()
    yield
    gc.unfreeze()


def failing(times: int, seen: list[Load], error: Exception | None = None) -> Callable[[Load], str]:
    """Make a stage that runs out of memory so many times."""

    def attempt(load: Load) -> str:
        seen.append(load)
        if len(seen) <= times:
            raise error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return "trained"

    return attempt


def test_a_stage_with_room_runs_once_as_it_is() -> None:
    seen: list[Load] = []
    load = Load(GrpoConfig())
    assert with_less_memory(failing(0, seen), load, limit=4) == ("trained", [])
    assert seen == [load]


def test_play_asks_for_less_in_the_order_that_is_promised() -> None:
    seen: list[Load] = []
    told: list[Acted] = []
    recipe = GrpoConfig(generations=8, micro_batch=48, completion_share=0.8)
    result, acted = with_less_memory(failing(4, seen), Load(recipe), limit=4, told=told.append)
    assert result == "trained"
    assert [
        (s.recipe.generations, s.recipe.micro_batch, s.recipe.completion_share) for s in seen
    ] == [(8, 48, 0.8), (4, 48, 0.8), (4, 24, 0.8), (4, 24, 0.6), (4, 24, 0.6)]
    assert [s.gradient_checkpointing for s in seen] == [False] * 4 + [True]
    assert [a.did for a in acted] == [
        "tried again with 4 generations a scenario", "tried again with 24 rollouts at once",
        "tried again with episodes of 60% of the context",
        "tried again with gradient checkpointing",
    ]  # fmt: skip
    assert acted[0].saw == "memory ran out: CUDA out of memory. Tried to allocate 2 GiB."
    assert {a.monitor for a in acted} == {"memory"}
    assert told == acted


def test_what_is_used_up_is_passed_over_and_the_rest_gone_through_again() -> None:
    seen: list[Load] = []
    recipe = GrpoConfig(generations=3, micro_batch=4, completion_share=0.3)
    with pytest.raises(TrainingError, match="after 4 retries"):
        with_less_memory(failing(99, seen), Load(recipe), limit=99)
    # Three generations cannot be halved to two whole ones. Micro-batch 4 is halved, completions
    # shrink to .225 (.169 would be too short), checkpointing is set; then micro-batch 2 to 1.
    last = seen[-1]
    assert (last.recipe.generations, last.recipe.micro_batch) == (3, 1)
    assert last.recipe.completion_share == 0.225
    assert last.gradient_checkpointing
    assert len(seen) == 5


def test_other_stages_compute_a_batch_in_parts_and_play_as_many() -> None:
    for recipe, parts in (
        (SftConfig(batch_size=6), [1, 2, 2, 6]),  # 4 parts of 6 are not alike
        (DpoConfig(batch_size=16), [1, 2, 2, 4]),
        (RejectionConfig(), [1, 2, 2, 4]),
    ):
        seen: list[Load] = []
        with_less_memory(failing(3, seen), Load(recipe), limit=4)
        assert [s.parts for s in seen] == parts
        assert [s.gradient_checkpointing for s in seen] == [False, False, True, True]
        assert all(s.recipe == recipe for s in seen)


def test_after_the_last_retry_the_error_says_what_to_change() -> None:
    seen: list[Load] = []
    with pytest.raises(TrainingError, match="smaller policy") as caught:
        with_less_memory(failing(99, seen), Load(SftConfig()), limit=2)
    assert "after 2 retries" in caught.value.message
    assert len(seen) == 3


def test_no_retry_is_made_where_none_is_allowed() -> None:
    seen: list[Load] = []
    with pytest.raises(TrainingError, match="The stage ran out of memory: "):
        with_less_memory(failing(1, seen), Load(SftConfig()), limit=0)


def test_main_memory_counts_as_memory_and_other_errors_pass() -> None:
    def allocating(load: Load) -> int:
        if load.parts == 1:
            torch.empty(10**15)  # four petabytes
        return load.parts

    result, acted = with_less_memory(allocating, Load(SftConfig()), limit=4)
    assert result == 2
    assert "can't allocate memory" in acted[0].saw
    with pytest.raises(RuntimeError, match="size mismatch"):
        with_less_memory(failing(9, [], RuntimeError("size mismatch")), Load(SftConfig()), limit=4)


def test_what_a_failed_attempt_held_is_free_before_the_next() -> None:
    class Policy:
        """Tells when it is gone."""

        alive = 0

        def __init__(self) -> None:
            Policy.alive += 1

        def __del__(self) -> None:
            Policy.alive -= 1

    def attempt(load: Load) -> int:
        policy = Policy()
        if load.parts == 1:
            raise MemoryError
        assert isinstance(policy, Policy)
        return Policy.alive

    assert with_less_memory(attempt, Load(SftConfig()), limit=1)[0] == 1
