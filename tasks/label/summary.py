"""The account that the label stage gives, as `flywheel label --json` prints it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.label.calibration import expected_calibration_error, reliability_table
from tasks.label.tally import SOURCES, STATES, TERMS, summed

COUNTED = ("episodes", *STATES)


def summary(labelling: Mapping[str, Any], night: str) -> dict[str, Any]:
    """Give the account of all labels as they stand after a run.

    Args:
        labelling: The run's row of `labellings`.
        night: The night whose own episodes are counted apart.
    """
    totals = Counter({(t["night"], t["name"]): t["value"] for t in labelling["totals"]})
    sums = summed(totals)
    own = summed(totals, night)
    labelled = sums.get("labelled", 0)
    bins = np.array([[b["n"], b["predicted"], b["observed"]] for b in labelling["calibration"]])
    return {
        **counts(sums),
        "night_counts": counts(own),
        "by_source": {name: whole(sums, f"by_{name}") for name in SOURCES},
        "terms": {
            term: sums.get(f"{term}_sum", 0.0) / labelled if labelled else None for term in TERMS
        },
        "calibration": {
            "ece": expected_calibration_error(bins),
            "n": int(bins[:, 0].sum()),
            "bins": reliability_table(bins),
        },
        "decision_points": labelling["decision_points"],
        "decision_points_with_support": labelling["decision_points_with_support"],
        "tripwires": labelling["tripwires"],
        "reliability": {
            kind["kind"]: {
                "default": kind["default"],
                "learnt": kind["weight"],
                "successes": kind["successes"],
                "failures": kind["failures"],
            }
            for kind in labelling["kinds"]
            if kind["successes"] + kind["failures"] > 0
        },
    }


def counts(sums: Mapping[str, float]) -> dict[str, int]:
    """Give the numbers of episodes and of their states."""
    return {name: whole(sums, name) for name in COUNTED}


def whole(sums: Mapping[str, float], name: str) -> int:
    """Give a count as a whole number."""
    return round(sums.get(name, 0))
