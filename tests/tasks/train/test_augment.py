"""Retelling: the same value everywhere, and nothing else changed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from schemas.config import FlywheelConfig
from schemas.episode import Message, ToolCall
from tasks.rollout.play import play_policy
from tasks.rollout.scenarios import _of_tenant, draw, question
from tasks.rollout.tenants import tenants
from tasks.train.augment import NOTHING, Vocabulary, retell, vocabulary


def call(name: str, **arguments: str) -> Message:
    made = ToolCall(id="c", name=name, arguments=json.dumps(arguments))
    return Message(role="assistant", tool_calls=[made])


def result(content: str) -> Message:
    return Message(role="tool", content=content, tool_call_id="c")


def say(content: str) -> Message:
    return Message(role="assistant", content=content)


def told(*messages: Message, seed: int = 0, words: Vocabulary = NOTHING) -> list[Message]:
    return retell(messages, np.random.default_rng(seed), words)


RETURNED = Vocabulary(["rice"], {})

SHARE = (
    Message(role="user", content="percent of 41 in the last 30 days?"),
    call("run_sql", query="SELECT SUM(a)"),
    result("41"),
    call("run_sql", query="SELECT SUM(b)"),
    result("300"),
    call("calculate", expression="100 * 41 / 300"),
    result("13.7"),
    say("It is 13.7."),
)


@pytest.mark.parametrize("seed", range(20))
def test_a_number_is_swapped_everywhere_the_agent_repeats_it(seed: int) -> None:
    new = told(*SHARE, seed=seed)
    part, whole, share = (new[i].content for i in (2, 4, 6))
    assert json.loads(new[5].tool_calls[0].arguments) == {"expression": f"100 * {part} / {whole}"}
    assert new[7].content == f"It is {share}."
    assert re.fullmatch(r"\d{1,5}", part or "")
    assert re.fullmatch(r"\d{1,5}\.[1-9]", share or "")


def test_what_was_said_before_a_result_and_by_the_user_stays() -> None:
    new = told(*SHARE)
    assert new[:2] == list(SHARE[:2])
    assert len(new) == len(SHARE)


def test_the_episode_itself_is_not_changed() -> None:
    before = [m.content for m in SHARE]
    told(*SHARE)
    assert [m.content for m in SHARE] == before


def test_dates_and_parts_of_longer_numbers_are_left_alone() -> None:
    text = "2026-01-15, 15.5, 115, 150, x15, 15x, 3.15, -15 and 15."
    new = told(call("run_sql", query="SELECT 1"), result("15"), say(text))
    number = new[1].content
    assert new[2].content == f"2026-01-15, 15.5, 115, 150, x15, 15x, 3.15, -15 and {number}."


def test_a_decimal_is_swapped_as_a_whole() -> None:
    new = told(call("f"), result("13.7"), say("It is 13.7, not 13 and not 7."))
    assert new[2].content == f"It is {new[1].content}, not 13 and not 7."


def test_a_negative_number_stays_negative() -> None:
    new = told(call("f"), result("-12"), say("It is -12."))
    assert (new[1].content or "").startswith("-")
    assert new[2].content == f"It is {new[1].content}."


def test_the_same_result_twice_stays_the_same_twice() -> None:
    new = told(call("f"), result("41"), call("f"), result("41"), say("It is 41."))
    assert new[1].content == new[3].content
    assert new[4].content == f"It is {new[1].content}."


@pytest.mark.parametrize(
    "content", ["tea", "2026-05-01", "41; 42", "Error: no table 41", "a 41", "", "1,234"]
)
def test_results_that_are_no_bare_number_stay_where_no_words_are_given(content: str) -> None:
    messages = [call("f"), result(content), say("It is 41.")]
    assert told(*messages) == messages


def test_a_word_is_swapped_for_a_known_one_wherever_the_agent_repeats_it() -> None:
    messages = [
        Message(role="user", content="tea or soap?"),
        call("run_sql", query="SELECT 1"),
        result("tea"),
        call("run_sql", query="SELECT 2 WHERE a = 'tea'"),
        result("41"),
        say("tea, not teapot and not iced-tea."),
    ]
    new = told(*messages, words=RETURNED)
    assert new[:2] == messages[:2]
    assert new[2].content == "rice"
    assert json.loads(new[3].tool_calls[0].arguments) == {"query": "SELECT 2 WHERE a = 'rice'"}
    assert new[5].content == "rice, not teapot and not iced-tea."


@pytest.mark.parametrize("content", ["2026-05-01", "tea, 41", "Error: no table tea", "two words"])
def test_results_of_more_than_a_word_stay_though_words_are_known(content: str) -> None:
    messages = [call("f"), result(content), say("It is tea.")]
    assert told(*messages, words=RETURNED) == messages


ASKED = [
    Message(role="user", content="revenue of deals in west for tea, more than in north?"),
    call("run_sql", query="SELECT SUM(a) FROM deals WHERE area = 'west' AND line = 'tea'"),
    result("41"),
    call("run_sql", query="SELECT SUM(a) FROM deals WHERE area = 'north' AND day > '2026-01-15'"),
    result("42"),
    say("tea sold less in west than in north."),
]


def test_the_words_are_collected_once_and_sorted() -> None:
    episodes = [
        [result("tea"), result("41"), say("soap"), result("two words")],
        [result("rice"), result("tea"), result("Error: x"), result("")],
    ]
    assert vocabulary(episodes) == Vocabulary(["rice", "tea"], {})
    # `deals` is not quoted in a call, and the date is no word.
    assert vocabulary([ASKED]).foreign == {"in": ["tea"], "for": ["north", "west"]}


@pytest.mark.parametrize("seed", range(10))
def test_a_value_taken_from_the_question_is_swapped_there_and_in_the_calls(seed: int) -> None:
    words = Vocabulary([], {"in": ["coast", "east", "hills"], "for": ["soap"]})
    new = told(*ASKED, seed=seed, words=words)
    question = new[0].content or ""
    west, north = re.findall(r"in (\w+)", question)
    assert question == f"revenue of deals in {west} for soap, more than in {north}?"
    assert {west, north} < {"coast", "east", "hills"}  # and so never the same for both
    first, second = (json.loads(new[i].tool_calls[0].arguments)["query"] for i in (1, 3))
    assert first == f"SELECT SUM(a) FROM deals WHERE area = '{west}' AND line = 'soap'"
    assert second == f"SELECT SUM(a) FROM deals WHERE area = '{north}' AND day > '2026-01-15'"
    assert new[5].content == f"soap sold less in {west} than in {north}."


def test_a_value_that_no_other_could_stand_for_stays() -> None:
    new = told(*ASKED, words=Vocabulary([], {"in": ["east"]}))
    # One of the two areas becomes the only other one, the second has nothing left; so has tea.
    assert (new[0].content or "").count("east") == 1
    assert "for tea" in (new[0].content or "")


def test_a_seed_repeats_its_numbers_and_another_gives_others() -> None:
    assert told(*SHARE, seed=1) == told(*SHARE, seed=1)
    assert told(*SHARE, seed=1) != told(*SHARE, seed=2)


def test_no_retold_question_is_one_that_is_held_out(tmp_path: Path) -> None:
    """Retell real episodes of the environment; their SQL must ask nothing that is held out."""
    config = FlywheelConfig(home=tmp_path, seed=3)
    drawn = draw(config.seed, config.build.split_salt, "train", 400, 1)
    rollouts = play_policy(config, "scripted", drawn, samples=1, greedy=False, seed=1)
    asked = [s.question for s in drawn]
    episodes = [
        [Message(role="user", content=q), *r.messages] for q, r in zip(asked, rollouts, strict=True)
    ]
    words, rng = vocabulary(episodes), np.random.default_rng(0)
    real = {
        question(spec, tenant, np.random.default_rng(n))
        for tenant in tenants(3)
        for spec in _of_tenant(tenant.name)
        for n in range(6)  # both wordings
    }
    assert set(asked) < real
    changed = 0
    for episode in episodes:
        new = retell(episode, rng, words)[0].content
        if new != episode[0].content:
            changed += 1
            assert new not in real
    assert changed > 300
