"""A policy that answers a question by yes or no."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def speaker(new: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Any]:
    """Give a policy that says yes or no."""
    from models.masks import tokenise
    from models.trainers.run import TrainerRun
    from models.trainers.sft import train_sft

    asked = {"role": "user", "content": "is it so?"}
    saying = [[asked, {"role": "assistant", "content": said}] for said in ("yes", "no")]
    taught = new(seed=6)
    run = TrainerRun(tmp_path_factory.mktemp("speaker"), 0)
    train_sft(
        taught, tokenise(saying * 200, taught.tokenizer), run=run, learning_rate=2e-2, epochs=1,
        batch_size=8, optimizer="muon",
    )  # fmt: skip

    def made() -> Any:
        policy = new()
        policy.model.load_state_dict(taught.model.state_dict())
        return policy

    return made
