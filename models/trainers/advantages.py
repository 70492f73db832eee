"""Advantages by step: the outcome against its group, and what each step is worth by itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from schemas.process import MALFORMED, NO_NEWS, REPEAT, TOOL_ERROR
from schemas.rollout import Rollout


def outcome_advantages(
    rewards: torch.Tensor, generations: int, *, baseline: str, scale: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compare each rollout's reward with those of its group.

    Args:
        rewards: Shape (rollouts,), a group beside each other; NaN where nobody judged.
        generations: Rollouts of a group.
        baseline: `group`: the mean of the group. `leave_one_out`: the mean of the others in it.
        scale: `group`, `batch` or `none`: by whose standard deviation advantages are divided.

    Returns:
        Advantages (rollouts,), 0 where nobody judged, and what they were divided by (rollouts,).

    Source: Shao et al. 2024, https://arxiv.org/abs/2402.03300, section 4.1 (`group`); Ahmadian et
        al. 2024, https://arxiv.org/abs/2402.14740, equation 7 (`leave_one_out`).
    """
    groups = rewards.view(-1, generations)
    known = ~groups.isnan()
    count = known.sum(dim=1, keepdim=True)
    filled = groups.nan_to_num(nan=0.0)
    mean = filled.sum(dim=1, keepdim=True) / count.clamp_min(1)
    compared = torch.where(known, filled - mean, 0.0)
    if baseline == "leave_one_out":  # r - (sum - r) / (n - 1) = n / (n - 1) * (r - mean)
        compared = compared * torch.where(count > 1, count / (count - 1).clamp_min(1), 0.0)
    if scale == "group":
        spread = (compared_square_sum(filled, mean, known) / (count - 1).clamp_min(1)).sqrt()
        divisor = spread.expand_as(groups)
    elif scale == "batch":
        flat = rewards[~rewards.isnan()]
        deviation = flat.std() if len(flat) > 1 else flat.new_zeros(())
        divisor = deviation.expand_as(groups)
    else:
        divisor = torch.ones_like(filled) - 1e-4  # TRL adds 1e-4, and then divides by nothing
    divisor = divisor + 1e-4
    return (compared / divisor).flatten(), divisor.reshape(-1)


def compared_square_sum(
    filled: torch.Tensor, mean: torch.Tensor, known: torch.Tensor
) -> torch.Tensor:
    """Sum the squared distances from the mean of each group, (groups, 1), over those judged."""
    return torch.where(known, (filled - mean) ** 2, 0.0).sum(dim=1, keepdim=True)


def process_rewards(rollout: Rollout) -> list[float]:
    """Reward each turn of a rollout for what it did, as labels do for logged episodes.

    Returns:
        One number a turn of the agent: negative for malformed calls, tool errors, the very calls of
        an earlier turn, and results that were all known.
    """
    rewards: list[float] = []
    made: set[tuple[tuple[str, str], ...]] = set()
    told: set[str | None] = set()
    place = 0
    turns = [i for i, message in enumerate(rollout.messages) if message.role == "assistant"]
    for number, place in enumerate(turns):
        following = turns[number + 1] if number + 1 < len(turns) else len(rollout.messages)
        results = rollout.messages[place + 1 : following]
        calls = tuple((c.name, c.arguments) for c in rollout.messages[place].tool_calls)
        last = number + 1 == len(turns)
        worth = MALFORMED if rollout.malformed and last else 0.0
        worth += TOOL_ERROR * sum(bool(result.error) for result in results)
        worth += REPEAT if calls and calls in made else 0.0
        if worth == 0.0 and results and all(result.content in told for result in results):
            worth = NO_NEWS
        made.add(calls)
        told |= {result.content for result in results}
        rewards.append(worth)
    return rewards


def returns_to_go(
    rollouts: Sequence[Rollout], generations: int, discount: float
) -> list[list[float]]:
    """Add up what the steps from each on are worth, against the mean step of their group.

    The baseline is one number a group, the same at every turn: means by the number of a turn would
    compare a third turn only with episodes that did not stop before it, and the policy decides when
    to stop.

    Args:
        rollouts: Groups beside each other.
        generations: Rollouts of a group.
        discount: Of later steps, a step.

    Returns:
        One number a turn of each rollout.
    """
    rewards = [process_rewards(rollout) for rollout in rollouts]
    found: list[list[float]] = []
    for start in range(0, len(rewards), generations):
        group = rewards[start : start + generations]
        steps = [worth for one in group for worth in one]
        mean = sum(steps) / max(len(steps), 1)
        for one in group:
            after, returns = 0.0, []
            for worth in reversed(one):
                after = worth - mean + discount * after
                returns.append(after)
            found.append(returns[::-1])
    return found


def spread(values: Sequence[float], mask: Sequence[int], width: int) -> list[float]:
    """Give each token of a turn its turn's value: `(width,)`, 0 where the agent did not speak.

    Args:
        values: One a turn.
        mask: 1 for each token that the agent produced; a turn is an unbroken run of them.
        width: Length of the result.
    """
    found = [0.0] * width
    turn = -1
    for place, said in enumerate(mask):
        if said:
            turn += place == 0 or not mask[place - 1]
            found[place] = values[min(turn, len(values) - 1)] if values else 0.0
    return found
