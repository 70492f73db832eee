"""A toy shop with tools, conversations about it, and a tiny policy that knows them by heart."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from schemas.training_config import TinyPolicy

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"  # `environment_factory` is announced as experimental

SIZE = TinyPolicy(hidden_size=32, layers=2, heads=2, vocabulary=420, context=256)

New = Callable[..., Any]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def agent(text: str = "", *calls: dict[str, Any]) -> dict[str, Any]:
    turn = {"role": "assistant", "content": text}
    return {**turn, "tool_calls": list(calls)} if calls else turn


def tool(text: str) -> dict[str, Any]:
    return {"role": "tool", "content": text}


CHATS = {
    "tea": [
        user("how many tea?"), agent("", call("count", thing="tea")), tool("3"), agent("It is 3."),
    ],
    "coffee": [
        user("how many coffee in the north?"), agent("", call("count", thing="coffee")),
        tool("Error: no coffee"), agent("I could not find it."),
    ],
    "both": [
        user("tea and rice?"), agent("", call("count", thing="tea"), call("count", thing="rice")),
        tool("3"), tool("15"), agent("It is 3 and 15."),
    ],
    "broken": [
        user("break it"), agent("", call("explode")), tool("Error: RuntimeError"), agent("Sorry."),
    ],
    "unknown": [
        user("use what is not there"), agent("", call("missing")), tool("Error: no tool missing"),
        agent("Sorry."),
    ],
    "malformed": [user("talk nonsense"), agent("<tool_call>42</tool_call>")],
    "hello": [user("hello"), agent("Hi.")],
}  # fmt: skip
"""What the shop's agent does, by heart; each shows one thing a rollout must get right."""


class Shop:
    """One episode in the toy shop, in TRL's environment contract."""

    stock: dict[str, str] = {"tea": "3", "rice": "15"}  # noqa: RUF012 - never changed

    def reset(self, **_: Any) -> None:
        self._answer: str | None = None

    def count(self, thing: str) -> str:
        """Count a thing.

        Args:
            thing: What is counted.
        """
        return self.stock.get(thing, f"Error: no {thing}")

    def explode(self) -> str:
        """Fail."""
        raise RuntimeError("a tool of the user's broke")

    def get_reward(self) -> float:
        return float(self._answer in {"It is 3.", "It is 3 and 15.", "<tool_call>42</tool_call>"})

    def _finish(self, answer: str | None, malformed: bool) -> None:
        self._answer = answer


@pytest.fixture
def shop() -> Callable[[], Shop]:
    """Open the shop once more."""

    def opened() -> Shop:
        made = Shop()
        made.reset()
        return made

    return opened


@pytest.fixture(scope="session")
def chats() -> dict[str, list[dict[str, Any]]]:
    return CHATS


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from models.chat import TEMPLATE
    from models.tokenizer import render, train_tokenizer

    words = [
        [user("is it so?"), agent(answer)]
        for answer in ("yes", "no", "SELECT SUM(amount) FROM sales WHERE area = 'north'")
    ]
    return train_tokenizer(render([*CHATS.values(), *words] * 3, TEMPLATE), SIZE.vocabulary)


@pytest.fixture(scope="session")
def new(tokenizer: Any) -> New:
    """Make a policy from a random start."""
    from models.policy import LoadedPolicy
    from models.tiny import new_policy

    def made(seed: int = 0, size: TinyPolicy = SIZE) -> LoadedPolicy:
        return LoadedPolicy(new_policy(size, tokenizer, seed), tokenizer, "")

    return made


@pytest.fixture(scope="session")
def learnt(
    new: New, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, list[dict[str, float]]]:
    """Teach a policy the shop's conversations; gives it with what the trainer logged."""
    from models.masks import tokenise
    from models.trainers.run import TrainerRun
    from models.trainers.sft import train_sft

    policy = new(seed=1)
    ran = train_sft(
        policy, tokenise(list(CHATS.values()) * 200, policy.tokenizer),
        run=TrainerRun(tmp_path_factory.mktemp("sft"), 0), learning_rate=2e-2, epochs=1,
        batch_size=7, optimizer="muon",
    )  # fmt: skip
    return policy, ran.history


@pytest.fixture
def parrot(learnt: tuple[Any, list[dict[str, float]]], new: New) -> Any:
    """Make a policy of the test's own that knows the shop's conversations."""
    policy = new()
    # Not a deep copy: trainers wrap `forward`, and a copied wrapper runs the original.
    policy.model.load_state_dict(learnt[0].model.state_dict())
    return policy
