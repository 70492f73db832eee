"""Lineage through models: who learned from data that an earlier version had seen."""

from __future__ import annotations

from warehouse.lineage import descendants


def test_a_model_learns_through_the_version_it_was_trained_from() -> None:
    starts = {"1": None, "2": "1", "3": "2", "4": None}
    assert descendants(starts, {"1"}) == {"1", "2", "3"}
    assert descendants(starts, {"3"}) == {"3"}
    assert descendants(starts, set()) == set()
