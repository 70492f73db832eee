"""The rules of the monitors: each looks at a run's metrics and says what it sees.

A rule sees the newest row and what the rows before it came to. It asks for a remedy, whose use
`models.trainers.monitors` limits; nothing here touches a model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean, median
from typing import Literal

import msgspec

from schemas.monitor_config import MonitorConfig

Kind = Literal["imitation", "preference", "play"]
"""What a run learns from: episodes to repeat, pairs or likings, or its own play."""
Remedy = Literal[
    "none", "halve_rate", "raise_temperature", "roll_back", "stop", "roll_back_and_stop"
]
"""`roll_back` goes back to the last good weights and on with half the rate."""

_LONG = 200
"""Gradient norms that the median is taken over."""


class Decision(msgspec.Struct, frozen=True):
    """What a monitor saw, and what is to be done about it."""

    monitor: str
    saw: str
    """In plain words, with the figure."""
    remedy: Remedy = "none"
    spent: str = ""
    """Why nothing is done although there is a remedy: it was used as often as it may be."""


class Seen(msgspec.Struct):
    """What the monitors remember of a run."""

    rows: int = 0
    recent: dict[str, list[float]] = {}
    """The last values of each metric, oldest first, as many as the window."""
    best: dict[str, float] = {}
    """Best smoothed reward and probe; lowest smoothed loss, truncated and malformed share."""
    norms: list[float] = []
    """Gradient norms."""
    changes: float = 0.0
    """Sum of the squares of the reward's changes from row to row."""
    compared: int = 0
    """Changes in it."""
    last_reward: float | None = None
    idle: int = 0
    """Rows running without a gradient and without a group whose rewards differ."""
    told: list[str] = []
    """Remarks that were made and are not made again."""
    used: dict[str, int] = {}
    """Remedies, and how often each was used."""


class Look(msgspec.Struct, frozen=True):
    """What a rule looks at."""

    config: MonitorConfig
    kind: Kind
    seen: Seen
    step: int
    of: int
    row: dict[str, float]

    def full(self, name: str) -> list[float] | None:
        """Give the last values of a metric once there are as many as the window."""
        values = self.seen.recent.get(name, [])
        return values if len(values) >= self.config.window else None

    @property
    def warm(self) -> bool:
        """Tell whether the first steps are over."""
        return self.step > self.config.warm


Rule = Callable[[Look], Decision | None]


def take_in(seen: Seen, row: dict[str, float], window: int) -> None:
    """Take a row into what is remembered; what is not a number is left out."""
    seen.rows += 1
    for name in _WATCHED:
        value = row.get(name)
        if value is not None and math.isfinite(value):
            seen.recent[name] = [*seen.recent.get(name, []), value][-window:]
    for monitor, name in _SHARES.items():
        if name in row:
            lowest = min(fmean(seen.recent[name]), seen.best.get(monitor, math.inf))
            seen.best[monitor] = lowest
    norm = row.get("grad_norm")
    if norm is not None and math.isfinite(norm):
        seen.norms = [*seen.norms, norm][-_LONG:]
    still = norm == 0.0 and row.get("groups/mixed") == 0.0
    seen.idle = seen.idle + 1 if still else 0
    reward = row.get("reward")
    if reward is not None and math.isfinite(reward):
        if seen.last_reward is not None:
            seen.changes += (reward - seen.last_reward) ** 2
            seen.compared += 1
        seen.last_reward = reward


def in_order(look: Look) -> bool:
    """Tell whether weights may count as good by this row: well inside every limit that undoes."""
    config, row, seen = look.config, look.row, look.seen
    if not math.isfinite(row.get("loss", 0.0)):
        return False
    if look.kind == "play" and row.get("kl", 0.0) > config.kl_high:  # KTO's is nats an episode
        return False
    if row.get("tools/failure_frequency", 0.0) > config.tool_failures_high:
        return False
    if row.get("rewards/abstained", 0.0) > config.abstained_high:
        return False
    for monitor, name in _SHARES.items():
        if name in row and row[name] > config.truncated_high >= 2 * seen.best[monitor]:
            return False
    losses, rewards = seen.recent.get("loss"), look.full("reward")
    if losses and look.kind != "play" and median(losses) > seen.best["loss"] + config.loss_rise / 2:
        return False
    if rewards and "reward" in seen.best:
        return fmean(rewards) >= seen.best["reward"] - config.reward_fall / 3
    return True


def not_a_number(what: str) -> Decision:
    """Say that something is not a finite number."""
    return Decision("nan", f"{what} is not a number", "roll_back")


def nan(look: Look) -> Decision | None:
    """Watch for a loss or gradient that is not a finite number."""
    for name, words in (("loss", "the loss"), ("grad_norm", "the gradient")):
        if not math.isfinite(look.row.get(name, 0.0)):
            return not_a_number(words)
    return None


def loss(look: Look) -> Decision | None:
    """Watch for a loss that rises far above its lowest, or above that of guessing."""
    values = look.seen.recent.get("loss")
    if not values:
        return None
    smooth = median(values)
    best = min(smooth, look.seen.best.get("loss", smooth))
    look.seen.best["loss"] = best
    if smooth <= best + look.config.loss_rise:
        return None
    return Decision("loss", f"the loss rose from {best:.2f} to {smooth:.2f}", "roll_back")


def gradient(look: Look) -> Decision | None:
    """Watch for gradients far above their median, twice running."""
    last, before = look.seen.recent.get("grad_norm", [])[-2:], look.seen.norms[:-2]
    if len(last) < 2 or len(before) < look.config.window or not look.warm:
        return None
    usual = median(before)
    if usual <= 0 or min(last) <= look.config.gradient_high * usual:
        return None
    times = min(last) / usual
    return Decision("gradient", f"the gradient is {times:.0f} times its median", "halve_rate")


def preference(look: Look) -> Decision | None:
    """Watch whether the policy comes to prefer what its pairs prefer."""
    values = look.full("rewards/accuracies")
    if values is None or look.step < look.of / 2 or fmean(values) >= 0.5:
        return None
    return Decision("preference", f"only {fmean(values):.0%} of the pairs are told right")


def kl(look: Look) -> Decision | None:
    """Watch the divergence from the start: none, too much, or so much that the policy is lost.

    The estimate is a mean of a few thousand tokens of which a single one can be huge, so that one
    row alone stops nothing: two running must be over the limit, and a median over the band.
    """
    config, values = look.config, look.seen.recent.get("kl", [])
    if len(values) >= 2 and min(values[-2:]) > config.kl_stop:
        saw = f"the policy is {values[-1]:.2f} nats a token from its start (limit {config.kl_stop})"
        return Decision("kl", saw, "roll_back_and_stop")
    full = look.full("kl")
    if full is None or not look.warm:
        return None
    if median(full) > config.kl_high:
        saw = f"the policy is {median(full):.2f} nats a token from its start, over its band"
        return Decision("kl", f"{saw} (up to {config.kl_high})", "halve_rate")
    if max(full) < config.kl_idle and look.step >= look.of / 2:
        saw = f"the policy is only {max(full):.5f} nats a token from its start: it hardly moves"
        return Decision("kl_idle", saw)
    return None


def reward(look: Look) -> Decision | None:
    """Watch for a reward that rose and then falls.

    The fall must be over the limit, and over five standard errors of the difference of two
    windows, by how much the reward changes from row to row: scenarios differ in how hard they are,
    and the best of many windows is a lucky one. In 150 steps of mere noise it fires in under 1% of
    the runs (at four errors in 15%), and a fall from .7 to .1 is seen within five steps.
    """
    values, seen = look.full("reward"), look.seen
    if values is None or not look.warm:
        return None
    smooth = fmean(values)
    best = max(smooth, seen.best.get("reward", smooth))
    seen.best["reward"] = best
    # Half the mean squared change is the variance of a row, whatever the trend (von Neumann 1941).
    variance = seen.changes / max(seen.compared, 1) / 2
    limit = max(look.config.reward_fall, 5 * math.sqrt(2 * variance / len(values)))
    if best - smooth <= limit:
        return None
    saw = f"the reward fell from {best:.2f} to {smooth:.2f} (limit {limit:.2f})"
    return Decision("reward", saw, "roll_back_and_stop")


def groups(look: Look) -> Decision | None:
    """Watch for groups whose rollouts all earn the same, which teach nothing.

    Where for three windows no group has differed and there was no gradient, going on is idle.
    """
    values, window = look.full("groups/mixed"), look.config.window
    if values is None or not look.warm:
        return None
    seen = look.seen
    if seen.idle >= 3 * window:
        earned = seen.recent.get("reward", [])
        each = f" (reward {earned[-1]:.2f})" if earned else ""
        saw = f"in {seen.idle} steps no two rollouts of a scenario earned differently{each}"
        return Decision("constant_reward", f"{saw}: nothing can be learnt", "roll_back_and_stop")
    if fmean(values) >= look.config.mixed_low:
        return None
    saw = f"only {fmean(values):.0%} of the groups differ in reward: play teaches next to nothing"
    return Decision("groups", saw)


def abstained(look: Look) -> Decision | None:
    """Watch for rollouts that nobody judges."""
    values = look.full("rewards/abstained")
    if values is None or fmean(values) <= look.config.abstained_high:
        return None
    saw = f"{fmean(values):.0%} of the rollouts have no reward: the verifier does not answer"
    return Decision("abstained", saw, "roll_back_and_stop")


def environment(look: Look) -> Decision | None:
    """Watch for an environment whose tools fail."""
    values = look.full("tools/failure_frequency")
    if values is None or fmean(values) <= look.config.tool_failures_high:
        return None
    saw = f"{fmean(values):.0%} of the tool calls fail: the environment seems broken"
    return Decision("environment", saw, "roll_back_and_stop")


def truncated(look: Look) -> Decision | None:
    """Watch the share of episodes that run into a limit."""
    return _share(look, "truncated", "run into a limit", ": limits decide, not the policy")


def malformed(look: Look) -> Decision | None:
    """Watch the share of episodes that end in a malformed call."""
    return _share(look, "malformed", "end in a malformed call", "")


def _share(look: Look, monitor: str, words: str, verdict: str) -> Decision | None:
    """Judge a share of episodes that is too high.

    Where training raised it the rate is halved, and a policy most of whose episodes have become so
    has lost its language: the run goes back. Where it was high from the first row it is said.
    """
    values, limit = look.full(_SHARES[monitor]), look.config.truncated_high
    if values is None or not look.warm or fmean(values) <= limit:
        return None
    share, before = fmean(values), look.seen.best[monitor]
    if before > limit / 2:
        return Decision(f"{monitor}_from_start", f"{share:.0%} of the episodes {words}{verdict}")
    saw = f"{share:.0%} of the episodes {words}, {before:.0%} did before"
    return Decision(monitor, saw, "roll_back" if share > _MOST else "halve_rate")


def clipped(look: Look) -> Decision | None:
    """Watch the share of tokens whose probability ratio is clipped."""
    values = look.full("clip_ratio/region_mean")
    if values is None or not look.warm or fmean(values) <= look.config.clipped_high:
        return None
    saw = f"the probability ratio of {fmean(values):.0%} of the tokens is clipped"
    return Decision("clipped", saw, "halve_rate")


def entropy(look: Look) -> Decision | None:
    """Watch for a policy that no longer explores although it has not learnt what pays."""
    values, rewards = look.full("entropy"), look.full("reward")
    if values is None or not look.warm or fmean(values) >= look.config.entropy_low:
        return None
    saw = f"entropy is down to {fmean(values):.4f} nats a token: the policy explores no more"
    if rewards is not None and fmean(rewards) >= _SOLVED:
        return Decision("entropy_solved", f"{saw}, at a reward of {fmean(rewards):.2f}")
    return Decision("entropy", saw, "raise_temperature")


_SHARES = {"truncated": "completions/clipped_ratio", "malformed": "completions/malformed"}
_MOST = 0.5
"""Share of truncated or malformed episodes from which a policy has lost its language."""
_SOLVED = 0.95
"""Reward from which there is nothing left to explore for."""
_WATCHED = (
    "loss", "grad_norm", "kl", "entropy", "reward", "groups/mixed", "completions/clipped_ratio",
    "completions/malformed", "tools/failure_frequency", "clip_ratio/region_mean",
    "rewards/abstained", "rewards/accuracies",
)  # fmt: skip
RULES: dict[Kind, tuple[Rule, ...]] = {
    "imitation": (nan, loss, gradient),
    "preference": (nan, loss, gradient, preference),
    "play": (
        nan, kl, abstained, environment, reward, groups, entropy, truncated, malformed, clipped,
        gradient,
    ),
}  # fmt: skip
"""What is watched in each kind of run."""
