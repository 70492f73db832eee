"""Weigh all evidence that was found: learn from verified outcomes, then judge each episode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas.label_config import LabelConfig
from tasks.label.block import Bools, Floats
from tasks.label.calibration import bins
from tasks.label.evidence import Pieces, matrix, outcomes, weighed
from tasks.label.found import Found
from tasks.label.modelled import log_odds_of, modelled, with_model
from tasks.label.rows import Judged, Terms, returns_under
from tasks.label.signals import Kind
from tasks.label.standing import Standing
from tasks.label.tally import told
from tasks.label.verdicts import VERIFIED_LOG_ODDS, VERIFIED_SUCCESS, Verdicts, verdicts
from tasks.label.weights import Counts, Weights, count, left_out, weigh

BLOCK = 65_536
"""Episodes weighed at once."""


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

    Labels that new ones take the place of are taken back from what was counted before. Episodes
    are looked at a block at a time: the matrix of evidence of a million would take long rows of
    mostly zeros.
    """
    outcome = outcomes(found.evidence, len(found.revision))
    verified = verified_of(outcome, terms.broken)
    before = told(pa.concat_tables([found.older, found.gone]), kinds)
    counts = standing.counts - before.counts
    for block in blocks(found.evidence, verified):
        share = matrix(block.found, block.size, kinds)[verified[block.rows]]
        counts = counts + count(share, succeeded(outcome, verified, block))
    weights = weigh(counts, kinds, config)
    parts, calibration = [], standing.bins - before.bins
    for block in blocks(found.evidence, verified):
        part = judge_block(block, outcome, terms.broken, counts, weights, config, kinds)
        parts.append(part)
        known = verified[block.rows]
        calibration = calibration + bins(part.predicted[known], succeeded(outcome, verified, block))
    made = Verdicts(*(np.concatenate(c) for c in zip(*[p.verdicts for p in parts], strict=True)))
    total, returns = returns_under(terms, made.success, config)
    judged = Judged(
        found.evidence,
        np.concatenate([part.weight for part in parts]),
        outcome,
        made,
        weights.prior,
        np.concatenate([part.predicted for part in parts]),
        total,
        returns,
    )
    return Weighed(judged, counts, weights, calibration)


class Stretch(NamedTuple):
    """Some episodes, one after the other, with their evidence by row in the block."""

    rows: slice
    size: int
    found: Pieces


class Part(NamedTuple):
    """What the evidence of a block came to."""

    verdicts: Verdicts
    """Without what each kind contributed: that is in `weight`, piece by piece."""
    weight: Floats
    predicted: Floats


def blocks(found: Pieces, verified: Bools) -> Iterator[Stretch]:
    """Cut episodes, and their evidence, which is in their order, into blocks; at least one."""
    for first in range(0, max(len(verified), 1), BLOCK):
        last = min(first + BLOCK, len(verified))
        start, end = np.searchsorted(found.row, [first, last])
        part = found.take(np.arange(start, end))
        yield Stretch(slice(first, last), last - first, part._replace(row=part.row - first))


def succeeded(outcome: Floats, verified: Bools, block: Stretch) -> Bools:
    """Say which verified episodes of a block succeeded."""
    return np.asarray(outcome[block.rows][verified[block.rows]] >= VERIFIED_SUCCESS, dtype=bool)


def judge_block(
    block: Stretch,
    outcome: Floats,
    broken: Bools,
    counts: Counts,
    weights: Weights,
    config: LabelConfig,
    kinds: tuple[Kind, ...],
) -> Part:
    """Judge the episodes of a block, and predict the verified ones without their outcome."""
    share = matrix(block.found, block.size, kinds)
    said, ended = outcome[block.rows], broken[block.rows]
    made = verdicts(share, said, ended, weights, kinds, config)
    made = with_model(made, modelled(block.found, block.size), ended, config)
    verified = verified_of(said, ended)
    predicted = np.full(block.size, np.nan)
    won = said[verified] >= VERIFIED_SUCCESS
    predicted[verified] = left_out(share[verified], won, counts, kinds, config)
    by_outcome = np.where(said >= VERIFIED_SUCCESS, VERIFIED_LOG_ODDS, -VERIFIED_LOG_ODDS)
    weight = weighed(block.found, made.contribution, kinds, by_outcome)
    weight += log_odds_of(block.found, made)
    return Part(made._replace(contribution=np.zeros((block.size, 0))), weight, predicted)


def verified_of(outcome: Floats, broken: Bools) -> Bools:
    """Say which episodes teach what evidence weighs."""
    return np.asarray(~np.isnan(outcome) & ~broken, dtype=bool)
