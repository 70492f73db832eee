"""What becomes a trajectory or a pair, and which guard drops what."""

from collections import Counter

import pytest

from schemas.config import BuildConfig
from tasks.build.pairs import Body, Problem, episode_pairs, problems, retry_pairs
from tasks.build.trajectories import kto_episodes, replayed, rl_episodes, sft_episodes
from tasks.build.verdicts import Verdict

CONFIG = BuildConfig()


def verdict(
    name, state="success", *, total=None, confidence=0.8, scenario="s", body=None, night=""
):
    total = {"success": 0.9, "failure": 0.1}.get(state) if total is None else total
    return Verdict(name, night, scenario, None, "q", body or name, state, confidence, total)


def test_sft_takes_confident_successes_best_first_and_no_body_twice():
    chosen = sft_episodes(
        [
            verdict("weak", confidence=0.1),
            verdict("good", confidence=0.5, scenario="a"),
            verdict("best", confidence=0.9, scenario="b"),
            verdict("twin", confidence=0.4, scenario="c", body="best"),
            verdict("cheap", confidence=0.5, scenario="d", total=0.95),
            verdict("failed", "failure"),
            verdict("unknown", "unlabelled"),
        ],
        CONFIG,
    )
    assert [v.episode_id for v in chosen] == ["best", "cheap", "good"]


def test_sft_caps_a_scenario_and_a_question_without_scenario():
    many = [verdict(f"e{i}", scenario=scenario) for i in range(9) for scenario in ("s",)]
    assert len(sft_episodes(many, CONFIG)) == CONFIG.sft_cap_per_scenario
    bare = [verdict(f"e{i}", scenario=None) for i in range(9)]
    assert len(sft_episodes(bare, CONFIG)) == CONFIG.sft_cap_per_scenario


def test_replay_is_a_share_of_the_nights_own_and_other_every_night():
    own = [verdict(f"o{i}", scenario=f"o{i}") for i in range(10)]
    older = [verdict(f"e{i}", scenario=f"e{i}") for i in range(100)]
    first = replayed([*older, verdict("x", body="o1", scenario="x")], own, CONFIG, "2026-01-02")
    assert len(first) == 5
    assert "x" not in {v.episode_id for v in first}
    assert first == replayed(older, own, CONFIG, "2026-01-02")
    assert first != replayed(older, own, CONFIG, "2026-01-03")


def test_kto_takes_both_verdicts_and_of_equal_bodies_the_surest():
    chosen = kto_episodes(
        [
            verdict("up", confidence=0.5, body="same"),
            verdict("down", "failure", confidence=0.9, body="same"),
            verdict("other"),
            verdict("unknown", "unlabelled"),
        ],
        CONFIG,
    )
    assert {v.episode_id for v in chosen} == {"down", "other"}


def test_rl_takes_each_scenario_once_labelled_or_not():
    chosen = rl_episodes(
        [
            verdict("b"),
            verdict("a"),
            verdict("c", "unlabelled", scenario="t"),
            verdict("d", scenario=None),
        ]
    )
    assert [v.episode_id for v in chosen] == ["a", "c"]


def paired(successes, failures, bodies=None, train=None, config=CONFIG):
    """Pair all with one prompt and length unless said otherwise; give pairs and guards."""
    everyone = [*successes, *failures]
    known = {v.episode_id: Body("p", 100) for v in everyone} | (bodies or {})
    names = {v.episode_id for v in everyone} if train is None else train
    guards: Counter[str] = Counter()
    pairs = episode_pairs([Problem(successes, failures)], known, names, config, guards)
    return [(p.chosen_episode, p.rejected_episode) for p in pairs], dict(+guards)


@pytest.mark.parametrize(
    ("guard", "failure", "keys"),
    [
        ("held_out", verdict("f", "failure"), {"train": {"s"}}),
        ("prompt", verdict("f", "failure"), {"bodies": {"f": Body("other", 100)}}),
        ("identical", verdict("f", "failure", body="s"), {}),
        ("confidence", verdict("f", "failure", confidence=0.1), {}),
        ("margin", verdict("f", "failure", total=0.7), {}),
        ("length", verdict("f", "failure"), {"bodies": {"f": Body("p", 301)}}),
    ],
)
def test_each_guard_drops_its_pair_and_counts_it(guard, failure, keys):
    assert paired([verdict("s")], [failure], **keys) == ([], {guard: 1})


def test_a_pair_that_passes_every_guard_is_kept_with_its_margin():
    guards: Counter[str] = Counter()
    bodies = {"s": Body("p", 100), "f": Body("p", 300)}
    problem = Problem([verdict("s")], [verdict("f", "failure", confidence=0.3)])
    [pair] = episode_pairs([problem], bodies, {"s", "f"}, CONFIG, guards)
    # 0.9 - 0.1, and the smaller confidence.
    assert pair.margin == pytest.approx(0.8)
    assert pair.confidence == 0.3
    assert not +guards


def test_the_cap_keeps_the_surest_pairs_and_counts_the_rest():
    successes = [verdict("s1", confidence=0.9), verdict("s2", confidence=0.5)]
    failures = [verdict("f1", "failure", confidence=0.9), verdict("f2", "failure", confidence=0.7)]
    assert paired(successes, failures) == ([("s1", "f1"), ("s1", "f2")], {"cap": 2})


def test_a_question_asked_a_thousand_times_is_not_tried_a_million_times():
    successes = [verdict(f"s{i}") for i in range(1000)]
    failures = [verdict(f"f{i}", "failure") for i in range(1000)]
    pairs, guards = paired(successes, failures)
    assert len(pairs) == CONFIG.pair_cap_per_scenario
    assert guards == {"cap": 1_000_000 - len(pairs)}


def test_problems_have_both_outcomes():
    [problem] = problems(
        [
            verdict("a", scenario="both"),
            verdict("b", "failure", scenario="both"),
            verdict("c", scenario="easy"),
            verdict("d", "failure", scenario="hard"),
            verdict("e", "unlabelled", scenario="easy"),
        ]
    )
    assert (len(problem.successes), len(problem.failures), problem.candidates) == (1, 1, 1)


def test_retries_are_capped_and_must_be_sure():
    guards: Counter[str] = Counter()
    known = {"s": verdict("s"), "w": verdict("w", confidence=0.1)}
    found = [("s", 3, 5), ("s", 7, 9), ("s", 11, 13), ("w", 3, 5)]
    pairs = retry_pairs(found, known, CONFIG, guards)
    assert [(p.failed, p.working, p.kind) for p in pairs] == [(3, 5, "retry"), (7, 9, "retry")]
    assert guards == {"retry_cap": 1, "retry_confidence": 1}
    assert len({p.pair_id for p in pairs}) == 2
