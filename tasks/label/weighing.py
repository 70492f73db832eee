"""Weigh all evidence that was found: learn from verified outcomes, then judge each episode."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas.label_config import LabelConfig
from tasks.label.block import Bools, Floats
from tasks.label.calibration import bins
from tasks.label.evidence import matrix, outcomes
from tasks.label.found import Found
from tasks.label.modelled import modelled, with_model
from tasks.label.rows import Judged, Terms, returns_under
from tasks.label.signals import Kind
from tasks.label.standing import Standing
from tasks.label.tally import told
from tasks.label.verdicts import VERIFIED_SUCCESS, verdicts
from tasks.label.weights import Counts, Weights, count, left_out, weigh


class Weighed(NamedTuple):
    """What was learnt, and what the evidence came to."""

    judged: Judged
    counts: Counts
    """Of all verified episodes, those of this run included."""
    weights: Weights
    bins: Floats
    """Calibration over all of them."""


def weigh_up(
    found: Found, terms: Terms, standing: Standing, config: LabelConfig, kinds: tuple[Kind, ...]
) -> Weighed:
    """Learn what each kind weighs, and judge every episode that was found.

    Labels that new ones take the place of are taken back from what was counted before.
    """
    rows = len(found.revision)
    share = matrix(found.evidence, rows, kinds)
    outcome = outcomes(found.evidence, rows)
    verified = verified_of(outcome, terms.broken)
    succeeded = outcome[verified] >= VERIFIED_SUCCESS
    before = told(pa.concat_tables([found.older, found.gone]), kinds)
    counts = standing.counts - before.counts + count(share[verified], succeeded)
    weights = weigh(counts, kinds, config)
    made = verdicts(share, outcome, terms.broken, weights, kinds, config)
    made = with_model(made, modelled(found.evidence, rows), terms.broken, config)
    predicted = np.full(rows, np.nan)
    predicted[verified] = left_out(share[verified], succeeded, counts, kinds, config)
    total, returns = returns_under(terms, made.success, config)
    return Weighed(
        Judged(found.evidence, outcome, made, weights.prior, predicted, total, returns),
        counts,
        weights,
        standing.bins - before.bins + bins(predicted[verified], succeeded),
    )


def verified_of(outcome: Floats, broken: Bools) -> Bools:
    """Say which episodes teach what evidence weighs."""
    return np.asarray(~np.isnan(outcome) & ~broken, dtype=bool)
