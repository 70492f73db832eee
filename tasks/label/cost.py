"""Cost of an episode, held against what episodes of its scenario usually cost."""

from __future__ import annotations

import numpy as np

from schemas.label_config import CostConfig
from tasks.label.block import Bools, Floats, Ints

MEASURES = ("tool_calls", "tokens", "usd", "latency_s")
"""What is measured, in the order of the columns of `amounts`."""


def costs(amounts: Floats, scenario: Ints, config: CostConfig) -> tuple[Floats, Floats]:
    """Give what each episode cost, as fractions in [0, 1) where 0.5 is what is usual.

    The part of a measure is `x / (x + usual)`. Usual is the mean over the scenario's episodes in
    this run, pulled towards the configured amount, which weighs as much as `support` episodes. It
    is taken by scenario because a hard problem needs many calls and they are no waste: what counts
    is to need more than others did for the same problem. It is bounded because one runaway episode
    would otherwise outweigh success; and still strictly rising, so that less is always better.

    Args:
        amounts: Calls, tokens, US dollars and seconds, `(episodes, 4)`; NaN where the log has none.
        scenario: Number of each episode's scenario, `(episodes,)`; -1 for none, which is held
            against the configured amounts alone.
        config: Usual amounts; a measure whose amount is None is left out.

    Returns:
        Cost, the mean of the parts there are, `(episodes,)`, 0 without any; and the parts,
        `(episodes, 4)`, NaN where there is none.

    Source: the shrunk mean is that of a normal prior worth `support` observations (Gelman et al.,
    "Bayesian Data Analysis" (2013), section 2.5).
    """
    parts = np.full(amounts.shape, np.nan)
    known = scenario >= 0
    codes = np.zeros(len(scenario), np.int64)  # as large as there are scenarios, not as codes are
    codes[known] = np.unique(scenario[known], return_inverse=True)[1] + 1
    for column, name in enumerate(MEASURES):
        configured: float | None = getattr(config, name)
        if configured is None:
            continue
        amount = np.maximum(amounts[:, column], 0.0)
        measured = np.isfinite(amount)
        usual = usual_amounts(amount, codes, measured & known, configured, config.support)
        parts[measured, column] = share(amount[measured], usual[codes[measured]])
    there = ~np.isnan(parts)
    sums = np.where(there, parts, 0.0).sum(axis=1)
    return sums / np.maximum(there.sum(axis=1), 1), parts


def usual_amounts(
    amount: Floats, codes: Ints, counted: Bools, configured: float, support: float
) -> Floats:
    """Give the usual amount of each code, `(codes,)`; that of code 0 is the configured one.

    Args:
        amount: Of each episode, `(episodes,)`.
        codes: Of each episode, `(episodes,)`.
        counted: Episodes that tell what is usual, `(episodes,)`.
        configured: Usual amount where nothing tells.
        support: Episodes that it weighs as much as.
    """
    size = int(codes.max(initial=0)) + 1
    count = np.bincount(codes[counted], minlength=size)
    # Averaged before it is weighed: a sum of huge amounts would be infinite.
    scale = np.maximum(count, 1)[codes[counted]]
    mean = np.bincount(codes[counted], amount[counted] / scale, minlength=size)
    told = count / np.where(count + support > 0, count + support, 1.0)
    usual = told * mean + (1.0 - told) * configured
    return np.asarray(usual, dtype=np.float64)


def share(amount: Floats, usual: Floats) -> Floats:
    """Give `amount / (amount + usual)`; 0 for nothing, also where nothing is usual.

    It stays below 1 for an amount so large that the sum rounds to it, or would be infinite.
    """
    larger = np.maximum(amount, usual)
    larger = np.where(larger > 0, larger, 1.0)
    part = (amount / larger) / np.where(amount > 0, amount / larger + usual / larger, 1.0)
    return np.minimum(part, np.nextafter(1.0, 0.0))
