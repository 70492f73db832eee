"""States and actions by prefix tree, and the sums kept of them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.tables import SCHEMAS
from tasks.label.block import Block
from tasks.label.credit import acts, digests, problems, visits

MESSAGES = SCHEMAS["episodes"].field("messages").type
ONE = np.array([1])
"""The problem of a single episode."""


def block(*episodes):
    return Block(pa.array(episodes, MESSAGES), pa.nulls(len(episodes), pa.string()))


def calls(*queries, name="sql"):
    """Make a step that calls a tool with each of some arguments."""
    return {
        "role": "assistant",
        "tool_calls": [{"name": name, "arguments": query} for query in queries],
    }


def says(text):
    return {"role": "assistant", "content": text}


def told(text, **keys):
    return {"role": "tool", "content": text, **keys}


def only(*messages):
    return acts(block(list(messages)), ONE)


def texts(*values):
    return pa.array(values, pa.string())


LOOK, GOOD, BAD = calls('{"q": 0}'), calls('{"q": 1}'), calls('{"q": 2}')


def test_the_same_calls_and_results_lead_to_the_same_state():
    left = [LOOK, told("t"), GOOD, told("1"), says("one")]
    right = [LOOK, told("t"), BAD, told("2"), says("two")]
    state, action, depth = acts(block(left, right), np.array([7, 7]))
    # Both look, from one state, and come to one state; there they part.
    assert state[0] == state[3]
    assert action[0] == action[3]
    assert state[1] == state[4]
    assert action[1] != action[4]
    assert state[2] != state[5]
    assert action[2] == action[5], "both answer"
    assert depth.tolist() == [0, 1, 2, 0, 1, 2]
    assert len({*state.tolist()}) == 4
    assert len({*action.tolist()}) == 4


def test_only_the_last_step_answers_and_other_prose_stands_nowhere():
    state, action, depth = only(says("wait"), LOOK, told("t"), says("hm"), says("one"))
    assert (state[[0, 2]].tolist(), action[[0, 2]].tolist()) == ([0, 0], [0, 0])
    assert 0 not in [*state[[1, 3]], *action[[1, 3]]]
    assert depth.tolist() == [0, 0, 1, 1]


def test_an_episode_about_nothing_has_no_states():
    found = acts(block([LOOK, told("t"), says("one")], [LOOK]), np.array([0, 5]))
    assert found.state[:2].tolist() == found.action[:2].tolist() == [0, 0]
    assert found.state[2] != 0


def test_problems_keep_their_trees_apart():
    state, action, _ = acts(block([LOOK], [LOOK]), np.array([1, 2]))
    assert state[0] != state[1]
    assert action[0] == action[1]


def test_blocks_without_steps_or_episodes_have_no_acts():
    user = {"role": "user", "content": "?"}
    assert [len(part) for part in acts(block([user], []), np.array([1, 2]))] == [0, 0, 0]
    assert [len(part) for part in acts(block(), np.zeros(0, np.int64))] == [0, 0, 0]
    assert len(visits(*acts(block(), np.zeros(0, np.int64)), np.zeros(0))) == 0


def test_the_order_of_calls_and_of_results_matters_and_what_they_are_joined_to_does_not():
    swapped = only(calls("1", "2")).action[0], only(calls("2", "1")).action[0]
    assert swapped[0] != swapped[1]
    after = [
        only(LOOK, *map(told, results), says("done")).state[1]
        for results in (["a", "b"], ["b", "a"], ["ab"], ["ab", ""], ["a\nb"], [])
    ]
    assert len(set(after)) == 6


def test_a_call_is_its_tool_and_its_arguments():
    seen = {only(calls("1")).action[0], only(calls("1", name="describe")).action[0]}
    assert len(seen | {only(calls("1", "1")).action[0], only(says("answer")).action[0]}) == 4


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ('{"b": {"y": 1, "x": [1, 2]}, "a": "é"}', '{"a":"\\u00e9","b":{"x":[1,2],"y":1}}', True),
        ('{"q": "a  b"}', '{"q": "a b"}', False),
        ('{"q": [1, 2]}', '{"q": [2, 1]}', False),
        ('{"q": 1}', '{"q": 1.0}', False),
        ('{"q": 1', '{"q":1', False),
        ("select  1", "select 1", False),
        ('{"q": "\\ud800"}', '{"q": "\\ud801"}', False),
        ("[" * 100_000, "[" * 100_001, False),
        ('{"q": 1e999}', '{"q": 2e999}', False),
        ("", "{}", False),
    ],
)
def test_arguments_are_compared_as_json_where_they_are_json(left, right, same):
    found = {*only(calls(left)).action.tolist(), *only(calls(right)).action.tolist()}
    assert len(found) == (1 if same else 2)


def test_errors_count_as_results_and_simulated_users_do_not():
    plain = only(LOOK, told("no"), says("done"))
    failed = only(LOOK, told("no", error=True), says("done"))
    assert np.array_equal(plain.state, failed.state), "what it said is what the agent saw"
    users = {"role": "user", "tool_calls": [{"name": "reboot", "arguments": "{}"}]}
    aside = only(LOOK, told("no"), users, told("rebooted", requestor="user"), says("done"))
    assert np.array_equal(plain.state, aside.state)


def test_problems_are_scenarios_else_questions_else_nothing():
    found = problems(
        texts("x", None, "", None, "", "x", None), texts("q", "x", "x", "", None, "r", "q")
    )
    # A scenario whatever is asked; the question x twice, which is not the scenario x; nothing.
    assert found[0] == found[5]
    assert found[1] == found[2]
    assert found[3] == found[4] == 0
    assert len({*found.tolist()}) == 4
    assert np.array_equal(problems(texts("a", "x").slice(1), texts("b", "q").slice(1)), found[:1])


def test_digests_are_the_same_in_another_process():
    code = (
        "import pyarrow as pa; from tasks.label.credit import problems; "
        "print(problems(pa.array(['s', None]), pa.array(['q', 'q'])).tolist())"
    )
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    # XXH3 of `s` with seed 1 and of `q` with seed 2, signed; stored tables rely on them.
    assert json.loads(result.stdout) == problems(texts("s", None), texts("q", "q")).tolist()
    assert json.loads(result.stdout) == [2248406194947849247, 2258860513977207517]


def test_digests_made_before_give_the_same():
    made = block([LOOK, told("t"), GOOD], [LOOK, told("u"), says("x")])
    both = np.array([3, 4])
    assert all(map(np.array_equal, acts(made, both), acts(made, both, digests(made))))


QUERIES = st.lists(st.sampled_from(["1", "2", "3"]), min_size=1, max_size=2)
TURNS = st.lists(st.tuples(QUERIES, st.lists(st.sampled_from("ab"), max_size=2)), max_size=5)


def played(turns, *, prose=()):
    """Make an episode of turns and an answer; `prose` names the turns before which it talks."""
    messages = []
    for number, (queries, results) in enumerate(turns):
        messages += [says(f"turn {number}")] if number in prose else []
        messages += [calls(*queries), *map(told, results)]
    return [*messages, says("done")]


@given(TURNS, st.sets(st.integers(0, 4)), st.text())
@settings(max_examples=50, deadline=None)
def test_prose_changes_nothing(turns, talks, answer):
    bare, spoken = only(*played(turns)), only(*played(turns, prose=talks)[:-1], says(answer))
    acting = spoken.state != 0
    assert acting.sum() == len(turns) + 1
    assert all(np.array_equal(part[acting], old) for part, old in zip(spoken, bare, strict=True))


@given(TURNS.filter(bool), st.data())
@settings(max_examples=50, deadline=None)
def test_another_result_changes_the_states_after_it_and_no_others(turns, data):
    step = data.draw(st.integers(0, len(turns) - 1))
    changed = list(turns)
    changed[step] = (turns[step][0], [*turns[step][1], "more"])
    old, new = only(*played(turns)), only(*played(changed))
    assert ((old.state != new.state) == (np.arange(len(turns) + 1) > step)).all()
    assert np.array_equal(old.action, new.action)


@given(st.lists(st.tuples(TURNS, st.integers(0, 3)), max_size=5))
@settings(max_examples=50, deadline=None)
def test_neighbours_in_the_block_do_not_matter(episodes):
    problem = np.array([number for _, number in episodes], np.int64)
    together = acts(block(*[played(turns) for turns, _ in episodes]), problem)
    alone = [acts(block(played(turns)), np.array([number])) for turns, number in episodes]
    for column, parts in zip(together, zip(*alone, strict=True), strict=False):
        assert column.tolist() == np.concatenate(parts).tolist()


def test_visits_sum_what_became_of_each_action():
    state, action = np.array([5, 0, 5, 5, 4]), np.array([1, 0, 2, 1, 1])
    table = visits(state, action, np.array([1, 1, 1, 1, 0]), np.array([1.0, 9, 0.5, -3, 2]))
    # 1 - 3 = -2 and 1 + 9 = 10 for the two visits of action 1 in state 5; state 0 is no state.
    assert table.to_pylist() == [
        {"state": 4, "action": 1, "depth": 0, "visits": 1, "returns": 2, "squares": 4},
        {"state": 5, "action": 1, "depth": 1, "visits": 2, "returns": -2, "squares": 10},
        {"state": 5, "action": 2, "depth": 1, "visits": 1, "returns": 0.5, "squares": 0.25},
    ]
    assert table.schema.equals(pa.schema(list(SCHEMAS["step_values"])[:6]))
    back = visits(state, action, np.array([1, 1, 1, 1, 0]), np.array([1.0, 9, 0.5, -3, 2]), -1)
    assert back["visits"].to_pylist() == [-1, -2, -1]
    assert back["squares"].to_pylist() == [-4, -10, -0.25]
