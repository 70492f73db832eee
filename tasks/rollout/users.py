"""The demo's simulated users: what they do after an answer, which is all that production shows.

They notice a wrong answer often, not always, and say so in ways that also happen after right ones.
The rates are the demo's own; that labelling recovers what each signal is worth is for it to show.
"""

from __future__ import annotations

from typing import Any

import numpy as np

RATES = {
    "export": (0.60, 0.24),
    "reask": (0.08, 0.30),
    "complaint": (0.02, 0.12),
    "thumbs_up": (0.10, 0.04),
    "thumbs_down": (0.02, 0.08),
    "verified": (0.05, 0.05),
}
"""Signal -> chance after a right answer, chance after a wrong one."""


def react(right: bool, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Say what one user does after one answer.

    Args:
        right: Whether the answer was right; users act on it, the log does not hold it.
        rng: Source of their moods.

    Returns:
        Feedback events without ids and times, in the order they happen. `outcome` comes from a
        verifier that checks a small share of all answers.
    """
    happens = {name: bool(rng.random() < rate[not right]) for name, rate in RATES.items()}
    events: list[dict[str, Any]] = [
        {"kind": kind, "value": 1, "source": "user"}
        for kind in ("export", "reask", "complaint")
        if happens[kind]
    ]
    if happens["thumbs_up"] or happens["thumbs_down"]:
        value = 1 if happens["thumbs_up"] else 0
        events.append({"kind": "thumbs", "value": value, "source": "user"})
    if happens["verified"]:
        events.append({"kind": "outcome", "value": int(right), "source": "verifier"})
    return events
