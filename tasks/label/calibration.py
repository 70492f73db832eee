"""Calibration: how often episodes succeed that were predicted to, in ten bins of equal width.

Bins hold sums only, so that those of several nights add up, and what was counted can be taken back.
"""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from tasks.drawing import POINT, Sheet, text
from tasks.label.block import Bools, Floats

BINS = 10
TITLE = "Predicted against verified"
SHEET = Sheet(width=348, height=300, left=46, right=22, top=30, bottom=40)
BAR_SHARE = 0.3
"""Part of the drawing's height that the bar of the fullest bin takes."""


def bins(predicted: Floats, succeeded: Bools) -> Floats:
    """Put predictions into bins.

    Args:
        predicted: Success probabilities, `(episodes,)`; those that are NaN are left out.
        succeeded: Whether each succeeded, `(episodes,)`.

    Returns:
        Of each bin: number, sum of predicted, sum of observed, `(10, 3)`. A bin holds its lower
        edge; the last holds 1 as well.
    """
    known = ~np.isnan(predicted)
    value, observed = predicted[known], succeeded[known].astype(np.float64)
    index = np.minimum((value * BINS).astype(np.int64), BINS - 1)
    sums = [np.bincount(index, part, BINS) for part in (np.ones(len(value)), value, observed)]
    return np.stack(sums, axis=1)


def expected_calibration_error(counted: Floats) -> float | None:
    """Give the mean gap between predicted and observed success, weighted by the bins' sizes.

    Args:
        counted: Bins as made by `bins`, `(10, 3)`.

    Returns:
        Fraction in [0, 1]; None without predictions.

    Source: Guo et al., "On Calibration of Modern Neural Networks" (2017), equation 3.
    """
    total = counted[:, 0].sum()
    if total <= 0:
        return None
    return float(np.abs(counted[:, 1] - counted[:, 2]).sum() / total)


def reliability_table(counted: Floats) -> list[dict[str, Any]]:
    """List the bins: `from`, `to`, `n`, mean `predicted` and `observed`; None where a bin is empty.

    Args:
        counted: Bins as made by `bins`, `(10, 3)`.
    """
    return [
        {
            "from": index / BINS,
            "to": (index + 1) / BINS,
            "n": round(n),
            "predicted": float(predicted / n) if n > 0 else None,
            "observed": float(observed / n) if n > 0 else None,
        }
        for index, (n, predicted, observed) in enumerate(counted.tolist())
    ]


def plot(counted: Floats) -> str:
    """Draw a reliability diagram: a point a bin, the diagonal of perfect calibration, bars of n.

    Args:
        counted: Bins as made by `bins`, `(10, 3)`.

    Returns:
        An `<svg>` element that stands alone, in a page or in a file of its own.

    Source: reliability diagrams, DeGroot and Fienberg, "The Comparison and Evaluation of
        Forecasters" (1983).
    """
    error = expected_calibration_error(counted)
    title = TITLE if error is None else f"{TITLE} (ECE {error:.1%})"
    return "".join([SHEET.opened(title), *_axes(), *_bars(counted), *_points(counted), "</svg>"])


def _axes() -> list[str]:
    """Draw the grid, the numbers at it and the diagonal."""
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = SHEET.y(share)
        parts += [
            SHEET.line(y),
            text(SHEET.left - 8, y + 4, "end", f"{share:.0%}"),
            text(SHEET.x(share), SHEET.height - SHEET.bottom + 16, "middle", f"{share:.0%}"),
        ]
    diagonal = (
        f'<line x1="{SHEET.x(0)}" x2="{SHEET.x(1)}" y1="{SHEET.y(0)}" y2="{SHEET.y(1)}"'
        ' stroke-dasharray="4 4" style="stroke:var(--soft,#7d8797)"/>'
    )
    below = "across: predicted; up: verified; bars: number"
    return [*parts, diagonal, text(SHEET.x(0.5), SHEET.height - 6, "middle", below)]


def _bars(counted: Floats) -> list[str]:
    """Draw how many predictions each bin holds, against the fullest."""
    most = counted[:, 0].max()
    parts = []
    for row in reliability_table(counted):
        if row["n"] > 0:
            x, y = SHEET.x(row["from"]), SHEET.y(BAR_SHARE * row["n"] / most)
            width, height = round(SHEET.x(row["to"]) - x - 2, 1), round(SHEET.y(0) - y, 1)
            parts.append(
                f'<rect x="{round(x + 1, 1)}" y="{y}" width="{width}" height="{height}" '
                f'style="{POINT}" opacity="0.18"/>'
            )
    return parts


def _points(counted: Floats) -> list[str]:
    """Draw what became of the predictions of each bin."""
    parts = []
    for row in reliability_table(counted):
        if row["n"] > 0:
            told = f"{row['n']:,}: predicted {row['predicted']:.1%}, verified {row['observed']:.1%}"
            parts.append(
                f'<circle cx="{SHEET.x(row["predicted"])}" cy="{SHEET.y(row["observed"])}" r="4" '
                f'style="{POINT}"><title>{escape(told)}</title></circle>'
            )
    return parts
