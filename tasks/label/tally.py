"""What labels add up to: counts, sums, what verified ones have shown, and how they were predicted.

All of it is sums, so that a night adds its labels and takes back the ones they take the place of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.label.block import Bools, Floats
from tasks.label.calibration import bins
from tasks.label.evidence import matrix, outcomes, unfolded
from tasks.label.signals import Kind
from tasks.label.verdicts import VERIFIED_SUCCESS
from tasks.label.weights import Counts, count

Totals = Counter[tuple[str, str]]
"""(night, name) to a count or sum."""
STATES = ("success", "failure", "unlabelled", "infrastructure_errors")
SOURCES = ("outcome", "feedback", "implicit", "judge", "reward_model")
TERMS = ("success", "cost", "risk", "total")


class Told(NamedTuple):
    """What some labels add up to."""

    counts: Counts
    bins: Floats
    totals: Totals


def told(labels: pa.Table, kinds: Sequence[Kind]) -> Told:
    """Add up labels.

    Args:
        labels: Rows of the table `labels`, each episode's newest.
        kinds: The kinds of evidence.
    """
    rows = labels.num_rows
    found = unfolded(column(labels, "evidence"), np.arange(rows))
    outcome, broken = outcomes(found, rows), truths(labels, "infrastructure_error")
    verified = ~np.isnan(outcome) & ~broken
    succeeded = outcome[verified] >= VERIFIED_SUCCESS
    share = matrix(found, rows, kinds)
    return Told(
        count(share[verified], succeeded),
        bins(numbers(labels, "predicted")[verified], succeeded),
        totals_of(labels),
    )


def totals_of(labels: pa.Table) -> Totals:
    """Count labels by night: states, deciding tiers, and sums of the terms of labelled ones."""
    totals: Totals = Counter()
    broken = truths(labels, "infrastructure_error")
    state = labels["state"].to_numpy()
    by = {"episodes": np.ones(labels.num_rows)}
    for name in STATES[:3]:
        by[name] = (state == name) & ~broken
    by["infrastructure_errors"] = broken
    decided = labels["decided_by"].to_numpy()
    by |= {f"by_{name}": decided == name for name in SOURCES}
    total = numbers(labels, "total")
    known = ~np.isnan(total)
    by["labelled"] = known
    by |= {f"{name}_sum": np.where(known, numbers(labels, name), 0.0) for name in TERMS}
    nights = column(labels, "night").dictionary_encode()
    places = nights.indices.to_numpy()
    for name, values in by.items():
        sums = np.bincount(places, weights=values, minlength=len(nights.dictionary))
        for night, value in zip(nights.dictionary.to_pylist(), sums.tolist(), strict=True):
            totals[night, name] += value
    return totals


def column(table: pa.Table, name: str) -> pa.Array:
    """Give a column as one array."""
    return table[name].combine_chunks()


def numbers(table: pa.Table, name: str) -> Floats:
    """Give a column of floats; null becomes NaN."""
    values = column(table, name).cast(pa.float64())
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def truths(table: pa.Table, name: str) -> Bools:
    """Give a column of truth values; null is False."""
    values = pc.fill_null(column(table, name), False)
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=bool)


def summed(totals: Totals, night: str | None = None) -> dict[str, float]:
    """Sum totals over all nights, or give one night's."""
    result: dict[str, float] = {}
    for (when, name), value in totals.items():
        if night is None or when == night:
            result[name] = result.get(name, 0.0) + value
    return result
