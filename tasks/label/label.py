"""The label stage: weigh the evidence on each episode that is new or has heard something new."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa

from schemas.config import FlywheelConfig
from schemas.digest import digest
from schemas.errors import FlywheelError, MissingStateError
from schemas.label_config import LabelConfig
from schemas.progress import report
from tasks.label.commit import OvertakenError, Run, commit, step_values
from tasks.label.found import Found, find, still_waiting, what_is_new
from tasks.label.fresh import Reader
from tasks.label.hearing import Search
from tasks.label.judge.judge import check
from tasks.label.judging import judged_also
from tasks.label.past import NO_LABELS
from tasks.label.rows import Terms, both, kept_terms, label_rows, terms_of
from tasks.label.scoring import scored_found
from tasks.label.signals import kinds_of
from tasks.label.standing import Standing, anew, standing_of
from tasks.label.summary import summary
from tasks.label.watch import watched
from tasks.label.weighing import weigh_up
from warehouse.tables import Warehouse

METHOD = "3"
"""Version of the labelling code; raised when the same evidence would come to another label."""
ATTEMPTS = 3
"""Times a run begins again because another one labelled in the meantime."""
STAGES = 4
MOST = 262_144
"""New episodes that are labelled together, in one run of several; each takes some 3 KB of memory.
"""


def label_version_of(config: LabelConfig) -> str:
    """Digest the labelling configuration and code version."""
    return digest(f"{METHOD}:{config.model_dump_json()}", 16)


def label(
    config: FlywheelConfig,
    *,
    night: str,
    clock: Callable[[], datetime],
    everything: bool = False,
) -> dict[str, Any]:
    """Label new episodes, and those of which something new is heard; labels are only ever added.

    What it costs depends on what is new. Older labels keep the version they were made under.

    Args:
        config: The configuration; tables are under its home.
        night: The night for the `night_counts` of the result, `YYYY-MM-DD`.
        clock: Gives the current UTC time.
        everything: Label every episode anew, under this configuration.

    Returns:
        Counts over all labels as they stand now, what this call labelled, and the tables'
        versions (docs/labels.md).

    Raises:
        MissingStateError: There are no episodes.
        ConfigurationError: A rule, detector, reward or judge cannot be loaded.
        FlywheelError: Other runs kept labelling in the meantime.
    """
    warehouse = Warehouse(config.home)
    if not warehouse.exists("episodes"):
        raise MissingStateError(
            f"no episodes under {config.home}", "Run `flywheel ingest PATH` first."
        )
    done: dict[str, Any] | None = None
    attempts = 0
    while done is None or done["more"]:
        try:
            done = added(done, _label(config, warehouse, night, clock, everything))
        except OvertakenError as error:
            attempts += 1
            if attempts == ATTEMPTS:
                raise FlywheelError(
                    f"Other runs kept labelling in {config.home}.", "Run `flywheel label` again."
                ) from error
    del done["more"]
    return done


def added(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    """Add up what one call labelled in several runs; all other counts are of the labels there are.

    Tripwires are of each run; of one kind, those of the run that touched it most are told.
    """
    if before is None:
        return now
    wires = {wire["kind"]: wire for wire in before["tripwires"]}
    for wire in now["tripwires"]:
        known = wires.get(wire["kind"])
        if known is None or known["count"] < wire["count"]:
            wires[wire["kind"]] = wire
    return {
        **before,
        **now,
        "labelled": before["labelled"] + now["labelled"],
        "failed": before["failed"] + now["failed"],
        "tripwires": list(wires.values()),
    }


def _label(
    config: FlywheelConfig,
    warehouse: Warehouse,
    night: str,
    clock: Callable[[], datetime],
    everything: bool,
) -> dict[str, Any]:
    """Label once."""
    settings = config.label
    reader, kinds = Reader(settings), kinds_of(settings)
    if settings.judge:
        check(settings.judge)
    run = Run(night, clock(), label_version_of(settings), settings, kinds)
    report("label", 0, STAGES, "what is new")
    versions = warehouse.versions()
    everything = everything or before_credit(warehouse)
    standing = left_off(warehouse, run, everything)
    most = None if everything else MOST
    search = what_is_new(warehouse, standing, night, settings.signals, most)
    if standing.whole and standing.last and not (search.fresh or search.told):
        report("label", STAGES, STAGES)
        return result(warehouse, run, standing.last)
    found = find(
        warehouse, search, settings, kinds, reader, everything,
        lambda done: report("label", 0, STAGES, f"{done:,} episodes read"),
    )  # fmt: skip
    if not standing.whole:
        # What was counted anew has left out what is gone.
        found = found._replace(gone=NO_LABELS)
    report("label", 1, STAGES, f"{len(found.revision):,} episodes")
    terms = both(
        terms_of(found.fresh, reader.rules, settings) if found.fresh else None,
        kept_terms(found.older),
    )
    account: dict[str, Any] = {}
    if settings.judge and found.fresh:
        before = weigh_up(found, terms, standing, settings, kinds)
        evidence, account = judged_also(
            config, settings.judge, warehouse, search, found, found.fresh, before
        )
        found = found._replace(evidence=evidence)
    report("label", 2, STAGES, "tables")
    labelling = write(warehouse, run, versions, standing, found, terms, search, everything)
    more = search.until < versions["episodes"]
    account |= {
        "labelled": labelling["labelled"], "failed": failures_of(found), "more": more
    }  # fmt: skip
    if settings.reward_model and not more:
        modelled, said = scored_found(config, warehouse, night, clock)
        account |= said
        if modelled:
            labelling = write_again(warehouse, run, modelled)
    report("label", STAGES, STAGES)
    return result(warehouse, run, labelling) | account


def before_credit(warehouse: Warehouse) -> bool:
    """Say whether labels are of a release that kept neither states nor sources: all are made anew.

    Only a home where this release has labelled nothing yet is looked through.
    """
    if warehouse.exists("labellings") or not warehouse.exists("labels"):
        return False
    return bool(warehouse.sql("labels_without_credit")["labels"][0].as_py())


def left_off(warehouse: Warehouse, run: Run, everything: bool = False) -> Standing:
    """Read where the last run left off, or where one that labels everything anew begins."""
    kinds, gap, support = run.kinds, run.config.decision_gap, run.config.decision_support
    if everything:
        return anew(warehouse, kinds, gap, support)
    return standing_of(warehouse, kinds, gap, support, run.label_version)


def write(
    warehouse: Warehouse,
    run: Run,
    versions: Mapping[str, int],
    standing: Standing,
    found: Found,
    terms: Terms,
    search: Search | None = None,
    everything: bool = False,
) -> dict[str, Any]:
    """Weigh the evidence, write labels and what goes with them, and give the run's row."""
    weighed = weigh_up(found, terms, standing, run.config, run.kinds)
    rows = label_rows(terms, weighed.judged, about(run, found))
    values = step_values(warehouse, standing, found, terms, weighed, everything)
    tripped = watched(found, weighed, standing)
    waiting = still_waiting(standing, search, found)
    return commit(
        warehouse, run, versions, standing, found, weighed, rows, values, tripped, waiting,
        search.until if search else None,
    )  # fmt: skip


def write_again(warehouse: Warehouse, run: Run, modelled: Found) -> dict[str, Any]:
    """Write the labels that a reward model gives to episodes which the run left unlabelled."""
    versions = warehouse.versions()
    standing = left_off(warehouse, run)
    return write(warehouse, run, versions, standing, modelled, kept_terms(modelled.older))


def result(warehouse: Warehouse, run: Run, labelling: Mapping[str, Any]) -> dict[str, Any]:
    """Give the account of labels as they stand after a row of `labellings`."""
    return summary(labelling, run.night) | {
        "labelled": 0,
        "label_version": run.label_version,
        "failed": [],
        "more": False,
        "tables": warehouse.versions(),
    }


def about(run: Run, found: Found) -> dict[str, pa.Array]:
    """Give the columns that say which labels they are."""
    count = len(found.revision)
    return {
        "label_version": pa.repeat(run.label_version, count),
        "labelled_at": pa.repeat(pa.scalar(run.now, pa.timestamp("us", tz="UTC")), count),
        "revision": found.revision,
    }


def failures_of(found: Found) -> list[dict[str, Any]]:
    """List the user's own parts that failed: which, how often, and what was said first."""
    failed = found.fresh.failures if found.fresh else {}
    return [
        {"use": use, "count": part.times, "message": part.message} for use, part in failed.items()
    ]
