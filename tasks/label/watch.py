"""What tripwires are shown of a run: its new episodes, and who gave their positive feedback."""

from __future__ import annotations

from typing import Any

import msgspec

from tasks.label.found import Found
from tasks.label.hearing import codes
from tasks.label.standing import Standing
from tasks.label.tripwires import Night, tripped
from tasks.label.weighing import Weighed


def watched(
    found: Found, weighed: Weighed, standing: Standing
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """List the tripwires that a run's new episodes touched, and the means to keep.

    A run without new episodes touches none.
    """
    if found.fresh is None:
        return [], dict(standing.means)
    fresh, judged = found.fresh, weighed.judged
    count = fresh.size
    night = Night(
        *fresh.watched,
        state=judged.verdicts.state[:count],
        outcome=judged.outcome[:count],
        predicted=judged.predicted[:count],
        source=codes(fresh.about["source_file"]),
        scenario=codes(fresh.about["scenario_id"]),
        user=found.praise.user,
        session=found.praise.session,
    )
    wires, means = tripped(night, standing.means)
    return [msgspec.to_builtins(wire) for wire in wires], means
