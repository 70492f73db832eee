"""A reward model's say: what scores mean, when it counts, and on what it is checked."""

import hashlib
import json
from datetime import UTC, datetime

import numpy as np
import pytest

from schemas.config import FlywheelConfig
from schemas.dataset import Pair, SplitRow
from schemas.episode import Episode, Message, ToolCall
from schemas.label import Label
from schemas.label_config import LabelConfig, RewardModelConfig
from schemas.tables import arrow_rows
from schemas.training_config import TinyPolicy, TrainConfig
from tasks.build.manifest import builds_before
from tasks.label.reward_model import (
    Calibrated,
    area_under_curve,
    calibrate,
    platt,
    score_unlabelled,
    too_few,
    unproven,
)
from warehouse.tables import Warehouse

BEFORE, NIGHT = "2026-01-01", "2026-01-02"
AT = datetime(2026, 1, 2, 3, tzinfo=UTC)
SIZE = TinyPolicy(hidden_size=32, layers=2, heads=2, vocabulary=420, context=256)
RECIPE = RewardModelConfig(epochs=3, learning_rate=5e-3, max_ece=0.15)


def test_platt_fits_two_scores_to_the_smoothed_shares() -> None:
    # Score 1: three successes, one failure; score 0: one success, three failures. Smoothed targets
    # are 5/6 and 1/6, so the means are (3 * 5/6 + 1/6) / 4 = 2/3 and (5/6 + 3 * 1/6) / 4 = 1/3,
    # which two parameters meet exactly: log-odds ln 2 at 1 and -ln 2 at 0.
    raw = np.array([1.0, 1, 1, 1, 0, 0, 0, 0])
    succeeded = np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=bool)
    slope, intercept = platt(raw, succeeded)
    assert slope == pytest.approx(2 * np.log(2), abs=1e-9)
    assert intercept == pytest.approx(-np.log(2), abs=1e-9)


def test_platt_stays_finite_where_scores_part_the_classes() -> None:
    # One each: targets 2/3 and 1/3, log-odds ln 2 at score 10 and -ln 2 at score -10.
    slope, intercept = platt(np.array([10.0, -10.0]), np.array([True, False]))
    assert slope == pytest.approx(np.log(2) / 10)
    assert intercept == pytest.approx(0, abs=1e-9)


def test_platt_gives_equal_scores_the_overall_share() -> None:
    # Three successes, one failure: targets 4/5 and 1/3; the mean is (3 * 4/5 + 1/3) / 4 = 41/60.
    slope, intercept = platt(np.full(4, 7.0), np.array([True, True, True, False]))
    assert slope == 0
    assert intercept == pytest.approx(np.log(41 / 19))


def test_platt_finds_the_curve_that_made_the_outcomes() -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(50, 4, 40_000)  # far from 0, where a plain Newton step would overshoot
    succeeded = rng.random(40_000) < 1 / (1 + np.exp(-(0.5 * raw - 26)))
    slope, intercept = platt(raw, succeeded)
    assert slope == pytest.approx(0.5, abs=0.02)
    assert intercept == pytest.approx(-26, abs=1)


def test_area_under_the_curve_counts_the_pairs_that_are_in_order() -> None:
    # Successes 3, 1 against failures 2, 1: 3 > 2, 3 > 1, 1 < 2, 1 = 1: 2.5 of 4.
    raw = np.array([3.0, 1, 2, 1])
    succeeded = np.array([True, True, False, False])
    assert area_under_curve(raw, succeeded) == 0.625
    assert area_under_curve(-raw, succeeded) == 0.375


def test_what_is_fitted_is_not_what_is_checked() -> None:
    # Even and odd places of each class are the halves. In the first, successes score 1 and failures
    # 0; in the second it is the other way round.
    raw = np.array([1.0, 0, 1, 0, 0, 1, 0, 1])
    succeeded = np.array([1, 1, 1, 1, 0, 0, 0, 0], dtype=bool)
    found = calibrate(raw, succeeded)
    # Each half has two of each, targets 3/4 and 1/4; by it the other half's successes are predicted
    # at 1/4 and its failures at 3/4.
    assert found.ece == pytest.approx(0.75)
    # All together, scores say nothing.
    assert (found.auc, found.n) == (0.5, 8)
    assert found.probability(np.array([0.0, 1.0])) == pytest.approx([0.5, 0.5])


def test_it_counts_only_with_both_figures_in_bounds() -> None:
    recipe = RewardModelConfig(max_ece=0.1, min_auc=0.65)
    good = Calibrated(1.0, 0.0, ece=0.1, auc=0.65, n=30)
    assert unproven(good, recipe) is None
    assert "error 0.101 on 30 held-out" in str(unproven(good._replace(ece=0.101), recipe))
    assert "curve 0.649 on 30 held-out" in str(unproven(good._replace(auc=0.649), recipe))
    assert unproven(good._replace(auc=float("nan")), recipe) is not None


def test_both_kinds_of_outcome_must_be_held_out() -> None:
    recipe = RewardModelConfig(held_out=30)
    assert too_few(np.arange(30) < 10, recipe) is None
    assert "9 succeeded and 21 failed" in str(too_few(np.arange(30) < 9, recipe))
    assert "29 labelled episodes are held out" in str(too_few(np.arange(29) < 15, recipe))


def talk(number, succeeded, words=""):
    """Make an episode's messages: a count that is passed on, or one that comes to nothing."""
    call = ToolCall(name="count", arguments='{"thing": "tea"}')
    result = str(number) if succeeded else "Error: none"
    answer = f"It is {number}." if succeeded else "I could not find it."
    return [
        Message(role="user", content=f"how many tea in area {number}?{words}"),
        Message(role="assistant", content="", tool_calls=[call]),
        Message(role="tool", content=result),
        Message(role="assistant", content=answer),
    ]


def episode(name, messages, night=BEFORE, **fields):
    known = {
        "format": "made_up", "day": night, "steps": 2, "body_digest": name, "source": "s",
        "question": messages[0].content, "source_file": "f", "source_line": 1, "raw_digest": "r",
    }  # fmt: skip
    return Episode(episode_id=name, night=night, messages=messages, **(known | fields))


def label(name, state, decided_by=None, revision=0):
    return Label(
        episode_id=name, label_version="v", labelled_at=AT, state=state, decided_by=decided_by,
        revision=revision,
    )  # fmt: skip


class Home:
    """A warehouse that is filled with made-up episodes, and the configuration that names it."""

    def __init__(self, folder, shuffled=False, words="", **recipe):
        self.config = FlywheelConfig(
            home=folder, train=TrainConfig(policy=SIZE),
            label=LabelConfig(reward_model=RECIPE.model_copy(update=recipe)),
        )  # fmt: skip
        self.rng, self.shuffled, self.words = np.random.default_rng(0), shuffled, words
        self.flips = self.rng.random(997) < 0.5
        self.number = 0
        self.rows = {"episodes": [], "labels": [], "pairs": [], "split_keys": []}

    def add(self, kind, succeeded, night=BEFORE, decided_by="outcome", about=None, words="", **own):
        self.number += 1
        name = f"{kind}-{self.number:04}"
        about = int(self.rng.integers(1, 1000)) if about is None else about
        # Shuffled sides of a pair still differ: all that is lost is which of them is better.
        seen = succeeded ^ (self.shuffled and self.flips[about % len(self.flips)])
        messages = talk(about, seen, words or self.words)
        self.rows["episodes"].append(episode(name, messages, night, **own))
        state = "success" if succeeded else "failure"
        shown = label(name, state, decided_by) if decided_by else label(name, "unlabelled")
        self.rows["labels"].append(shown)
        return self.rows["episodes"][-1]

    def pair(self, kind="episode", decided_by="outcome", build="b"):
        chosen, rejected = (
            self.add("taught", succeeded, decided_by=decided_by, about=len(self.rows["pairs"]))
            for succeeded in (True, False)
        )
        prompt, better, worse = chosen.messages[:1], chosen.messages[1:], rejected.messages[1:]
        self.rows["pairs"].append(
            Pair(
                build=build, pair_id=f"p{self.number}", kind=kind, prompt=prompt, chosen=better,
                rejected=worse, chosen_episode=chosen.episode_id,
                rejected_episode=rejected.episode_id, margin=1.0, confidence=1.0,
            )
        )  # fmt: skip

    def write(self, build="b", night=BEFORE):
        """Write what was added as tables, and the manifest of the build."""
        warehouse = Warehouse(self.config.home)
        for table, rows in self.rows.items():
            warehouse.append(table, arrow_rows(table, rows))
            rows.clear()
        manifest = {"digest": build, "night": night, "built_at": AT.isoformat()}
        path = self.config.home / "builds" / f"{build}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(manifest))
        return warehouse

    def score(self):
        told = []
        scored = score_unlabelled(
            self.config, NIGHT, clock=lambda: AT,
            progress=lambda stage, done, total, note="": told.append((note, done, total)),
        )  # fmt: skip
        return scored, told


def filled(home, pairs=60, held_out=160, unlabelled=30):
    for _ in range(pairs):
        home.pair()
    for _ in range(held_out):
        home.add("held", home.rng.random() < 0.6, NIGHT)
    for place in range(unlabelled):
        home.add("new-won" if place % 2 else "new-lost", bool(place % 2), NIGHT, decided_by=None)
    home.write()
    return home


@pytest.fixture(scope="module")
def proven(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("proven"))
    home.add("endless", True, NIGHT, decided_by=None, words=" tea" * 400)
    return filled(home), *home.score()


def test_it_scores_what_nothing_else_has_labelled(proven) -> None:
    home, scored, _ = proven
    assert scored.state == "scored", scored.reason
    assert scored.auc > 0.8
    assert scored.ece <= 0.15
    assert (scored.pairs, scored.n_held_out, scored.unscored) == (60, 160, 1)
    assert len(scored.episode_id) == len(scored.probability) == 30
    assert np.all((scored.probability >= 0) & (scored.probability <= 1))
    won = np.array([name.startswith("new-won") for name in scored.episode_id])
    assert np.mean(scored.probability[won] > 0.5) > 0.8
    assert np.mean(scored.probability[~won] > 0.5) < 0.2
    assert scored.reason.startswith("30 unlabelled episodes scored; expected calibration error 0.")
    [folder] = (home.config.home / "reward_model").iterdir()
    assert scored.source == f"reward_model {folder.name}"


def test_the_same_pairs_and_recipe_are_not_trained_on_twice(proven) -> None:
    home, first, told = proven
    assert {note for note, _, _ in told} == {
        "training", "held-out episodes", "unlabelled episodes"
    }  # fmt: skip
    # What it labelled itself is asked about again, and is no evidence of its own worth.
    labels = [label(name, "success", "reward_model", revision=1) for name in first.episode_id]
    Warehouse(home.config.home).append("labels", arrow_rows("labels", labels))
    again, told = home.score()
    assert {note for note, _, _ in told} == {"held-out episodes", "unlabelled episodes"}
    assert again.episode_id == first.episode_id
    assert again.probability.tolist() == first.probability.tolist()
    assert (again.ece, again.auc, again.source) == (first.ece, first.auc, first.source)
    assert len(list((home.config.home / "reward_model").iterdir())) == 1


def test_another_recipe_is_another_model(proven) -> None:
    home, first, _ = proven
    recipe = home.config.label.reward_model.model_copy(update={"epochs": 0.1})
    other = Home(home.config.home)
    other.config = home.config.model_copy(update={"label": LabelConfig(reward_model=recipe)})
    scored, told = other.score()
    assert ("training", 1, 1) in told  # 60 pairs by 8 are 8 steps, and a tenth of them is one
    assert scored.source != first.source


def test_where_labels_say_nothing_it_abstains_and_says_why(tmp_path) -> None:
    home = filled(Home(tmp_path, shuffled=True, epochs=1))
    scored, _ = home.score()
    assert scored.state == "abstained"
    assert scored.reason.startswith("area under the ROC curve 0.")
    assert scored.reason.endswith("held-out episodes, below 0.65 (label.reward_model.min_auc)")
    assert (scored.episode_id, len(scored.probability)) == ([], 0)
    assert scored.auc < 0.65
    assert scored.source


def test_too_few_pairs_train_nothing(tmp_path) -> None:
    home = filled(Home(tmp_path), pairs=39)
    scored, told = home.score()
    assert scored.state == "not trained"
    assert scored.reason.startswith(f"builds of nights before {NIGHT} have 39 pairs whose")
    assert not told


def test_retries_its_own_labels_and_what_is_labelled_otherwise_now_teach_nothing(tmp_path) -> None:
    home = Home(tmp_path)
    home.pair("retry")
    home.pair(decided_by="reward_model")
    home.pair()
    later = [
        label("taught-0005", "failure", "feedback", 1),
        label("taught-0001", "failure", "x", 1),
    ]
    home.pair()
    home.rows["labels"] += later
    found = home.write().sql("reward_pairs", builds=["b"], most=9)
    assert found["chosen_episode"].to_pylist() == ["taught-0007"]


def test_pairs_that_do_not_fit_train_nothing(tmp_path) -> None:
    home = filled(Home(tmp_path, words=" 1 2 3 4" * 70))
    scored, told = home.score()
    assert (scored.state, scored.pairs) == ("not trained", 60)
    assert scored.reason.startswith("0 of 60 pairs fit into 256 tokens")
    assert not told
    assert not list((home.config.home / "reward_model").glob("[!.]*"))


def test_this_nights_own_build_teaches_nothing(tmp_path) -> None:
    home = Home(tmp_path)
    home.pair()
    home.write(night=NIGHT)  # a night would come out differently when it is run again
    assert home.score()[0].pairs == 0


def test_newer_builds_teach_first(tmp_path) -> None:
    home = Home(tmp_path)
    for build, night in (("a", "2025-12-30"), ("b", BEFORE), ("c", NIGHT)):
        for _ in range(2):
            home.pair(build=build)
        warehouse = home.write(build, night)
    builds = builds_before(tmp_path, NIGHT)[::-1]
    found = warehouse.sql("reward_pairs", builds=builds, most=3)
    assert found["build"].to_pylist() == ["b", "b", "a"]


def test_without_an_unlabelled_episode_nothing_is_trained(tmp_path) -> None:
    scored, told = filled(Home(tmp_path), unlabelled=0).score()
    assert (scored.state, scored.reason) == ("not trained", "there is no unlabelled episode")
    assert not told


def test_too_few_held_out_episodes_abstain_before_training(tmp_path) -> None:
    scored, told = filled(Home(tmp_path), held_out=59).score()
    assert scored.state == "abstained"
    assert scored.reason.startswith("59 labelled episodes are held out")
    assert scored.n_held_out == 59
    assert not told


def numbered(row):
    """Number a row's keys as `split_digests` does: the second half of MD5, without its sign."""
    named = {"session": row.session_id, "scenario": row.scenario_id}
    named["question"] = row.question or row.body_digest
    for kind, value in named.items():
        if value:
            half = hashlib.md5(f"{kind}:{value}".encode(), usedforsecurity=False).digest()[8:]
            yield kind, int.from_bytes(half, "little") & (2**63 - 1)


def split_keys(row, side, night=BEFORE):
    return [
        SplitRow(key=key, kind=kind, group=key, side=side, night=night)
        for kind, key in numbered(row)
    ]


def test_held_out_comes_before_new_and_trained_sides_only_fill_up(tmp_path) -> None:
    home = Home(tmp_path)
    home.pair()
    held = home.add("z-held", True, session_id="s1")
    new = home.add("y-new", False, NIGHT)
    tonight = home.add("x-tonight", True, NIGHT)
    trained = [home.add("trained", True, scenario_id=f"c{n}") for n in range(3)]
    mixed = home.add("mixed", True, session_id="s1", scenario_id="c0")
    twin = home.add("twin", True, body_digest=home.rows["episodes"][0].body_digest)
    weak = [home.add("weak", True, decided_by=by) for by in ("implicit", "judge", "reward_model")]
    later = home.add("later", True, "2026-01-03")
    lost = home.add("zlost", True)
    home.rows["split_keys"] = [
        *split_keys(held, "held_out"), *(k for row in trained for k in split_keys(row, "train")),
        # What tonight's own build came to is as if it had not been.
        *split_keys(tonight, "train", NIGHT),
        # A group that has become part of a retired one is not held out any more.
        *(
            SplitRow(key=key, kind=kind, group=5, side="held_out", night=BEFORE)
            for kind, key in numbered(lost)
        ),
        SplitRow(key=5, kind="group", group=4, side="held_out", night=BEFORE),
        SplitRow(key=4, kind="group", group=4, side="retired", night=BEFORE),
    ]  # fmt: skip
    warehouse = home.write()

    def found(wanted, most=100):
        rows = warehouse.sql("reward_held_out", builds=["b"], night=NIGHT, wanted=wanted, most=most)
        return [(row["episode_id"], row["succeeded"]) for row in rows.to_pylist()]

    best = [(held.episode_id, True), (tonight.episode_id, True), (new.episode_id, False)]
    assert found(0) == best
    assert found(5) == [*best, (mixed.episode_id, True), (trained[0].episode_id, True)]
    assert found(5, most=1) == best[:1]
    names = {name for name, _ in found(100)}
    assert len(names) == 8
    assert not names & {twin.episode_id, later.episode_id, *(row.episode_id for row in weak)}


def test_the_newest_nights_are_scored_first(tmp_path) -> None:
    home = Home(tmp_path)
    old = home.add("a-old", True, decided_by=None)
    new = home.add("b-new", True, NIGHT, decided_by=None)
    home.add("c-later", True, "2026-01-03", decided_by=None)
    home.add("d-known", True, NIGHT)
    own = home.add("e-own", True, NIGHT, decided_by="reward_model")
    warehouse = home.write()

    def found(most):
        return warehouse.sql("reward_unlabelled", night=NIGHT, most=most)["episode_id"].to_pylist()

    assert found(2) == [new.episode_id, own.episode_id]
    assert found(9) == [old.episode_id, new.episode_id, own.episode_id]
