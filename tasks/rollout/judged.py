"""The night's reward model as the reward of play, where the environment abstains.

It is the model that the label stage trained, held against held-out labelled episodes before it says
anything. Where there is none, or it does not hold, nobody judges, and play that the environment
abstains on teaches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from schemas.config import FlywheelConfig
from schemas.dataset import Pair
from schemas.episode import Message
from schemas.label_config import RewardModelConfig
from schemas.progress import Progress
from schemas.rollout import Rollout
from tasks.build.manifest import builds_before, load_manifest
from tasks.label.reward_model import (
    MODELS,
    MOST_HELD_OUT,
    Calibrated,
    Material,
    Scored,
    model_digest,
    prove,
)
from warehouse.tables import Warehouse

if TYPE_CHECKING:
    from models.reward_model import ScoringModel

Chat = list[dict[str, Any]]


class Judge:
    """Rewards finished rollouts by a proven reward model.

    Args:
        model: Scores whole episodes.
        calibrated: Turns scores into probabilities of success.
        tools: The agent's tool schemas as JSON text, where episodes were logged with them.

    `judged` counts the rollouts that it has given a probability, `failed` those that it failed
    without asking the model.
    """

    def __init__(
        self, model: ScoringModel, calibrated: Calibrated, tools: str | None = None
    ) -> None:
        self._model = model
        self._calibrated = calibrated
        self._tools = tools
        self.judged = self.failed = 0

    def __call__(self, rollouts: Sequence[Rollout], prompts: Sequence[Chat]) -> list[float | None]:
        """Give each rollout its reward, fraction in [0, 1].

        What the environment judged keeps its reward. An episode with a malformed call, or one that
        a limit cut off before its answer, has failed, whatever its text looks like to a model.

        Args:
            rollouts: Finished ones.
            prompts: The messages that opened each.

        Returns:
            A reward each; None where nobody can say: the model cannot take so long an episode.
        """
        rewards = [r.reward for r in rollouts]
        asked = []
        for place, rollout in enumerate(rollouts):
            if rollout.reward is not None:
                continue
            if rollout.malformed or rollout.truncated:
                rewards[place] = 0.0
                self.failed += 1
            else:
                asked.append(place)
        if not asked:
            return rewards
        episodes = [[*_opened(prompts[i]), *rollouts[i].messages] for i in asked]
        raw = self._model.scores(episodes, [self._tools] * len(asked))
        able = np.isfinite(raw)
        said = self._calibrated.probability(np.where(able, raw, 0.0))
        for place, known, probability in zip(asked, able.tolist(), said.tolist(), strict=True):
            rewards[place] = probability if known else None
            self.judged += known
        return rewards


def _opened(prompt: Chat) -> list[Message]:
    return [Message(role=turn["role"], content=turn.get("content")) for turn in prompt]


def judge_of(
    config: FlywheelConfig, build: str, tools: str | None = None
) -> tuple[Judge | None, str]:
    """Open the reward model of the night that a build is of, where one is configured.

    Returns:
        What `night_judge` returns; None and nothing where none is asked for.
    """
    manifest = load_manifest(config.home, build) if build else None
    if config.label.reward_model is None or manifest is None:
        return None, ""
    return night_judge(config, manifest["night"], tools=tools)


def night_judge(
    config: FlywheelConfig,
    night: str,
    *,
    tools: str | None = None,
    progress: Progress = lambda stage, done, total, note="": None,  # noqa: ARG005 - Progress
) -> tuple[Judge | None, str]:
    """Open the reward model of a night's labels, and check it again.

    Args:
        config: Home and recipe (`label.reward_model`).
        night: The night that trains; builds of earlier ones taught the model.
        tools: Tool schemas that the played agent has, as JSON text.
        progress: Told how far scoring the held-out episodes is.

    Returns:
        The judge, None where there is none that counts; and in words what it rests on, or why
        there is none.
    """
    recipe = config.label.reward_model
    if recipe is None:
        return None, "label.reward_model is not configured"
    found = _material(config, recipe, night)
    name = model_digest(config, recipe, found)
    if not (config.home / MODELS / name).is_dir():
        return None, "the label stage has trained no reward model on the pairs there are"
    proven = prove(config, recipe, found, progress)
    if isinstance(proven, Scored):
        return None, proven.reason
    on = proven.calibrated
    why = (
        f"reward_model {name}: expected calibration error {on.ece:.3f}, area under the ROC curve"
        f" {on.auc:.3f} on {on.n} held-out episodes"
    )
    return Judge(proven.model, on, tools), why


def _material(config: FlywheelConfig, recipe: RewardModelConfig, night: str) -> Material:
    """Read what the night's reward model learned from and is checked on."""
    warehouse = Warehouse(config.home)
    builds = builds_before(config.home, night)[::-1]
    pairs = warehouse.sql("reward_pairs", builds=builds, most=recipe.max_pairs).to_pylist()
    held_out = warehouse.sql(
        "reward_held_out", builds=builds, night=night, wanted=recipe.held_out,
        most=max(MOST_HELD_OUT, recipe.held_out),
    )  # fmt: skip
    nothing = held_out.slice(0, 0)
    return Material(msgspec.convert(pairs, list[Pair]), held_out, nothing)
