"""Bar charts as SVG files: histograms of a build, readable on a white and on a black page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tasks.drawing import POINT, Sheet, text

SHEET = Sheet(width=480, height=220, left=52, right=14, top=34, bottom=40)
COLOURS = {
    "success": "fill:var(--good,#2f9e69)",
    "failure": "fill:var(--bad,#d9605a)",
}
"""Colours of series by name; any other series has the colour of a point."""
LABELS = 14
"""Most labels below the bars; of more bars, only some are labelled."""

TENTHS = [f".{place}" for place in range(10)]
Rows = Sequence[Mapping[str, Any]]


def plots(confidence: Rows, sizes: Rows, scenarios: Rows) -> dict[str, str]:
    """Draw what there is to draw of a build.

    Args:
        confidence: Rows of `card_confidence`.
        sizes: Rows of `card_sizes`.
        scenarios: Rows of `card_scenarios`.

    Returns:
        File name to SVG, in the order of the card.
    """
    drawn = {}
    if confidence:
        sides = {side: _binned(confidence, side) for side in ("success", "failure")}
        title = "Episodes by confidence of the label"
        drawn["confidence.svg"] = bar_chart(title, TENTHS, sides)
    for size in sizes:
        bins = size["bins"]
        first = next((place for place, n in enumerate(bins) if n), 0)
        labels = [doubling(place) for place in range(first, len(bins))]
        title = f"Episodes by {size['measure']} (each bar from twice the last)"
        drawn[f"{size['measure']}.svg"] = bar_chart(title, labels, {"": bins[first:]})
    if scenarios:
        numbers = {"": _binned(scenarios, "scenarios")}
        drawn["pass_rate.svg"] = bar_chart("Scenarios by pass rate", TENTHS, numbers)
    return drawn


def doubling(place: int) -> str:
    """Write the least number of a bin of 0, of 1, of 2 to 3, of 4 to 7, ...; 4096 is 4k."""
    least = 2 ** (place - 1) if place else 0
    for unit, size in (("M", 2**20), ("k", 2**10)):
        if least >= size:
            return f"{least // size}{unit}"
    return str(least)


def bar_chart(title: str, labels: Sequence[str], series: Mapping[str, Sequence[int]]) -> str:
    """Draw a bar chart; several series are stacked.

    Args:
        title: Heading of the chart.
        labels: What stands below each bar, `(bars,)`.
        series: Name of each series to its heights, none below 0, `(bars,)` each.

    Returns:
        An `<svg>` element that stands alone, in a page or in a file of its own.
    """
    highest = max((sum(parts) for parts in zip(*series.values(), strict=True)), default=0)
    top = nice(highest)
    drawn = [*_grid(top), *_bars(labels, series, top), *_below(labels), *_key(series)]
    return "".join([SHEET.opened(title), *drawn, "</svg>\n"])


def nice(highest: int) -> int:
    """Give the least number from 4, 10, 20, 40, 100, ... that is not below the highest bar.

    All of them have round quarters or halves.
    """
    top = 4
    factors = (2.5, 2, 2)
    turn = 0
    while top < highest:
        top = round(top * factors[turn % 3])
        turn += 1
    return top


def _binned(rows: Rows, column: str) -> list[int]:
    """Put the numbers of a column into ten bins."""
    numbers = {row["bin"]: row[column] for row in rows}
    return [numbers.get(place, 0) for place in range(10)]


def _grid(top: int) -> list[str]:
    """Draw the lines and the numbers at them."""
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = SHEET.y(share)
        parts += [
            SHEET.line(y),
            text(SHEET.left - 8, y + 4, "end", f"{round(top * share):,}"),
        ]
    return parts


def _bars(labels: Sequence[str], series: Mapping[str, Sequence[int]], top: int) -> list[str]:
    """Draw the bars, one series on top of the other; each tells its number when pointed at."""
    parts = []
    for place, label in enumerate(labels):
        left, right = SHEET.x(place / len(labels)), SHEET.x((place + 1) / len(labels))
        below = 0
        for name, heights in series.items():
            number = heights[place]
            if number:
                y, foot = SHEET.y((below + number) / top), SHEET.y(below / top)
                told = f"{label}: {number:,} {name}".rstrip()
                style = COLOURS.get(name, POINT)
                parts.append(
                    f'<rect x="{round(left + 1.5, 1)}" y="{y}" width="{round(right - left - 3, 1)}"'
                    f' height="{round(max(foot - y, 0.7), 1)}" style="{style}">'
                    f"<title>{escape(told)}</title></rect>"
                )
            below += number
    return parts


def _below(labels: Sequence[str]) -> list[str]:
    """Write what the bars stand for; of many, every second, third, ..."""
    every = -(-len(labels) // LABELS) or 1
    under = SHEET.height - SHEET.bottom + 16
    return [
        text(SHEET.x((place + 0.5) / len(labels)), under, "middle", label)
        for place, label in enumerate(labels)
        if place % every == 0
    ]


def _key(series: Mapping[str, Sequence[int]]) -> list[str]:
    """Name the colours where there is more than one."""
    parts = []
    for place, name in enumerate(series if len(series) > 1 else ()):
        x = SHEET.left + 90 * place
        style = COLOURS.get(name, POINT)
        parts += [
            f'<rect x="{x}" y="{SHEET.height - 15}" width="10" height="10" style="{style}"/>',
            text(x + 15, SHEET.height - 6, "start", name),
        ]
    return parts
