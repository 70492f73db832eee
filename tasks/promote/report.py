"""The report of a night: one self-contained HTML page and the same figures as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, select_autoescape

from schemas.config import FlywheelConfig
from schemas.errors import MissingStateError
from tasks.label.calibration import plot
from tasks.ledger import Ledger, nights, read_object
from tasks.promote.night import Night, interval_text, percent, summary_of_night
from tasks.promote.pairs_page import write_pairs_page
from tasks.promote.trend import Point, draw_trend

SPLITS = {"frozen_params": "unseen parameters", "frozen_compositions": "unseen compositions"}
"""Split in the tables -> how the report calls it."""


def write_report(config: FlywheelConfig, night: str) -> Path:
    """Write `report.html` and `report.json` into the night's run folder, and the page of its pairs.

    Args:
        config: Where the home is.
        night: Night with a decision.

    Returns:
        Path of the page.

    Raises:
        MissingStateError: The night has no decision yet.
    """
    ledger = Ledger(config, night)
    tonight = summary_of_night(ledger)
    history = _decided(config, night)
    lineage = read_object(ledger.folder / "lineage.json") or {}
    links = links_of(config, night, tonight.build.get("digest"))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(["j2"]),
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"percent": percent, "interval": interval_text}
    page = environment.get_template("report.html.j2").render(
        night=tonight, history=history, lineage=lineage, splits=SPLITS,
        model_name=config.promote.model_name, home=str(config.home), links=links,
        calibration=calibration_of(tonight),
        charts={split: draw_trend(_points(history, split), title)
                for split, title in SPLITS.items()},
    )  # fmt: skip
    target = ledger.folder / "report.html"
    target.write_text(page)
    facts = {**tonight._asdict(), "lineage": lineage, "nights": [n.night for n in history]}
    (ledger.folder / "report.json").write_text(json.dumps(facts, indent=1))
    return target


def calibration_of(night: Night) -> str:
    """Draw how predictions held against verified outcomes; nothing where none were made."""
    bins = night.label.get("calibration", {}).get("bins", [])
    sums = np.array(
        [[b["n"], b["n"] * (b["predicted"] or 0.0), b["n"] * (b["observed"] or 0.0)] for b in bins]
    )
    return plot(sums) if len(sums) and sums[:, 0].sum() else ""


def links_of(config: FlywheelConfig, night: str, build: str | None) -> dict[str, str]:
    """Give the addresses of `pairs` and `card` beside the report, of those that are there."""
    links = {}
    if build and write_pairs_page(config, night, build):
        links["pairs"] = "pairs.html"
    if build and (config.home / "builds" / build / "card.md").is_file():
        links["card"] = f"../../builds/{build}/card.md"
    return links


def _decided(config: FlywheelConfig, last: str) -> list[Night]:
    """Gather every decided night up to one."""
    found = []
    for night in nights(config):
        if night <= last:
            try:
                found.append(summary_of_night(Ledger(config, night)))
            except MissingStateError:
                continue  # a night that stopped half-way has no row yet
    return found


def _points(history: list[Night], split: str) -> list[Point]:
    """Give the winner's greedy and sampled success a night, beside the logged agent's."""
    return [
        Point(night.night, *_figures(night.models[night.winner], split), _logged(night, split))
        for night in history
    ]


def _figures(model: dict[str, Any], split: str) -> tuple[float, float, float, float]:
    found = model["splits"].get(split)
    if not found:
        return 0.0, 0.0, 0.0, 0.0
    low, high = found["ci95"]
    return found["pass_at_1"], low, high, found["sampled"]


def _logged(night: Night, split: str) -> float:
    found = night.models["logged_agent"]["splits"].get(split)
    return float(found["pass_at_1"]) if found else 0.0
