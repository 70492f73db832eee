"""The trend over nights as an inline SVG drawing."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 460, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 16, 30, 34


class Point(NamedTuple):
    """One night on the chart; fractions in [0, 1]."""

    night: str
    greedy: float
    low: float
    high: float
    sampled: float
    logged: float


def draw_trend(points: list[Point], title: str) -> str:
    """Draw success over nights: greedy with its interval, sampled, and the logged agent.

    Args:
        points: One a night, oldest first.
        title: Heading of the chart.

    Returns:
        An `<svg>` element; its colours come from the page's CSS variables.
    """
    xs = [_x(i, len(points)) for i in range(len(points))]
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text x="{LEFT}" y="16" class="title">{escape(title)}</text>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" class="axis end">{share:.0%}</text>')
    if points:
        parts.append(_band(xs, points))
        parts.append(_line(xs, [p.logged for p in points], "logged"))
        parts.append(_line(xs, [p.sampled for p in points], "sampled"))
        parts.append(_line(xs, [p.greedy for p in points], "greedy"))
    for x, point in zip(xs, points, strict=True):
        label = f"{point.night}: {point.greedy:.1%} [{point.low:.1%}, {point.high:.1%}]"
        parts.append(
            f'<circle cx="{x}" cy="{_y(point.greedy)}" r="4" class="dot">'
            f"<title>{escape(label)}</title></circle>"
        )
        parts.append(
            f'<text x="{x}" y="{_y(point.high) - 7}" class="axis middle">{point.greedy:.0%}</text>'
        )
        name = escape(point.night[5:])
        parts.append(f'<text x="{x}" y="{HEIGHT - 12}" class="axis middle">{name}</text>')
    return "".join([*parts, "</svg>"])


def _x(index: int, count: int) -> float:
    """Place a night; a single one stands in the middle."""
    width = WIDTH - LEFT - RIGHT
    return round(LEFT + width * (index + 0.5) / count, 1)


def _y(share: float) -> float:
    """Place a fraction."""
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)


def _line(xs: list[float], values: list[float], kind: str) -> str:
    """Draw a line; one value alone becomes a dash."""
    if len(xs) == 1:
        xs, values = [xs[0] - 40, xs[0] + 40], values * 2
    path = " ".join(f"{x},{_y(v)}" for x, v in zip(xs, values, strict=True))
    return f'<polyline points="{path}" class="{kind}"/>'


def _band(xs: list[float], points: list[Point]) -> str:
    """Draw the interval as a band."""
    if len(xs) == 1:
        xs, points = [xs[0] - 40, xs[0] + 40], points * 2
    upper = [f"{x},{_y(p.high)}" for x, p in zip(xs, points, strict=True)]
    lower = [f"{x},{_y(p.low)}" for x, p in zip(xs, points, strict=True)]
    return f'<polygon points="{" ".join([*upper, *reversed(lower)])}" class="band"/>'
