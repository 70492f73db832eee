"""Which logged episodes a policy can learn from as if it had acted itself, and which it cannot.

The log must say with which tokens the agent acted and how likely each was, in the policy's own
tokenizer; the policy that acted may not lie too many versions back; somebody must have judged the
episode; and all together must still say enough about the policy that is trained. What fails a bound
is counted, and where too little is left the account says so: DPO or KTO learn from the same logs
without log-probabilities.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from models.chat import renders, to_chat
from models.masks import Conversation
from models.policy import LoadedPolicy
from models.trainers.off_policy import (
    effective_sample_size,
    importance_weights,
    logged_rollout,
)
from schemas.config import FlywheelConfig
from schemas.episode import Message
from schemas.rollout import Rollout
from warehouse.tables import Warehouse

LEFT = "DPO or KTO on the same logs, which need no log-probabilities, is what is left."
_VERSION = re.compile(r"v?(\d+)")
_FOLDER = re.compile(r".*-v(\d+)-")


class Usable(msgspec.Struct):
    """Logged episodes to learn from, or why there are none."""

    rollouts: list[Rollout]
    advantages: list[float]
    """Of each: its success less the mean of its problem's."""
    account: dict[str, Any]
    """How many there were, how many failed which bound, and the effective sample size."""
    why: str = ""
    """In plain words, which bound leaves too little; empty where there is enough."""


def usable(
    config: FlywheelConfig, build: str, policy: LoadedPolicy, start_version: str | None
) -> Usable:
    """Find the logged episodes of a build that off-policy training may use.

    Args:
        config: Home, and the bounds (`train.off_policy`).
        build: Digest of the build; only episodes that its training rows hold are looked at.
        policy: The policy that is to be trained, as it is now.
        start_version: Its registered version, or that of the policy it comes from; None where it
            has none, and then nobody can say how old a log is.
    """
    recipe = config.train.off_policy
    rows = Warehouse(config.home).sql("replay_logprobs", build=build).to_pylist()
    counts: Counter[str] = Counter()
    kept: list[tuple[Rollout, str, float]] = []
    for row in rows:
        found = _rollout(row, config, policy, start_version)
        if isinstance(found, str):
            counts[found] += 1
        else:
            kept.append((found, row["problem"], float(row["success"])))
    rollouts = [rollout for rollout, _, _ in kept]
    account: dict[str, Any] = {"logged": len(rows), **counts, "used": len(rollouts)}
    if len(rollouts) < recipe.least_episodes:
        return Usable([], [], account, _too_few(len(rows), counts, config, start_version))
    weights = importance_weights(policy, rollouts)
    size = effective_sample_size(weights)
    account |= {"effective": size, "largest_weight": float(weights.max())}
    if size < recipe.least_share * len(rollouts):
        why = (
            f"{len(rollouts)} logged episodes say no more about this policy than {size:.0f} of its"
            f" own would (effective sample size); {recipe.least_share:.0%} of them is the least"
            f" (train.off_policy.least_share). {LEFT}"
        )
        return Usable([], [], account, why)
    return Usable(rollouts, advantages([p for _, p, _ in kept], [s for _, _, s in kept]), account)


def advantages(problems: Sequence[str], success: Sequence[float]) -> list[float]:
    """Hold each episode's success against the mean of its problem.

    A problem with one episode has nothing to hold it against: there it is the mean of all.
    """
    groups: defaultdict[str, list[float]] = defaultdict(list)
    for problem, one in zip(problems, success, strict=True):
        groups[problem].append(one)
    overall = float(np.mean(success)) if len(success) else 0.0
    usual = {p: float(np.mean(g)) if len(g) > 1 else overall for p, g in groups.items()}
    return [one - usual[p] for p, one in zip(problems, success, strict=True)]


def version_of(folder: str | None) -> str | None:
    """Read a registered policy's version off the folder it was fetched to; None where it has none.

    Args:
        folder: As `models.registry.fetch` names it: `<home>/policies/<name>-v<version>-<id>`.
    """
    found = _FOLDER.match((folder or "").rstrip("/").rpartition("/")[2])
    return found[1] if found else None


def versions_behind(acted: str | None, start: str | None) -> int | None:
    """Say how many versions lie between the policy that acted and the one that is trained.

    Returns:
        Versions, either way: after a rollback the one that acted is the newer. None where one of
        them is not a number, unless they are the same text.
    """
    if acted is None or start is None:
        return None
    if acted == start:
        return 0
    one, other = _VERSION.fullmatch(acted), _VERSION.fullmatch(start)
    return abs(int(other[1]) - int(one[1])) if one and other else None


def _rollout(
    row: Mapping[str, Any], config: FlywheelConfig, policy: LoadedPolicy, start: str | None
) -> Rollout | str:
    """Make an episode what trainers take, or name the bound that it fails."""
    if row["token_ids"] is None:
        return "without_tokens"
    if row["state"] not in ("success", "failure") or row["success"] is None:
        return "unjudged"
    behind = versions_behind(row["policy_version"], start)
    if behind is None:
        return "of_unknown_age"
    if behind > config.train.off_policy.max_age:
        return "too_old"
    logprobs = np.array(row["logprobs"])
    messages = msgspec.convert(row["messages"], list[Message])
    if not renders(messages) or not (np.isfinite(logprobs) & (logprobs <= 0)).all():
        return "malformed"
    told = Conversation(to_chat(messages), row["tools"])
    found = logged_rollout(told, row["token_ids"], row["logprobs"], policy.tokenizer)
    if found is None:
        return "of_other_tokens"
    if len(found.prompt_ids) + len(found.completion_ids) > config.train.policy.context:
        return "too_long"
    return found


def _too_few(logged: int, counts: Counter[str], config: FlywheelConfig, start: str | None) -> str:
    """Say which bounds leave too few episodes."""
    recipe = config.train.off_policy
    words = {
        "without_tokens": "carry no token ids with a log-probability each",
        "unjudged": "have no verdict",
        "of_unknown_age": "do not say which version acted, or start from none"
        if start is None
        else f"were logged by no version that can be held against {start}",
        "too_old": f"were logged more than {recipe.max_age} versions from {start}"
        " (train.off_policy.max_age)",
        "malformed": "have a malformed call or no true log-probabilities",
        "of_other_tokens": "have tokens that do not spell what was said in this tokenizer",
        "too_long": "are longer than the context",
    }
    because = "; ".join(f"{counts[name]} {said}" for name, said in words.items() if counts[name])
    left = logged - counts.total()
    return (
        f"{left} of {logged} logged training episodes can be used off-policy,"
        f" {recipe.least_episodes} are needed (train.off_policy.least_episodes)"
        f"{f': {because}' if because else ''}. {LEFT}"
    )
