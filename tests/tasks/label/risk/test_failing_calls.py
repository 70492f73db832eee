"""The share of calls that failed, each counted once."""

import numpy as np

from tasks.label.risk.failing_calls import failed, failing_calls


def test_the_share_is_of_the_agents_calls_and_none_is_no_failure(block, of):
    good = [of.calls(("a", {})), of.result(), of.calls(("a", {})), of.result("no", error=True)]
    shares = failing_calls(block(good, [of.user("hi"), of.agent("hi")], []))
    assert shares.tolist() == [0.5, 0.0, 0.0]


def test_a_malformed_call_that_is_also_answered_with_an_error_counts_once(block, of):
    parallel = [of.calls(("a", "not json"), ("b", {})), of.result("no", error=True), of.result()]
    assert failing_calls(block(parallel)).tolist() == [0.5]


def test_the_nth_result_answers_the_nth_call_of_its_step(block, of):
    parallel = [
        of.calls(("a", {}), ("b", {}), ("c", {})),
        of.result(),
        of.result("no", error=True),
        of.result(),
    ]
    assert failed(block(parallel)).tolist() == [False, True, False]


def test_errors_beyond_the_last_call_are_the_last_calls(block, of):
    late = [of.calls(("a", {}), ("b", {})), of.result(), of.result()]
    late += [of.result("no", error=True), of.result("no", error=True)]
    made = block(late)
    assert failed(made).tolist() == [False, True]
    assert failing_calls(made).tolist() == [0.5]


def test_an_error_that_answers_no_call_is_nobodys(block, of):
    stray = [of.result("no", error=True), of.agent("hm"), of.result("no", error=True)]
    then = [of.calls(("a", {})), of.result()]
    assert failing_calls(block(stray + then)).tolist() == [0.0]


def test_a_simulated_users_own_calls_are_not_the_agents(block, of):
    users = {**of.calls(("restart", "not json")), "role": "user"}
    theirs = {**of.result("no", error=True), "requestor": "user"}
    made = block([users, theirs, of.calls(("a", {})), of.result()])
    assert failing_calls(made).tolist() == [0.0]
    assert np.array_equal(failed(made), [False])
