"""The label stage: weigh the evidence on each episode that is new or has heard something new."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.config import FlywheelConfig
from schemas.digest import digest
from schemas.errors import MissingStateError
from schemas.label_config import LabelConfig
from schemas.progress import report
from tasks.label.facts import Facts, Steps, add_message_evidence, mark, read_facts, read_steps
from tasks.label.outcome import VERIFIED_SUCCESS
from tasks.label.reliability import (
    Bools,
    Reliability,
    expected_calibration_error,
    learn,
    left_out,
)
from tasks.label.rows import label_rows
from tasks.label.signals import KINDS
from tasks.label.tripwires import RISKY, tripwires
from warehouse.tables import Warehouse

METHOD = "2"
"""Version of the labelling code; raised when the same evidence would come to another label."""
DECISION_GAP = 0.5
"""Difference of mean composite return that makes a state a decision point."""
DECISION_SUPPORT = 2
"""Episodes an action needs to count as supported."""


def label_version_of(config: LabelConfig) -> str:
    """Digest the labelling configuration and code version."""
    return digest(f"{METHOD}:{config.model_dump_json()}", 16)


def label(config: FlywheelConfig, *, night: str, clock: Callable[[], datetime]) -> dict[str, Any]:
    """Label new episodes, and those whose evidence has changed; labels are only ever added.

    Args:
        config: The configuration; tables are under its home.
        night: The night for the `night_counts` of the result.
        clock: Gives the current UTC time.

    Returns:
        Counts over all labels as they stand now, what this call labelled, and the tables'
        versions.

    Raises:
        MissingStateError: There are no episodes.
    """
    warehouse = Warehouse(config.home)
    if not warehouse.exists("episodes"):
        raise MissingStateError(
            f"no episodes under {config.home}", "Run `flywheel ingest PATH` first."
        )
    version = label_version_of(config.label)
    report("label", 0, 3, "evidence")
    facts = read_facts(warehouse)
    revision, digests = recall(warehouse, facts)
    fresh = [digest(f"{version};{heard}", 16) for heard in facts.heard]
    changed = np.array([new != old for new, old in zip(fresh, digests, strict=True)], dtype=bool)
    wanted = np.flatnonzero(changed)
    report("label", 1, 3, f"{len(wanted)} episodes")
    steps = look_at_messages(warehouse, facts, wanted)
    reliability = learn_all(facts, config.label)
    if len(wanted):
        about: dict[str, list[Any]] = {
            "label_version": [version] * len(wanted),
            "labelled_at": [clock()] * len(wanted),
            "revision": [revision[i] + 1 for i in wanted],
            "evidence_digest": [fresh[i] for i in wanted],
        }
        rows = label_rows(facts.take(wanted), steps, reliability, config.label, about)
        said = ",".join(f"{facts.episode_id[i]}:{revision[i]}:{fresh[i]}" for i in wanted)
        warehouse.append("labels", rows, transaction=f"label:{digest(said, 16)}")
    report("label", 2, 3, "summary")
    result = summary(warehouse, facts, reliability, config.label, night)
    report("label", 3, 3)
    return result | {
        "labelled": len(wanted), "label_version": version, "tables": warehouse.versions()
    }  # fmt: skip


def recall(warehouse: Warehouse, facts: Facts) -> tuple[list[int], list[str]]:
    """Give each episode's last revision (-1: none) and evidence digest.

    What its messages showed when it was labelled is marked in `facts`.
    """
    table = warehouse.sql("known_labels")
    index = {name: i for i, name in enumerate(facts.episode_id)}
    revision, digests = [-1] * len(index), [""] * len(index)
    kinds: list[list[str]] = [[] for _ in index]
    for row in table.to_pylist():
        place = index[row["episode_id"]]
        revision[place], digests[place] = row["revision"], row["evidence_digest"]
        kinds[place] = row["kinds"]
    mark(facts.evidence, kinds)
    return revision, digests


def look_at_messages(warehouse: Warehouse, facts: Facts, wanted: npt.NDArray[np.int64]) -> Steps:
    """Read the steps of the wanted episodes and complete their evidence in `facts`."""
    part = facts.take(wanted)
    steps = read_steps(warehouse, part.episode_id)
    add_message_evidence(part, steps)
    facts.evidence[wanted] = part.evidence
    return steps


def verified_part(facts: Facts) -> tuple[Bools, Bools]:
    """Give the evidence on the verified episodes, and whether each succeeded."""
    verified = ~np.isnan(facts.outcome) & ~facts.broken
    return facts.evidence[verified], facts.outcome[verified] >= VERIFIED_SUCCESS


def learn_all(facts: Facts, config: LabelConfig) -> Reliability:
    """Learn from every verified episode what the kinds of evidence weigh."""
    evidence, outcome = verified_part(facts)
    return learn(evidence, outcome, smoothing=config.smoothing, prior=config.prior_log_odds)


def summary(
    warehouse: Warehouse,
    facts: Facts,
    reliability: Reliability,
    config: LabelConfig,
    night: str,
) -> dict[str, Any]:
    """Give the account of all labels as they stand now."""
    nights = warehouse.sql("label_summary", risky=RISKY).to_pylist()
    sums = {
        name: sum(row[name] or 0 for row in nights)
        for name in (nights[0] if nights else {})
        if name != "night"
    }
    evidence, outcome = verified_part(facts)
    predicted, actual = left_out(
        evidence, outcome, smoothing=config.smoothing, prior=config.prior_log_odds
    )
    ece = expected_calibration_error(predicted, actual)
    points = warehouse.sql(
        "decision_points", gap=DECISION_GAP, support=DECISION_SUPPORT
    ).to_pylist()[0]
    states = ("episodes", "success", "failure", "unlabelled", "infrastructure_errors")
    own = next((row for row in nights if row["night"] == night), dict.fromkeys(states, 0))
    labelled = sums["labelled"]
    return {
        **{name: sums[name] for name in states},
        "night_counts": {name: own[name] for name in states},
        "by_source": {tier: sums[tier] for tier in ("outcome", "feedback", "implicit")},
        "terms": {
            term: sums[f"{term}_sum"] / labelled if labelled else None
            for term in ("success", "cost", "risk", "total")
        },
        "calibration": {"ece": ece, "n": len(predicted)},
        "decision_points": points["decision_points"],
        "decision_points_with_support": points["decision_points_with_support"],
        "tripwires": tripwires(sums),
        "reliability": {
            kind.name: {"default": kind.log_odds, "learnt": float(reliability.weights[i])}
            for i, kind in enumerate(KINDS)
            if reliability.shown[:, i].any()
        },
    }  # fmt: skip
