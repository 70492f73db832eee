"""Ask a judge about new episodes that nothing else decides, and take what it says as evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.config import FlywheelConfig
from schemas.label_config import JudgeConfig
from tasks.label.block import Ints
from tasks.label.evidence import Pieces, joined, pieces
from tasks.label.found import Found
from tasks.label.fresh import Fresh
from tasks.label.hearing import Search, codes
from tasks.label.judge.group import groups
from tasks.label.judge.judge import halves, judge
from tasks.label.tally import truths
from tasks.label.verdicts import STATES
from tasks.label.weighing import Weighed, verified_of
from warehouse.tables import Warehouse

UNLABELLED = STATES.index("unlabelled")


def judged_also(
    config: FlywheelConfig,
    judge_config: JudgeConfig,
    warehouse: Warehouse,
    search: Search,
    found: Found,
    fresh: Fresh,
    weighed: Weighed,
) -> tuple[Pieces, dict[str, Any]]:
    """Add what the judge says to the evidence.

    It is asked about new episodes of a scenario that are unlabelled so far; verified ones of the
    same scenario stand beside them, so that what the judge is worth can be learnt.

    Returns:
        All evidence, and the account for the result.
    """
    about = fresh.about
    count = about.num_rows
    judged = weighed.judged
    broken = truths(about, "infrastructure_error")
    wanted = (judged.verdicts.state[:count] == UNLABELLED) & ~broken
    anchors = verified_of(judged.outcome[:count], broken)
    rng = np.random.default_rng(config.seed)
    scenario = codes(about["scenario_id"])
    chosen = groups(scenario, wanted & (scenario >= 0), anchors, judge_config.group, rng)
    said = judge(
        judge_config,
        config.home,
        search.night,
        chosen,
        rows_of(warehouse, search, about),
        count,
    )
    high, low = halves(said.scores, chosen)
    parts = [
        pieces(rows, kind, said.source, np.full(len(rows), value))
        for kind, value, rows in (
            ("judge_high", 1.0, np.flatnonzero(high)),
            ("judge_low", -1.0, np.flatnonzero(low)),
        )
    ]
    account = {
        "source": said.source, "groups": len(chosen), "asked": said.asked, "cached": said.cached,
        "abstained": said.abstained, "over_budget": said.over_budget, "tokens": said.tokens,
    }  # fmt: skip
    return joined([found.evidence, *parts]), {"judge": account}


def rows_of(
    warehouse: Warehouse, search: Search, about: pa.Table
) -> Callable[[Ints], list[Mapping[str, Any]]]:
    """Give what reads new episodes by their row."""

    def read(places: Ints) -> list[Mapping[str, Any]]:
        ids = about["episode_id"].take(pa.array(places))
        wanted = pa.table({"episode_id": ids, "place": np.arange(len(places))})
        table = warehouse.sql(
            "episodes_by_id", relations={"wanted": wanted}, files={"episodes": search.fresh}
        )
        return list(table.drop_columns(["place"]).to_pylist())

    return read
