"""What a reward model says of episodes: taken where nothing else decides."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from schemas.label_config import LabelConfig
from tasks.label.block import Bools, Floats
from tasks.label.evidence import Pieces
from tasks.label.verdicts import STATES, TIERS, Verdicts

MODELLED = "reward_model"
"""The kind of what it says: no column of the matrix, for it brings its own weight."""
DECIDED = (*TIERS, MODELLED)
"""Deciding tiers by code."""


def modelled(found: Pieces, rows: int) -> Floats:
    """Give what a reward model last said of each episode, NaN where it said nothing."""
    said = np.full(rows, np.nan)
    pieces = np.flatnonzero(pc.equal(found.kind, MODELLED).to_numpy(zero_copy_only=False))
    said[found.row[pieces]] = found.value[pieces]
    return said


def with_model(made: Verdicts, said: Floats, broken: Bools, config: LabelConfig) -> Verdicts:
    """Take a reward model's word where nothing else decides."""
    success = said >= config.success_above
    failure = said <= config.failure_below
    taken = (made.state == STATES.index("unlabelled")) & ~broken & (success | failure)
    state, decided = made.state.copy(), made.decided_by.copy()
    state[taken & success] = STATES.index("success")
    state[taken & failure] = STATES.index("failure")
    decided[taken] = DECIDED.index(MODELLED)
    return made._replace(
        success=np.where(taken, said, made.success),
        confidence=np.where(taken, np.abs(2 * said - 1), made.confidence),
        state=state,
        decided_by=decided,
    )


def log_odds_of(found: Pieces, made: Verdicts) -> Floats:
    """Give what each piece weighs where the model decides (log-odds), 0 for all others."""
    weight = np.zeros(found.size)
    said = pc.equal(found.kind, MODELLED).to_numpy(zero_copy_only=False)
    decides = said & (made.decided_by[found.row] == DECIDED.index(MODELLED))
    value = np.clip(found.value[decides], 1e-6, 1 - 1e-6)
    weight[decides] = np.log(value / (1 - value))
    return weight
