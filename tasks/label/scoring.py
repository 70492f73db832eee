"""Let the reward model label what nothing else has labelled, in labels of their own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.config import FlywheelConfig
from tasks.label.evidence import joined, pieces, unfolded
from tasks.label.found import Found, Praise
from tasks.label.modelled import MODELLED
from tasks.label.past import NO_LABELS, labels_of
from tasks.label.reward_model import Scored, score_unlabelled
from tasks.label.tally import column
from warehouse.tables import Warehouse


def scored_found(
    config: FlywheelConfig, warehouse: Warehouse, night: str, clock: Callable[[], datetime]
) -> tuple[Found | None, dict[str, Any]]:
    """Ask the reward model about unlabelled episodes.

    Returns:
        Their labels with what it says as new evidence, None where it says nothing; and the account
        for the result.
    """
    scored = score_unlabelled(config, night, clock=clock)
    account = {"reward_model": account_of(scored)}
    if not scored.episode_id:
        return None, account
    episodes = pa.table({"episode_id": scored.episode_id})
    labels = labels_of(warehouse, episodes, warehouse.files("labels"))
    said = scored.probability[labels["place"].to_numpy()]
    rows = np.arange(labels.num_rows)
    known = unfolded(column(labels, "evidence"), rows)
    # What the same model has said before is not said again.
    told = pc.unique(pa.array(known.row).filter(pc.equal(known.source, scored.source)))
    new = np.setdiff1d(rows, told.to_numpy())
    if not len(new):
        return None, account
    labels = labels.take(pa.array(new))
    rows = np.arange(len(new))
    evidence = [
        unfolded(column(labels, "evidence"), rows),
        pieces(rows, MODELLED, scored.source, said[new]),
    ]
    nobody = np.zeros(0, np.int64)
    found = Found(
        None,
        labels,
        NO_LABELS,
        joined(evidence),
        pa.array(column(labels, "revision").to_numpy() + 1),
        Praise(nobody, nobody),
    )
    return found, account


def account_of(scored: Scored) -> dict[str, Any]:
    """Say in the result what the reward model did."""
    return {
        "state": scored.state,
        "reason": scored.reason,
        "scored": len(scored.episode_id),
        "ece": scored.ece,
        "auc": scored.auc,
        "n": scored.n_held_out,
        "pairs": scored.pairs,
        "seconds": scored.seconds,
    }
