"""Process rewards and returns of steps, with numbers worked out by hand."""

import json

import numpy as np
import pyarrow as pa
import pytest

from schemas.tables import SCHEMAS
from tasks.ingest.ingest import ingest
from tasks.label.block import Block
from tasks.label.credit import digests
from tasks.label.process import (
    process_rewards,
    progress,
    returns_to_go,
)
from warehouse.tables import Warehouse

MESSAGES = SCHEMAS["episodes"].field("messages").type
LOGGED = pa.list_(pa.float64())


def block(*episodes):
    return Block(pa.array(episodes, MESSAGES), pa.nulls(len(episodes), pa.string()))


def calls(*queries, malformed=False):
    """Make a step that calls a tool with each of some arguments."""
    made = [{"name": "sql", "arguments": query, "malformed": malformed} for query in queries]
    return {"role": "assistant", "tool_calls": made}


def says(text):
    return {"role": "assistant", "content": text}


def told(text, *, error=False):
    return {"role": "tool", "content": text, "error": error}


def rewards(*episodes, logged=None):
    column = None if logged is None else pa.array(logged, LOGGED)
    return process_rewards(block(*episodes), column).tolist()


def test_calls_that_work_and_tell_something_new_earn_nothing():
    assert rewards([calls("1"), told("a"), calls("2"), told("b"), says("done")]) == [0, 0, 0]


def test_each_malformed_call_and_each_error_costs():
    # One malformed call: -0.2. Two errors of one step: -0.1 each.
    episode = [calls("{", malformed=True), calls("1", "2"), told("x", error=True)]
    assert rewards([*episode, told("y", error=True)]) == pytest.approx([-0.2, -0.2])


def test_a_malformed_call_that_fails_again_pays_for_each_fault():
    bad = calls("{", malformed=True)
    # -0.2 - 0.1, then the repetition on top: -0.4.
    episode = [bad, told("no", error=True), bad, told("no", error=True)]
    assert rewards(episode) == pytest.approx([-0.3, -0.4])


def test_the_very_calls_of_an_earlier_step_are_a_repetition():
    first, second = calls("1"), calls("2")
    # The third step repeats the first; calling both at once is something else, as is their order.
    both, swapped = calls("1", "2"), calls("2", "1")
    assert rewards([first, second, first, both, swapped]) == pytest.approx([0, 0, -0.1, 0, 0])


def test_arguments_written_another_way_are_a_repetition_too():
    assert rewards(
        [calls('{"a": 1, "b": [2]}'), told("x"), calls('{"b":[2],"a":1}'), told("y")]
    ) == pytest.approx([0, -0.1])


def test_another_tool_with_the_same_arguments_is_no_repetition():
    other = {"role": "assistant", "tool_calls": [{"name": "describe", "arguments": "1"}]}
    assert rewards([calls("1"), other]) == [0, 0]


def test_what_other_episodes_did_and_were_told_does_not_count():
    assert rewards([calls("1"), told("a")], [], [calls("1"), told("a")]) == [0, 0]


def test_prose_said_twice_is_no_repetition():
    assert rewards([says("wait"), says("wait")]) == [0, 0]


def test_being_told_only_what_was_known_costs_a_little():
    old = [calls("1"), told("a"), calls("2"), told("b"), calls("3"), told("b")]
    assert rewards([*old, told("a"), calls("4"), told("a"), told("new")]) == pytest.approx(
        [0, 0, -0.02, 0]
    )


def test_two_equal_results_of_one_step_are_news_when_nobody_has_seen_them():
    assert rewards([calls("1", "2"), told("a"), told("a")]) == [0]


def test_silence_is_not_old_news():
    # A tool that says nothing when a write went well: two writes, two empty results.
    assert rewards([calls("1"), told(""), calls("2"), told(None)]) == [0, 0]


def test_old_news_is_not_charged_on_top_of_the_fault_it_comes_from():
    again = [calls("1"), told("a"), calls("1"), told("a")]
    failing = [calls("1"), told("no", error=True), calls("2"), told("no", error=True)]
    assert rewards(again, failing) == pytest.approx([0, -0.1, -0.1, -0.1])


def test_results_before_the_first_step_belong_to_none():
    assert rewards([told("a"), calls("1"), told("a")]) == [0]


def test_progress_is_the_rise_over_the_best_so_far():
    four = [calls(str(number)) for number in range(4)]
    # Rises: 0.5; none (back to 0.25); none (0.5 was there); 0.5. A fifth of each.
    assert rewards(four, logged=[[0.5, 0.25, 0.5, 1.0]]) == pytest.approx([0.1, 0, 0, 0.1])


def test_a_reward_below_nothing_is_no_progress_and_neither_is_getting_out_of_it():
    three = [calls(str(number)) for number in range(3)]
    # From 0: -1 is no rise, 0 is none, 0.5 is one of 0.5.
    assert progress(block(three), pa.array([[-1.0, 0.0, 0.5]], LOGGED)).tolist() == [0, 0, 0.5]


def test_progress_on_another_scale_ends_at_1():
    two = [calls("1"), calls("2")]
    assert progress(block(two), pa.array([[100.0, 200.0]], LOGGED)).tolist() == [1, 0]


def test_a_reward_that_is_missing_or_no_number_is_no_progress():
    three = [calls(str(number)) for number in range(3)]
    logged = pa.array([[None, float("nan"), 1.0]], LOGGED)
    assert progress(block(three), logged).tolist() == [0, 0, 1]


def test_progress_starts_anew_in_each_episode_and_skips_lists_of_another_length():
    two = [calls("1"), calls("2")]
    logged = pa.array([[9.0], [1.0, 1.0], None, [0.25, 0.75], [0.5, 0.0], []], LOGGED)
    found = progress(block(two, two, two, two, two, []), logged)
    # Left out: one reward for two steps, and no list.
    assert found.tolist() == [0, 0, 1, 0, 0, 0, 0.25, 0.5, 0.5, 0]
    # A slice of a column is read from where it starts.
    assert progress(block(two, two), logged.slice(3, 2)).tolist() == [0.25, 0.5, 0.5, 0]


def test_nothing_has_no_rewards():
    assert rewards() == []
    assert rewards([], logged=[None]) == []
    assert returns_to_go(np.zeros(0), np.zeros(2, np.int64), np.ones(2), 0.9).tolist() == []


def test_digests_made_before_give_the_same():
    made = block([calls("1"), told("a"), calls("1"), told("a"), calls("2"), told("a")])
    assert np.array_equal(process_rewards(made), process_rewards(made, None, digests(made)))


def charged(messages, logged):
    """Go through one episode message by message: what each step pays and earns."""
    steps, results = [], []
    for message in messages:
        if message["role"] == "assistant":
            steps.append(message["tool_calls"])
            results.append([])
        elif message["role"] == "tool" and steps and message["requestor"] is None:
            results[-1].append(message)
    done, seen, best, amounts = set(), set(), 0.0, []
    for number, (made, answers) in enumerate(zip(steps, results, strict=True)):
        action = tuple((call["name"], plain(call["arguments"])) for call in made)
        texts = [answer["content"] or "" for answer in answers]
        amount = -0.2 * sum(call["malformed"] for call in made)
        amount += -0.1 * sum(bool(answer["error"]) for answer in answers)
        amount += -0.1 if action and action in done else 0
        if amount == 0 and texts and all(text and text in seen for text in texts):
            amount = -0.02
        if logged and len(logged) == len(steps):
            amount += 0.2 * max(logged[number] - best, 0)
            best = max(best, logged[number])
        done.add(action)
        seen.update(texts)
        amounts.append(amount)
    return amounts


def plain(arguments):
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except ValueError:
        return arguments


@pytest.mark.parametrize("log", ["intercode-sql", "tau-bench"])
def test_rewards_of_real_logs_are_those_of_a_look_at_one_message_after_the_other(
    config, clock, real_logs, log
):
    ingest(config, [str(real_logs / log)], night="2026-01-02", clock=clock)
    table = Warehouse(config.home).read("episodes", ["messages", "tools", "step_rewards"])
    columns = [column.combine_chunks() for column in table.columns]
    made = Block(columns[0], columns[1])
    expected = [charged(row["messages"], row["step_rewards"]) for row in table.to_pylist()]
    flat = [amount for amounts in expected for amount in amounts]
    assert process_rewards(made, columns[2]) == pytest.approx(flat)
    assert {"intercode-sql": 625, "tau-bench": 48}[log] == len(made)
    # Every kind of charge is there, so that agreeing means something.
    assert min(flat) < -0.1
    assert any(amount == pytest.approx(-0.02) for amount in flat)
    assert any(amount > 0 for amount in flat) == (log == "intercode-sql")


def test_the_end_reaches_earlier_steps_discounted_once_a_step():
    # 1, then 0.5 * 1, then 0.5 * 0.5.
    found = returns_to_go(np.zeros(3), np.array([3]), np.array([1.0]), 0.5)
    assert found.tolist() == [0.25, 0.5, 1.0]


def test_returns_of_one_episode_do_not_reach_into_another():
    lengths = np.array([2, 0, 2])
    given = np.array([-0.1, 0.0, 0.0, -0.2])
    # First: -0.1 + 0 + 1, then 1. The second has no step. Third: -0.2, -0.2.
    expected = [0.9, 1.0, -0.2, -0.2]
    assert returns_to_go(given, lengths, np.array([1.0, 9.0, 0.0]), 1.0) == pytest.approx(expected)
    assert given.tolist() == [-0.1, 0.0, 0.0, -0.2], "what is given stays as it is"


@pytest.mark.parametrize("discount", [1.0, 0.5])
def test_a_long_episode_among_thousands_of_short_ones_is_summed_to_its_beginning(discount):
    lengths = np.array([3] * 2000 + [2000] + [1] * 3000)
    found = returns_to_go(np.ones(lengths.sum()), lengths, np.zeros(len(lengths)), discount)
    # One a step: with k steps to go, k of them; halved each time, 2 - 2 / 2**k.
    left = np.arange(2000, 0, -1.0)
    assert found[6000:8000] == pytest.approx(left if discount == 1 else 2 - 2 * 0.5**left)
    assert found[:3] == pytest.approx([3, 2, 1] if discount == 1 else [1.75, 1.5, 1])
    assert found[8000:].tolist() == [1.0] * 3000
