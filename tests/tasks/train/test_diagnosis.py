"""Kinds of failures, mixed groups, and what the advice makes of them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.config import FlywheelConfig
from schemas.dataset import Scenario
from schemas.episode import Message, ToolCall
from schemas.rollout import Rollout
from tasks.rollout.environment import open_world
from tasks.rollout.play import play_policy
from tasks.train.diagnosis import KINDS, Diagnosis, diagnose, diagnosed, kind_of_failure, lines


def call(name: str, answer: str, **arguments: str) -> list[Message]:
    made = ToolCall(id="c", name=name, arguments=json.dumps(arguments))
    told = Message(role="tool", content=answer, tool_call_id="c", error=answer.startswith("Error"))
    return [Message(role="assistant", tool_calls=[made]), told]


def query(answer: str, sql: str = "SELECT SUM(paid) FROM orders") -> list[Message]:
    return call("run_sql", answer, query=sql)


def say(content: str | None) -> list[Message]:
    return [Message(role="assistant", content=content)]


def played(
    *parts: list[Message], reward: float | None = 0.0, scenario: str = "a",
    malformed: bool = False, truncated: bool = False,
) -> Rollout:  # fmt: skip
    return Rollout(
        scenario_id=scenario, attempt=0, messages=[m for part in parts for m in part],
        reward=reward, turns=1, tool_calls=1, tool_errors=0, malformed=malformed,
        truncated=truncated,
    )  # fmt: skip


def asked(name: str, kind: str = "total") -> Scenario:
    return Scenario(
        scenario_id=name, split="train", slice=kind, specification=name, composition=kind,
        question="total revenue of orders?", environment="sql_agent", row="{}",
    )  # fmt: skip


WON = played(query("1178"), say("It is 1178."), reward=1.0)
PLANTED = {
    "malformed": played(say('<tool_call>{"name": "run_sql"</tool_call>'), malformed=True),
    "loop": played(*[query("Error: no column paid")] * 3, say("I could not find it.")),
    "truncated": played(query("1178"), say("It is It is It is"), truncated=True),
    "no_answer": played(query("1178"), say(None)),
    "miscopied": played(query("1178"), say("It is 1187.")),
    "wrong_decision": played(query("21", "SELECT COUNT(*) FROM orders"), say("It is 21.")),
}
"""A failure of each kind."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_failure_is_named(kind: str) -> None:
    assert kind_of_failure(PLANTED[kind], asked("a").question) == kind


def test_an_episode_without_any_message_has_no_answer() -> None:
    assert kind_of_failure(played(), "?") == "no_answer"


def test_of_several_kinds_the_first_in_order_counts() -> None:
    looping = [query("1178")] * 3
    bad = played(*looping, say("It is 1187."), malformed=True, truncated=True)
    assert kind_of_failure(bad, "?") == "malformed"
    bad.malformed = False
    assert kind_of_failure(bad, "?") == "loop"
    bad.messages = bad.messages[-3:]
    assert kind_of_failure(bad, "?") == "truncated"
    bad.truncated = False
    assert kind_of_failure(bad, "?") == "miscopied"


def test_two_calls_alike_are_a_retry_and_other_answers_are_no_loop() -> None:
    error = "Error: no column paid"
    assert kind_of_failure(played(*[query(error)] * 2, say("Sorry.")), "?") == "wrong_decision"
    waited = [query(state) for state in ("queued", "running", "done")]
    assert kind_of_failure(played(*waited, say("Sorry.")), "?") == "wrong_decision"


def test_a_cycle_of_steps_gone_round_twice_is_a_loop() -> None:
    one, two = query("Error: no table", "SELECT 1 FROM a"), call("describe_table", "b", table="b")
    assert kind_of_failure(played(one, two, one, two, say("Sorry.")), "?") == "loop"
    assert kind_of_failure(played(one, two, one, say("Sorry.")), "?") == "wrong_decision"


def group(name: str, *rollouts: Rollout) -> list[Rollout]:
    return [msgspec.structs.replace(r, scenario_id=name) for r in rollouts]


def found() -> Diagnosis:
    """Diagnose a mixed group, a failed and a passed one; one attempt was not judged."""
    wrong, slip = PLANTED["wrong_decision"], PLANTED["miscopied"]
    rollouts = [
        *group("mixed", WON, wrong, wrong, slip),
        *group("failed", wrong, wrong, wrong, slip),
        *group("passed", WON, WON, WON, played(say("?"), reward=None)),
    ]
    return diagnose(rollouts, [asked("mixed"), asked("failed", "count"), asked("passed")])


def test_groups_are_mixed_all_failed_or_all_passed() -> None:
    one = found()
    assert (one.scenarios, one.attempts, one.samples, one.abstained) == (3, 11, 4, 1)
    assert one.success == pytest.approx(4 / 11)
    assert one.mixed == one.all_failed == one.all_passed == pytest.approx(1 / 3)
    assert one.pass_at_k == pytest.approx(2 / 3)


def test_failures_are_counted_by_kind_and_by_whether_another_attempt_succeeded() -> None:
    one = found()
    assert one.failures == {"miscopied": 2, "wrong_decision": 5}
    assert one.within_reach == {"miscopied": 1, "wrong_decision": 2}
    assert one.slips == ["1187 for 1178"]


def test_slices_tell_the_same_of_each_kind_of_question() -> None:
    slices = found().slices
    assert list(slices) == ["count", "total"]
    assert slices["count"].failures == {"miscopied": 1, "wrong_decision": 3}
    assert (slices["count"].attempts, slices["count"].success, slices["count"].mixed) == (4, 0, 0)
    assert slices["total"].success == pytest.approx(4 / 7)
    assert slices["total"].mixed == pytest.approx(1 / 2)


def test_advice_sends_decisions_within_reach_to_play_and_slips_to_imitation() -> None:
    slips, near, far = found().advice
    assert slips.startswith("of 7 failures 2 are miscopied values: play cannot give this skill")
    assert "5 are wrong decisions, 2 of them where another attempt succeeded" in near
    assert "33% of the groups are mixed: grpo, rloo or rejection can mend these" in near
    assert far.startswith("3 wrong decisions are in scenarios that none of 4 attempts solved")


def test_few_mixed_groups_are_said_first() -> None:
    # One of 20 groups is mixed: 5%.
    wrong = PLANTED["wrong_decision"]
    rollouts = [*group("0", WON, wrong)]
    rollouts += [r for n in range(1, 20) for r in group(str(n), wrong, wrong)]
    scenarios = [asked(str(n)) for n in range(20)]
    assert diagnose(rollouts, scenarios).advice[0].startswith("only 5% of the groups are mixed")
    assert "too few for play" in diagnose(rollouts, scenarios).advice[1]
    calm = diagnose(rollouts, scenarios, mixed_low=0.05).advice
    assert not any(line.startswith("only") for line in calm)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_failure_has_advice(kind: str) -> None:
    for other in (WON, PLANTED[kind]):
        one = diagnose(group("a", PLANTED[kind], other), [asked("a")])
        count = sum(one.failures.values())
        assert any(line.startswith(f"of {count} failures {count} are ") for line in one.advice)


def test_without_failures_or_attempts_the_advice_says_so() -> None:
    assert "nothing failed" in diagnose(group("a", WON, WON), [asked("a")]).advice[0]
    nothing = diagnose([], [])
    assert "no attempt was judged" in nothing.advice[0]
    assert (nothing.mixed, nothing.success, nothing.pass_at_k) == (0, 0, 0)


def test_a_value_of_the_prompt_that_a_scenario_opens_with_was_seen() -> None:
    told = [{"role": "system", "content": "Say 1187 where it is 1178."}]
    row = json.dumps({"prompt": [*told, {"role": "user", "content": "how much?"}]})
    opened = msgspec.structs.replace(asked("a"), question="", row=row)
    assert diagnose(group("a", PLANTED["miscopied"]), [opened]).failures == {"wrong_decision": 1}


def test_a_partial_reward_mixes_a_group_though_none_solved_it() -> None:
    # Play learns from any difference; a success begins at one half, as in evaluation.
    rollouts = group("a", *(played(say("?"), reward=r) for r in (0.0, 0.4)))
    one = diagnose(rollouts, [asked("a")])
    assert (one.mixed, one.success, one.pass_at_k, one.all_failed) == (1, 0, 0, 0)


def test_a_diagnosis_survives_json_and_prints_its_lines() -> None:
    one = found()
    assert msgspec.convert(json.loads(msgspec.json.encode(one)), Diagnosis) == one
    told = lines(one)
    assert told[0] == (
        "3 scenarios x 4: 36% succeed, pass@4 67%; groups 33% mixed, 33% all failed, 33% all passed"
    )
    assert "1 attempts were not judged" in told
    assert "count: 0% of 4 succeed, 0% of groups mixed; 1 miscopied values, 3 wrong decisions" in (
        told
    )
    assert told[-3:] == one.advice


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home whose environment's databases are made once."""
    return tmp_path_factory.mktemp("home")


def test_the_scripted_agents_failures_are_decisions_but_for_its_slips(home: Path) -> None:
    # Its habit `slips_a_digit` shows in 4% of the episodes at most; all others are decisions.
    config = FlywheelConfig(home=home)
    world = open_world(config)
    scenarios = world.draw("train", 150, 3)
    world.close()
    rollouts = play_policy(config, "scripted", scenarios, samples=2, greedy=False, seed=3)
    one = diagnose(rollouts, scenarios)
    assert set(one.failures) <= {"miscopied", "wrong_decision"}
    assert 0 < one.failures["miscopied"] < 0.06 * one.attempts
    assert one.failures["wrong_decision"] > 0.3 * one.attempts


def test_a_policy_from_a_random_start_is_played_and_diagnosed(home: Path) -> None:
    policies = pytest.importorskip("models.policy")
    tiny, tokenizers = (pytest.importorskip(f"models.{name}") for name in ("tiny", "tokenizer"))
    config = FlywheelConfig.model_validate(
        {"home": home, "train": {"policy": {"kind": "tiny", "hidden_size": 16, "layers": 1,
                                                "heads": 2, "vocabulary": 420, "context": 64}}}
    )  # fmt: skip
    size = config.train.policy
    tokenizer = tokenizers.train_tokenizer(["total revenue of orders?"] * 20, size.vocabulary)
    policy = policies.LoadedPolicy(tiny.new_policy(size, tokenizer, 0), tokenizer, "")
    told, asked_of = [], []

    def judge(rollouts: Any, opened: Any) -> list[float]:
        asked_of.extend(turn[-1]["content"] for turn in opened)
        return [0.25] * len(rollouts)

    world = open_world(config)
    try:
        one = diagnosed(
            config, world, policy, scenarios=6, samples=2, seed=1, judge=judge,
            progress=lambda stage, done, total, note="": told.append((stage, done, total)),
        )  # fmt: skip
    finally:
        world.close()
    assert (one.scenarios <= 6, one.attempts, one.samples >= 2, one.success) == (True, 12, True, 0)
    assert sum(one.failures.values()) == 12
    assert told[-1] == ("play", 12, 12)
    assert len(asked_of) == 12
    assert asked_of[0::2] == asked_of[1::2]
    assert one.mixed == 0
