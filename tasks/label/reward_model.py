"""A reward model's say on episodes that nothing else has labelled, where it has proven itself.

It learns from the pairs of earlier nights' builds, so that a night that is run again learns from
the same ones. What its scores mean is fitted on one half of the held-out labelled episodes and
checked on the other, each in turn: where it is not calibrated it abstains.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from schemas.config import FlywheelConfig
from schemas.dataset import Pair
from schemas.digest import digest
from schemas.episode import Message
from schemas.errors import TrainingError
from schemas.label_config import RewardModelConfig
from schemas.progress import Progress, report
from tasks.build.manifest import builds_before
from tasks.label.block import Bools, Floats
from tasks.label.calibration import bins, expected_calibration_error
from tasks.label.weights import sigmoid
from warehouse.tables import Warehouse

if TYPE_CHECKING:
    from models.reward_model import ScoringModel

METHOD = "1"
"""Version of this code; raised when the same pairs would give another model."""
STAGE = "reward model"
MODELS = "reward_model"
"""Folder of the home in which models are kept, each under its digest."""
EACH_CLASS = 10
"""Held-out successes, and held-out failures, below which nothing can be said."""
MOST_HELD_OUT = 2000
"""Held-out episodes it is checked on at most: their error is a few percent by then."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What a reward model had to say in a night."""

    state: Literal["scored", "abstained", "not trained"]
    reason: str
    """In words, with the figures that decided."""
    episode_id: list[str] = field(default_factory=list)
    """Unlabelled episodes that it scored; empty unless `scored`."""
    probability: Floats = field(default_factory=lambda: np.empty(0))
    """Calibrated probability of success of each, `(episodes,)`."""
    ece: float | None = None
    """Expected calibration error on the half it was checked on, fraction; None if unchecked."""
    auc: float | None = None
    """Area under the ROC curve there."""
    n_held_out: int = 0
    """Held-out labelled episodes, both halves."""
    pairs: int = 0
    """Pairs there were to learn from, at most `max_pairs`."""
    unscored: int = 0
    """Unlabelled episodes that it was shown and could not score: too long, or malformed calls."""
    source: str = ""
    """`reward_model <digest>`; empty without a model."""
    seconds: float = 0.0


class Calibrated(NamedTuple):
    """What raw scores mean, and how well that holds on episodes it was not fitted on."""

    slope: float
    intercept: float
    ece: float
    auc: float
    n: int
    """Held-out episodes behind all of these."""

    def probability(self, raw: Floats) -> Floats:
        """Turn raw scores into probabilities of success."""
        return sigmoid(self.slope * raw + self.intercept)


def platt(raw: Floats, succeeded: Bools, steps: int = 100) -> tuple[float, float]:
    """Fit the logistic curve that turns raw scores into probabilities of success.

    Targets are smoothed towards one half by one success and one failure, so that scores that part
    the classes cleanly still give a finite slope. Newton's method, halving a step that does not
    lower the loss.

    Args:
        raw: Scores, `(episodes,)`.
        succeeded: Outcomes, `(episodes,)`.
        steps: Most Newton steps.

    Returns:
        Slope and intercept of the log-odds; slope 0 where all scores are equal.

    Source: Platt 1999, "Probabilistic Outputs for Support Vector Machines", section 2.2; the
        step control of Lin, Lin and Weng 2007, https://doi.org/10.1007/s10994-007-5018-6.
    """
    successes = int(succeeded.sum())
    failures = len(succeeded) - successes
    target = np.where(succeeded, (successes + 1) / (successes + 2), 1 / (failures + 2))
    centre, spread = float(raw.mean()), float(raw.std())
    start = float(np.log(target.mean() / (1 - target.mean())))
    if spread <= 1e-12 * max(1.0, abs(centre)):
        return 0.0, start
    inputs = np.stack([(raw - centre) / spread, np.ones(len(raw))], axis=1)
    weights = np.array([0.0, start])

    def loss(at: Floats) -> float:
        log_odds = inputs @ at
        return float(np.sum(np.logaddexp(0.0, log_odds) - target * log_odds))

    for _ in range(steps):
        predicted = sigmoid(inputs @ weights)
        gradient = inputs.T @ (predicted - target)
        if np.abs(gradient).max() < 1e-10 * len(raw):
            break
        curvature = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs
        step = np.linalg.solve(curvature + 1e-12 * np.eye(2), gradient)
        size = 1.0
        while size > 1e-10 and loss(weights - size * step) > loss(weights):
            size /= 2
        weights = weights - size * step
    return float(weights[0] / spread), float(weights[1] - weights[0] * centre / spread)


def area_under_curve(raw: Floats, succeeded: Bools) -> float:
    """Give the chance that a success scores above a failure; a tie counts half.

    Source: Hanley and McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747.
    """
    _, place, count = np.unique(raw, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    successes = int(succeeded.sum())
    failures = len(succeeded) - successes
    above = rank[succeeded].sum() - successes * (successes + 1) / 2
    return float(above / (successes * failures))


def calibrate(raw: Floats, succeeded: Bools) -> Calibrated:
    """Fit on one half of held-out episodes and check on the other, each in turn.

    Each class is shared out to both halves. The curve that is given is that of all of them.

    Args:
        raw: Scores, `(episodes,)`, finite.
        succeeded: Outcomes; two of each kind at least.
    """
    place = np.empty(len(raw), np.int64)
    for kind in (succeeded, ~succeeded):
        place[kind] = np.arange(kind.sum())
    predicted = np.empty(len(raw))
    for half in (0, 1):
        checked = place % 2 == half
        slope, intercept = platt(raw[~checked], succeeded[~checked])
        predicted[checked] = sigmoid(slope * raw[checked] + intercept)
    ece = expected_calibration_error(bins(predicted, succeeded)) or 0.0
    slope, intercept = platt(raw, succeeded)
    return Calibrated(slope, intercept, ece, area_under_curve(raw, succeeded), len(raw))


def too_few(succeeded: Bools, recipe: RewardModelConfig) -> str | None:
    """Say why there are too few held-out episodes to check it on; None when there are enough."""
    if len(succeeded) < recipe.held_out:
        return (
            f"{len(succeeded)} labelled episodes are held out; label.reward_model.held_out asks"
            f" for {recipe.held_out}"
        )
    successes = int(succeeded.sum())
    failures = len(succeeded) - successes
    if min(successes, failures) < EACH_CLASS:
        return (
            f"of {len(succeeded)} held-out episodes {successes} succeeded and {failures} failed;"
            f" {EACH_CLASS} of each are needed"
        )
    return None


def unproven(found: Calibrated, recipe: RewardModelConfig) -> str | None:
    """Say why a checked reward model does not count; None when it does."""
    on = f"on {found.n} held-out episodes"
    if not found.auc >= recipe.min_auc:
        return (
            f"area under the ROC curve {found.auc:.3f} {on}, below {recipe.min_auc}"
            " (label.reward_model.min_auc)"
        )
    if not found.ece <= recipe.max_ece:
        return (
            f"expected calibration error {found.ece:.3f} {on}, above {recipe.max_ece}"
            " (label.reward_model.max_ece)"
        )
    return None


class Material(NamedTuple):
    """What a reward model learns from, is checked on and is asked about."""

    pairs: list[Pair]
    held_out: pa.Table
    """Labelled episodes that it does not learn from."""
    unlabelled: pa.Table


class Proven(NamedTuple):
    """A reward model that counts."""

    model: ScoringModel
    calibrated: Calibrated
    known: dict[str, Any]
    """Fields of `Scored` that are known by now."""


def score_unlabelled(
    config: FlywheelConfig,
    night: str,
    *,
    clock: Callable[[], datetime],
    progress: Progress = report,
) -> Scored:
    """Train a reward model or take up the one of the same pairs, check it, and score with it.

    Labels of the night must have been written: what is unlabelled is read from them. Nothing is
    written but the model, under `<home>/reward_model/<digest>`.

    Args:
        config: The configuration; tables and models are under its home.
        night: Its episodes and older ones are scored, newest first; older builds are learned from.
        clock: Gives the current UTC time.
        progress: Told how far training and scoring are.
    """
    began = clock()
    recipe = config.label.reward_model
    if recipe is None:
        return Scored(state="not trained", reason="label.reward_model is not configured")
    scored = answer(config, recipe, night, progress)
    return replace(scored, seconds=(clock() - began).total_seconds())


def answer(
    config: FlywheelConfig, recipe: RewardModelConfig, night: str, progress: Progress
) -> Scored:
    """Go as far as there is reason to: read, train and check, score."""
    material = gather(config, recipe, night)
    if isinstance(material, Scored):
        return material
    proven = prove(config, recipe, material, progress)
    if isinstance(proven, Scored):
        return proven
    return apply(proven, material.unlabelled, progress)


def gather(config: FlywheelConfig, recipe: RewardModelConfig, night: str) -> Material | Scored:
    """Read what there is to learn from and to ask about, or say what is missing."""
    warehouse = Warehouse(config.home)
    builds = builds_before(config.home, night)[::-1]
    found = warehouse.sql("reward_pairs", builds=builds, most=recipe.max_pairs)
    pairs = msgspec.convert(found.to_pylist(), list[Pair])
    if len(pairs) < recipe.min_pairs:
        reason = (
            f"builds of nights before {night} have {len(pairs)} pairs whose outcomes differ;"
            f" label.reward_model.min_pairs asks for {recipe.min_pairs}"
        )
        return Scored(state="not trained", reason=reason, pairs=len(pairs))
    unlabelled = warehouse.sql("reward_unlabelled", night=night, most=recipe.max_episodes)
    if not unlabelled.num_rows:
        reason = "there is no unlabelled episode"
        return Scored(state="not trained", reason=reason, pairs=len(pairs))
    held_out = warehouse.sql(
        "reward_held_out", builds=builds, night=night, wanted=recipe.held_out,
        most=max(MOST_HELD_OUT, recipe.held_out),
    )  # fmt: skip
    return Material(pairs, held_out, unlabelled)


def prove(
    config: FlywheelConfig, recipe: RewardModelConfig, material: Material, progress: Progress
) -> Proven | Scored:
    """Train or take up the reward model and check it; it abstains where it does not hold."""
    succeeded: Bools = material.held_out["succeeded"].to_numpy()
    known: dict[str, Any] = {"pairs": len(material.pairs), "n_held_out": len(succeeded)}
    if reason := too_few(succeeded, recipe):
        return Scored(state="abstained", reason=reason, **known)
    name = model_digest(config, recipe, material)
    try:
        model = trained(config, recipe, material.pairs, name, progress)
    except TrainingError as error:
        return Scored(state="not trained", reason=error.message, **known)
    raw = scores(model, material.held_out, "held-out episodes", progress)
    able = np.isfinite(raw)
    known |= {"source": f"reward_model {name}", "n_held_out": int(able.sum())}
    if reason := too_few(succeeded[able], recipe):
        reason += f" ({int((~able).sum())} more are too long or have malformed calls)"
        return Scored(state="abstained", reason=reason, **known)
    calibrated = calibrate(raw[able], succeeded[able])
    known |= {"ece": calibrated.ece, "auc": calibrated.auc}
    if reason := unproven(calibrated, recipe):
        return Scored(state="abstained", reason=reason, **known)
    return Proven(model, calibrated, known)


def apply(proven: Proven, unlabelled: pa.Table, progress: Progress) -> Scored:
    """Score the unlabelled episodes."""
    raw = scores(proven.model, unlabelled, "unlabelled episodes", progress)
    able = np.isfinite(raw)
    names = unlabelled["episode_id"].filter(pa.array(able)).to_pylist()
    on = proven.calibrated
    reason = (
        f"{len(names)} unlabelled episodes scored; expected calibration error {on.ece:.3f}, area"
        f" under the ROC curve {on.auc:.3f} on {on.n} held-out episodes"
    )
    return Scored(
        state="scored", reason=reason, episode_id=names, probability=on.probability(raw[able]),
        unscored=int((~able).sum()), **proven.known,
    )  # fmt: skip


def model_digest(config: FlywheelConfig, recipe: RewardModelConfig, material: Material) -> str:
    """Name a reward model by all that decides it but the champion whose backbone it took first."""
    said = [
        METHOD, [(pair.build, pair.pair_id) for pair in material.pairs], config.seed,
        recipe.model_dump(mode="json", include={"epochs", "learning_rate", "batch_size"}),
        config.train.policy.model_dump(mode="json"),
    ]  # fmt: skip
    return digest(json.dumps(said), 16)


def trained(
    config: FlywheelConfig,
    recipe: RewardModelConfig,
    pairs: Sequence[Pair],
    name: str,
    progress: Progress,
) -> ScoringModel:
    """Load the reward model of that name, or train it from the champion's backbone and keep it.

    Raises:
        TrainingError: Too few of the pairs fit into the policy's context.
    """
    from models.reward_model import ScoringModel, train_reward_model

    folder = config.home / MODELS / name
    if not folder.is_dir():
        part = folder.with_name(f".{name}.partial")
        shutil.rmtree(part, ignore_errors=True)
        train_reward_model(
            config.train.policy, pairs, start=champion_folder(config), config=recipe, folder=part,
            seed=config.seed, device=config.train.device,
            progress=lambda done, total: progress(STAGE, done, total, "training"),
        )  # fmt: skip
        part.replace(folder)
    return ScoringModel.load(folder, config.train.device)


def champion_folder(config: FlywheelConfig) -> str | None:
    """Give the champion's folder; None when none serves yet."""
    from models import registry

    version = registry.alias_version(config, "champion")
    return None if version is None else str(registry.fetch(config, version))


def scores(model: ScoringModel, episodes: pa.Table, what: str, progress: Progress) -> Floats:
    """Score the rows of a table with `messages` and `tools`; NaN for those it cannot score."""
    messages = msgspec.convert(episodes["messages"].to_pylist(), list[list[Message]])
    return model.scores(
        messages, episodes["tools"].to_pylist(),
        lambda done, total: progress(STAGE, done, total, what),
    )  # fmt: skip
