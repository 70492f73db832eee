"""The paper of small SVG charts: colours of the page around them, a frame, places and texts."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

INK = "fill:var(--ink,#7d8797)"
SOFT = "fill:var(--soft,#7d8797)"
LINE = "stroke:var(--line,#7d879766)"
POINT = "fill:var(--greedy,#5b84e0)"
"""Colours of the page around the drawing; where there is none, ones that show on white and black.
"""


class Sheet(NamedTuple):
    """A sheet and its margins, in pixels."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int

    def opened(self, title: str) -> str:
        """Begin an `<svg>` element that stands alone, with its title."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif" '
            f'font-size="11"><text x="{self.left}" y="16" style="{INK}" font-size="13" '
            f'font-weight="600">{escape(title)}</text>'
        )

    def line(self, y: float) -> str:
        """Draw a line of the grid."""
        ends = f'x1="{self.left}" x2="{self.width - self.right}"'
        return f'<line {ends} y1="{y}" y2="{y}" style="{LINE}"/>'

    def x(self, share: float) -> float:
        """Place a share of what lies between the left and the right margin."""
        return round(self.left + (self.width - self.left - self.right) * share, 1)

    def y(self, share: float) -> float:
        """Place a share of what lies between the lower and the upper margin."""
        return round(self.height - self.bottom - (self.height - self.top - self.bottom) * share, 1)


def text(x: float, y: float, anchor: str, said: str) -> str:
    """Write a text at an axis."""
    return f'<text x="{x}" y="{y}" style="{SOFT}" text-anchor="{anchor}">{escape(said)}</text>'
