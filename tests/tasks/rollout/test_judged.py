"""A reward model as the reward of play: only where it has proven itself, and never for nonsense."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.config import FlywheelConfig
from schemas.dataset import Pair
from schemas.episode import Episode, Message, ToolCall
from schemas.label import Label
from schemas.label_config import LabelConfig, RewardModelConfig
from schemas.rollout import Rollout
from schemas.tables import arrow_rows
from schemas.training_config import TinyPolicy, TrainConfig
from tasks.build.manifest import save_manifest
from tasks.label.reward_model import Calibrated, score_unlabelled
from tasks.rollout.judged import Judge, night_judge
from warehouse.tables import Warehouse

BEFORE, NIGHT = "2026-01-01", "2026-01-02"
AT = datetime(2026, 1, 2, 3, tzinfo=UTC)


class Lengths:
    """Scores an episode by the length of its last message; what says `long` does not fit."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def scores(self, episodes: Any, tools: Any) -> Any:
        self.asked.append((episodes, tools))
        said = [one[-1].content for one in episodes]
        return np.array([np.nan if text == "long" else float(len(text)) for text in said])


def rollout(text: str, reward: float | None = None, **fields: Any) -> Rollout:
    said = [Message(role="assistant", content=text)]
    return Rollout(
        scenario_id="s", attempt=0, messages=said, reward=reward, turns=1, tool_calls=0,
        tool_errors=0, **fields,
    )  # fmt: skip


ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Well?"}]


def test_open_rollouts_get_calibrated_probabilities_in_one_batch() -> None:
    model = Lengths()
    judge = Judge(model, Calibrated(1.0, -2.0, ece=0.0, auc=1.0, n=9), tools="[]")  # type: ignore[arg-type]
    found = judge([rollout("yes"), rollout("no"), rollout("x", reward=0.25)], [ASKED] * 3)
    # Log-odds 3 - 2 = 1 and 2 - 2 = 0: e / (1 + e) and one half. The third was judged already.
    assert found == [pytest.approx(np.e / (1 + np.e)), pytest.approx(0.5), 0.25]
    assert (judge.judged, judge.failed) == (2, 0)
    [(episodes, tools)] = model.asked
    assert [m.content for m in episodes[0]] == ["Be brief.", "Well?", "yes"]
    assert tools == ["[]", "[]"]


def test_malformed_and_cut_off_episodes_fail_unasked() -> None:
    model = Lengths()
    judge = Judge(model, Calibrated(1.0, 0.0, ece=0.0, auc=1.0, n=9))  # type: ignore[arg-type]
    found = judge([rollout("yes", malformed=True), rollout("yes", truncated=True)], [ASKED] * 2)
    assert found == [0.0, 0.0]
    assert (judge.judged, judge.failed, model.asked) == (0, 2, [])


def test_an_episode_that_does_not_fit_is_not_judged() -> None:
    judge = Judge(Lengths(), Calibrated(1.0, 0.0, ece=0.0, auc=1.0, n=9))  # type: ignore[arg-type]
    assert judge([rollout("long"), rollout("")], [ASKED] * 2) == [None, 0.5]
    assert judge.judged == 1


def talk(number: int, succeeded: bool) -> list[Message]:
    call = ToolCall(name="count", arguments='{"thing": "tea"}')
    result = str(number) if succeeded else "Error: none"
    answer = f"It is {number}." if succeeded else "I could not find it."
    return [
        Message(role="user", content=f"how many tea in area {number}?"),
        Message(role="assistant", content="", tool_calls=[call]),
        Message(role="tool", content=result),
        Message(role="assistant", content=answer),
    ]


def logged(name: str, number: int, state: Any, night: str) -> tuple[Episode, Label]:
    messages = talk(number, name.startswith("won"))
    episode = Episode(
        episode_id=name, format="made_up", day=night, steps=2, body_digest=name, source="s",
        question=str(messages[0].content), source_file="f", source_line=1, raw_digest="r",
        night=night, messages=messages,
    )  # fmt: skip
    decided = None if state == "unlabelled" else "outcome"
    return episode, Label(
        episode_id=name, label_version="v", labelled_at=AT, state=state, decided_by=decided
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> FlywheelConfig:
    """A home with a reward model of 50 pairs that 80 held-out episodes have proven."""
    config = FlywheelConfig(
        home=tmp_path_factory.mktemp("judged"),
        train=TrainConfig(
            policy=TinyPolicy(hidden_size=32, layers=2, heads=2, vocabulary=420, context=256)
        ),
        label=LabelConfig(
            reward_model=RewardModelConfig(epochs=3, learning_rate=5e-3, max_ece=0.2)
        ),
    )
    rows, pairs = [], []
    for number in range(50):
        rows += [
            logged(f"{kind}-taught-{number}", number, state, BEFORE)
            for kind, state in (("won", "success"), ("lost", "failure"))
        ]
        won, lost = rows[-2][0], rows[-1][0]
        pairs.append(
            Pair(
                build="b", pair_id=f"p{number}", kind="episode", prompt=won.messages[:1],
                chosen=won.messages[1:], rejected=lost.messages[1:], margin=1.0, confidence=1.0,
                chosen_episode=won.episode_id, rejected_episode=lost.episode_id,
            )
        )  # fmt: skip
    for number in range(100, 180):
        kind, state = ("won", "success") if number % 2 else ("lost", "failure")
        rows.append(logged(f"{kind}-held-{number}", number, state, NIGHT))
    rows.append(logged("won-new", 999, "unlabelled", NIGHT))
    warehouse = Warehouse(config.home)
    warehouse.append("episodes", arrow_rows("episodes", [e for e, _ in rows]))
    warehouse.append("labels", arrow_rows("labels", [label for _, label in rows]))
    warehouse.append("pairs", arrow_rows("pairs", pairs))
    save_manifest(config.home, {"digest": "b", "night": BEFORE, "built_at": AT.isoformat()})
    return config


def test_without_a_trained_model_nobody_judges(home: FlywheelConfig, tmp_path: Path) -> None:
    plain = home.model_copy(update={"label": LabelConfig()})
    assert night_judge(plain, NIGHT) == (None, "label.reward_model is not configured")
    judge, why = night_judge(home.model_copy(update={"seed": 5}), NIGHT)
    assert judge is None
    assert why.startswith("the label stage has trained no reward model")


def test_the_model_of_the_nights_labels_judges_play(home: FlywheelConfig) -> None:
    scored = score_unlabelled(
        home, NIGHT, clock=lambda: AT, progress=lambda stage, done, total, note="": None
    )
    assert scored.state == "scored", scored.reason
    judge, why = night_judge(home, NIGHT)
    assert judge is not None, why
    assert why.startswith(scored.source)
    played = []
    for succeeded in (True, False):
        made = rollout("")
        made.messages = talk(300, succeeded)[1:]
        played.append(made)
    asked = [{"role": "user", "content": "how many tea in area 300?"}]
    good, bad = judge(played, [asked, asked])
    assert good is not None
    assert bad is not None
    assert good > 0.7
    assert bad < 0.3
    # The very number that the label stage would have given.
    new = rollout("")
    new.messages = talk(999, True)[1:]
    [same] = judge([new], [[{"role": "user", "content": "how many tea in area 999?"}]])
    assert same == pytest.approx(scored.probability[0])


def test_a_model_that_does_not_hold_says_why_and_does_not_judge(home: FlywheelConfig) -> None:
    recipe = home.label.reward_model
    assert recipe is not None
    strict = recipe.model_copy(update={"max_ece": 1e-9})
    judge, why = night_judge(
        home.model_copy(update={"label": LabelConfig(reward_model=strict)}), NIGHT
    )
    assert judge is None
    assert "above 1e-09 (label.reward_model.max_ece)" in why
