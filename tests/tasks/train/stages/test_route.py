"""A candidate's route: where it may begin, and what it leaves behind."""

from typing import Any

import pytest

from schemas.errors import TrainingError


@pytest.mark.parametrize("name", ["dpo", "kto", "grpo", "rejection"])
def test_only_imitation_can_begin_from_nothing(make_bench: Any, name: str) -> None:
    from tasks.train.stages.route import train_route

    with pytest.raises(TrainingError, match="needs a policy to start from"):
        train_route(make_bench(), name)
