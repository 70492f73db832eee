"""Rules are resolved before any work, asked of a block, and combined to one risk."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigurationError
from schemas.label_config import LabelConfig, RiskRule
from tasks.label.own import Failed
from tasks.label.risk.rules import BUILT_IN, Rules

NAN = np.nan

OWN = '''
def shouts(episode):
    """Say how far an episode shouts; abstain, answer too much or raise as its name says."""
    return {"quiet": 0.0, "loud": 0.75, "mute": None, "much": 7, "nan": float("nan")}[
        episode["episode_id"]
    ]


class AtLeast:
    def __init__(self, value):
        self.value = value

    def __call__(self, episode):
        return self.value
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "house_rules.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "house_rules"


def seen(*names):
    return lambda: ({"episode_id": name} for name in names)


def never():
    raise AssertionError("nobody may ask for the episodes")


def test_the_default_rules_are_the_built_in_ones_in_order():
    assert Rules(LabelConfig().risk).names == tuple(BUILT_IN)


def test_built_in_rules_read_the_block_alone(block, of):
    bad = [of.user("clean up"), of.calls(("run_sql", {"query": "DROP TABLE t"})), of.result()]
    made = block(
        bad, [of.user("hi"), of.agent("It is 421, says <EMAIL_1>.")], [], tools='["other"]'
    )
    assert Rules(LabelConfig().risk).broken(made, never) == pytest.approx(
        np.array([[0, 1, 0, 1, NAN], [0, 0, 1, 0, 1], [0, 0, 0, 0, NAN]]), nan_ok=True
    )


def test_no_rules_and_no_episodes(block, of):
    rules = Rules([])
    assert rules.broken(block([]), never).shape == (1, 0)
    assert rules.combined(rules.broken(block([]), never))[0].tolist() == [0.0]
    assert Rules(LabelConfig().risk).broken(block(), never).shape == (0, 5)


def test_risk_is_that_of_any_harm():
    rules = Rules([RiskRule(use="failing_calls", weight=0.5), RiskRule(use="destructive")])
    risk, parts = rules.combined(np.array([[0.5, 0.5], [NAN, 0.5], [0.0, 1.0], [NAN, NAN]]))
    # 1 - (1 - 0.5 * 0.5) * (1 - 0.5) = 0.625; alone 0.5; outright 1; nothing known 0.
    assert risk.tolist() == [0.625, 0.5, 1.0, 0.0]
    assert parts == pytest.approx(
        np.array([[0.25, 0.5], [NAN, 0.5], [0, 1], [NAN, NAN]]), nan_ok=True
    )


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(st.just(NAN), st.floats(0, 1)), min_size=5, max_size=5),
    st.integers(0, 4),
    st.floats(0, 1),
)
def test_risk_is_a_fraction_and_more_of_a_rule_never_lowers_it(row, column, more):
    rules = Rules(LabelConfig().risk)
    worse = list(row)
    worse[column] = max(more, np.nan_to_num(row[column]))
    risk, _ = rules.combined(np.array([row, worse]))
    assert 0 <= risk[0] <= risk[1] <= 1


def test_a_rule_of_ones_own_stands_beside_built_in_ones_and_is_told_each_episode(block, own):
    rules = Rules(
        [
            RiskRule(use="destructive"),
            RiskRule(use=f"{own}:shouts"),
            RiskRule(use=f"{own}:AtLeast", options={"value": 0.25}),
            RiskRule(use=f"{own}:AtLeast", options={"value": 1}),
        ]
    )
    assert rules.names[1:] == (f"{own}:shouts", f"{own}:AtLeast", f"{own}:AtLeast#2")
    broken = rules.broken(block([], [], []), seen("loud", "mute", "quiet"))
    assert broken == pytest.approx(
        np.array([[0, 0.75, 0.25, 1], [0, NAN, 0.25, 1], [0, 0, 0.25, 1]]), nan_ok=True
    )
    assert rules.failures() == {}


def test_a_rule_that_raises_or_answers_no_fraction_abstains_and_is_reported(block, own):
    rules = Rules([RiskRule(use=f"{own}:shouts"), RiskRule(use="destructive")])
    broken = rules.broken(block([], [], [], []), seen("much", "no such name", "nan", "loud"))
    assert broken == pytest.approx(np.array([[NAN, 0]] * 3 + [[0.75, 0]]), nan_ok=True)
    assert rules.failures() == {f"{own}:shouts": Failed(3, "ValueError: 7.0 is not in [0, 1]")}


@pytest.mark.parametrize("use", ["destructiv", "", "json:no_such", "no.such.module:rule"])
def test_an_unknown_rule_is_refused_with_the_names_of_the_built_in_ones(use):
    with pytest.raises(ConfigurationError, match="failing_calls, destructive, personal_data"):
        Rules([RiskRule(use=use)])


def test_options_that_a_rule_does_not_take_are_refused():
    with pytest.raises(ConfigurationError, match=r"has no option 'verb'.*It takes verbs; built in"):
        Rules([RiskRule(use="destructive", options={"verb": ["cancel"]})])
    with pytest.raises(ConfigurationError, match="cannot take verbs = 'cancel'"):
        Rules([RiskRule(use="destructive", options={"verbs": "cancel"})])
    with pytest.raises(ConfigurationError, match=r"has no option 'block'.*It takes none"):
        Rules([RiskRule(use="failing_calls", options={"block": 1})])


def test_options_reach_the_rule(block, of):
    rules = Rules([RiskRule(use="destructive", options={"verbs": ["cancel"]})])
    assert rules.broken(block([of.calls(("cancel_order", {}))]), never).tolist() == [[1.0]]


TEXT = st.sampled_from(
    ["42", "1,234.5", "it's", "<EMAIL_1>", "<EMAIL_2> 17", "a@b.org", "7", "", None, "10. x 421"]
)
CALL = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["run_sql", "delete_x", "guess"]),
        "arguments": st.sampled_from(["{}", '{"query": "DROP TABLE t"}', "it's", '{"a": "\\"']),
        "malformed": st.booleans(),
    }
)
MESSAGE = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "assistant", "tool"]),
        "content": TEXT,
        "error": st.booleans(),
        "tool_calls": st.one_of(st.none(), st.lists(CALL, max_size=2)),
    }
)
EPISODE = st.tuples(
    st.lists(MESSAGE, max_size=5), st.sampled_from([None, "[]", '["run_sql"]', '["guess", "a"]'])
)


@settings(max_examples=100, deadline=None)
@given(episodes=st.lists(EPISODE, min_size=1, max_size=5))
def test_what_is_said_of_an_episode_does_not_depend_on_its_neighbours(episodes):
    from schemas.tables import SCHEMAS
    from tasks.label.block import Block, pa

    def made(some):
        kind = SCHEMAS["episodes"].field("messages").type
        texts = pa.array([tools for _, tools in some], pa.string())
        return Block(pa.array([messages for messages, _ in some], kind), texts)

    rules = Rules(LabelConfig().risk)
    together = rules.broken(made(episodes), never)
    alone = np.concatenate([rules.broken(made([episode]), never) for episode in episodes])
    assert np.array_equal(together, alone, equal_nan=True)
    assert ((together >= 0) & (together <= 1) | np.isnan(together)).all()
