"""Which logged episodes may be learned from off-policy: each bound, and what is said of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.config import FlywheelConfig
from schemas.dataset import Trajectory
from schemas.episode import Episode, Message, ToolCall
from schemas.label import Label
from schemas.recipe_config import OffPolicyConfig
from schemas.tables import arrow_rows
from schemas.training_config import TinyPolicy, TrainConfig
from tasks.train.off_policy import advantages, usable, version_of, versions_behind
from warehouse.tables import Warehouse

AT = datetime(2026, 1, 2, 3, tzinfo=UTC)
TINY = TinyPolicy(hidden_size=16, layers=1, heads=1, vocabulary=320, context=256)


def talk(answer: str) -> list[Message]:
    call = ToolCall(name="run_sql", arguments='{"query": "SELECT 1"}')
    return [
        Message(role="user", content="how many orders?"),
        Message(role="assistant", tool_calls=[call]),
        Message(role="tool", content="41"),
        Message(role="assistant", content=answer),
    ]


@pytest.fixture(scope="module")
def policy() -> Any:
    from models.chat import TEMPLATE, to_chat
    from models.policy import LoadedPolicy
    from models.tiny import new_policy
    from models.tokenizer import render, train_tokenizer

    chats = [to_chat(talk(f"It is {n}.")) for n in range(40)]
    tokenizer = train_tokenizer(render(chats, TEMPLATE), TINY.vocabulary)
    return LoadedPolicy(new_policy(TINY, tokenizer, 0), tokenizer, "")


class Logs:
    """A build's training episodes, as a policy would have logged them itself."""

    def __init__(self, home: Path, policy: Any, **recipe: Any) -> None:
        bounds = OffPolicyConfig(**{"least_episodes": 2, **recipe})
        train = TrainConfig(policy=TINY, off_policy=bounds)
        self.config = FlywheelConfig(home=home, train=train)
        self.policy, self.rows = policy, {"episodes": [], "labels": [], "trajectories": []}

    def add(
        self, problem: str | None, success: float | None, *, shift: float = 0.0,
        version: str | None = "7", **fields: Any,
    ) -> None:  # fmt: skip
        """Log an episode; `shift` is what is added to each log-probability of the policy's own."""
        from models.chat import to_chat
        from models.masks import Conversation, tokenise_all
        from models.trainers.drift import token_logprobs
        from models.trainers.off_policy import logged_rollout

        name = f"e{len(self.rows['episodes']):03}"
        messages = fields.pop("messages", talk(f"It is {len(name)}."))
        told = Conversation(to_chat(messages))
        [row] = tokenise_all([told], self.policy.tokenizer)
        ids = [t for t, own in zip(row.input_ids, row.agent_mask, strict=True) if own]
        made = logged_rollout(told, ids, [0.0] * len(ids), self.policy.tokenizer)
        assert made is not None
        own = token_logprobs(self.policy.model, [made])[0].tolist()
        known = [p + shift for p, spoken in zip(own, made.agent_mask, strict=True) if spoken]
        tokens = {"token_ids": ids, "logprobs": known} | fields
        self.rows["episodes"].append(
            Episode(
                episode_id=name, format="made_up", day="2026-01-01", night="2026-01-01", steps=2,
                body_digest=name, source="s", question="how many orders?", source_file="f",
                source_line=1, raw_digest="r", scenario_id=problem, policy_version=version,
                messages=messages, **tokens,
            )
        )  # fmt: skip
        state = "unlabelled" if success is None else ("success" if success > 0.5 else "failure")
        self.rows["labels"].append(
            Label(episode_id=name, label_version="v", labelled_at=AT, state=state, success=success)  # type: ignore[arg-type]
        )
        self.rows["trajectories"].append(
            Trajectory(
                build="b", use="kto", episode_id=name, messages=messages, desirable=True,
                weight=1.0, total=1.0,
            )
        )  # fmt: skip

    def found(self, start: str | None = "7") -> Any:
        warehouse = Warehouse(self.config.home)
        for table, rows in self.rows.items():
            warehouse.append(table, arrow_rows(table, rows))
        return usable(self.config, "b", self.policy, start)


@pytest.fixture
def logs(tmp_path: Path, policy: Any) -> Callable[..., Logs]:
    return lambda **recipe: Logs(tmp_path / "home", policy, **recipe)


def test_advantages_are_against_the_problems_own_mean_or_that_of_all() -> None:
    # a: mean 1/2. b has one episode, so it is held against the mean of all, 2/3.
    assert advantages(["a", "b", "a"], [1.0, 1.0, 0.0]) == pytest.approx([0.5, 1 / 3, -0.5])
    assert advantages([], []) == []


def test_versions_are_counted_either_way_and_only_between_numbers() -> None:
    assert versions_behind("4", "7") == 3
    assert versions_behind("v9", "7") == 2  # after a rollback the one that acted is the newer
    assert versions_behind("blue", "blue") == 0
    assert versions_behind("blue", "7") is None
    assert versions_behind(None, "7") is None
    assert versions_behind("7", None) is None


def test_a_fetched_policys_folder_tells_its_version() -> None:
    assert version_of("home/policies/agent-policy-v12-m-0a1b2c/") == "12"
    assert version_of("home/runs/n/candidates/sft/policy") is None
    assert version_of(None) is None


def test_episodes_of_the_policy_itself_are_used_with_their_own_logprobs(
    logs: Callable[..., Logs],
) -> None:
    made = logs()
    for problem, success in (("a", 1.0), ("a", 0.0), ("b", 0.9), (None, 0.9)):
        made.add(problem, success)
    found = made.found()
    assert found.why == ""
    # a: 1/2 each way; b and the one without a scenario are alone: the mean of all is 0.7.
    assert found.advantages == pytest.approx([0.5, -0.5, 0.2, 0.2])
    assert found.account["used"] == 4
    assert found.account["effective"] == pytest.approx(4, abs=1e-3)
    assert found.account["largest_weight"] == pytest.approx(1, abs=1e-3)
    for rollout in found.rollouts:
        spoken = [p for p, own in zip(rollout.logprobs, rollout.agent_mask, strict=True) if own]
        assert max(spoken) < 0


def test_each_bound_that_fails_is_counted_and_said(logs: Callable[..., Logs]) -> None:
    made = logs(max_age=2, least_episodes=3)
    made.add("a", 1.0)
    made.add("a", 0.0, version="5")
    made.add("a", 1.0, version="4")
    made.add("a", 1.0, version=None)
    made.add("a", None)
    made.add("a", 1.0, token_ids=None, logprobs=None)
    made.add("a", 1.0, token_ids=None)
    made.add("a", 1.0, shift=50.0)  # log-probabilities above 0 are none
    made.add("a", 1.0, token_ids=[9, 9, 9], logprobs=[-1.0, -1.0, -1.0])
    found = made.found()
    assert found.rollouts == found.advantages == []
    assert found.account == {
        "logged": 9, "too_old": 1, "of_unknown_age": 1, "unjudged": 1, "without_tokens": 2,
        "malformed": 1, "of_other_tokens": 1, "used": 2,
    }  # fmt: skip
    assert found.why.startswith("2 of 9 logged training episodes can be used off-policy, 3 are")
    assert "2 carry no token ids with a log-probability each" in found.why
    assert "1 were logged more than 2 versions from 7" in found.why
    assert "1 have tokens that do not spell what was said" in found.why
    assert found.why.endswith("DPO or KTO on the same logs, which need no log-probabilities, is what is left.")  # fmt: skip  # noqa: E501


def test_a_start_without_a_version_cannot_tell_how_old_a_log_is(logs: Callable[..., Logs]) -> None:
    made = logs()
    made.add("a", 1.0)
    made.add("a", 0.0)
    found = made.found(start=None)
    assert "2 do not say which version acted, or start from none" in found.why


def test_logs_that_say_too_little_about_the_policy_are_refused(logs: Callable[..., Logs]) -> None:
    made = logs(least_share=0.5)
    made.add("a", 1.0)
    for _ in range(3):
        made.add("a", 0.0, shift=4.0)
    # Weights 1 and three times e^-4 = 0.018: (1.055)^2 / (1.001) = 1.11 of 4 episodes. Some of the
    # shifted log-probabilities stay below 0 only because an untrained policy is sure of nothing.
    found = made.found()
    assert found.account["effective"] == pytest.approx(1.11, abs=0.02)
    assert found.why.startswith("4 logged episodes say no more about this policy than 1 of its own")
    assert "50% of them is the least (train.off_policy.least_share)" in found.why
    assert "DPO or KTO" in found.why


def test_the_stage_learns_from_the_logs_of_the_version_it_starts_from(
    logs: Callable[..., Logs], tmp_path: Path
) -> None:
    from models.policy import load_policy, save_policy
    from models.trainers.off_policy import importance_weights
    from models.trainers.run import TrainerRun
    from tasks.train.stages.bench import Bench
    from tasks.train.stages.off_policy import off_policy

    made = logs(batch_size=2, learning_rate=1e-3, epochs=2)
    for success, said in ((1.0, "It is 41."), (0.0, "It is 7.")) * 2:
        made.add("a", success, messages=talk(said))
    acted = made.found()
    assert acted.why == ""
    start = tmp_path / "policies" / "agent-policy-v7-m-1"
    policy = load_policy(save_policy(made.policy, start))
    bench = Bench(
        config=made.config, world=None, successes=made.rows["trajectories"], pairs=[],  # type: ignore[arg-type]
        unpaired=[], start=str(start), seed=0, folder=tmp_path,
        build=made.rows["trajectories"][0].build, progress=lambda stage, done, total: None,
    )  # fmt: skip
    run = TrainerRun(tmp_path / "trainer", 0)
    fed = off_policy(bench, policy, made.config.train.off_policy, run)
    assert fed.account["used"] == 4
    assert "instead" not in fed.account
    assert fed.ran.steps == 4  # 4 episodes by 2, twice
    # Most of their tokens they share; against the policy that acted the better one has gained.
    right, wrong = importance_weights(policy, acted.rollouts[:2])
    assert right > wrong + 0.01
