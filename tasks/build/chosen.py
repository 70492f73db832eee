"""What a build is made of, chosen by ids from narrow columns; no messages are read for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import polars as pl

from schemas.config import FlywheelConfig
from tasks.build.curriculum import scenarios
from tasks.build.imitation import (
    failed_states,
    good_step_rows,
    kto_rows,
    replayed,
    sft_rows,
)
from tasks.build.night import night_verdicts
from tasks.build.preferences.preferences import Pairs, choose_pairs
from tasks.build.sides import Sides, retired, sides_of
from warehouse.catalog import Catalog


class Chosen(NamedTuple):
    """What a build is made of, by ids."""

    night: pl.DataFrame
    """The night's labelled episodes, with `side` and `group`."""
    sides: Sides
    sft: pl.DataFrame
    replay: pl.DataFrame
    good_steps: pl.DataFrame
    """Failed episodes whose good steps are imitated."""
    kto: pl.DataFrame
    kto_dropped: dict[str, int]
    """Episodes that say nothing of their own, by reason."""
    scenarios: pl.DataFrame
    dropped: dict[str, int]
    """Scenarios that were left out, by reason."""
    pairs: Pairs

    def of_side(self, side: str) -> pl.DataFrame:
        """Give the night's episodes on one side of the split."""
        return self.night.filter(pl.col("side") == side)


def choose(
    catalog: Catalog,
    of_nights: Callable[[Catalog, Sequence[str]], Catalog],
    config: FlywheelConfig,
    nights: Sequence[str],
    earlier: Sequence[str],
) -> Chosen:
    """Choose by narrow columns what a night's build is made of.

    Args:
        catalog: The tables at the versions that the build pins.
        of_nights: Gives the same with the episodes and labels of some nights alone.
        config: Shares, caps and guards.
        nights: `YYYY-MM-DD`: the night that is built, then those that are replayed.
        earlier: Builds of the latter, oldest first.

    Raises:
        MissingStateError: There are no labelled episodes of that night.
        InvariantError: One group holds too many episodes.
    """
    settings, night = config.build, nights[0]
    narrow = of_nights(catalog, nights)
    verdicts = night_verdicts(narrow, night, catalog)
    sides = sides_of(catalog, verdicts, settings, night)
    verdicts = verdicts.with_columns(sides.side.alias("side"), sides.group.alias("group"))
    sft = sft_rows(verdicts, settings)
    kto, kto_dropped = kto_rows(verdicts, settings)
    kept, dropped = scenarios(verdicts, settings)

    def lost(groups: pl.Series) -> pl.Series:
        return retired(catalog, groups, sides.new_rows)

    return Chosen(
        night=verdicts,
        sides=sides,
        sft=sft,
        replay=replayed(narrow, sft, settings, nights, lost, earlier, catalog),
        good_steps=good_steps(catalog, verdicts, config),
        kto=kto,
        kto_dropped=kto_dropped,
        scenarios=kept,
        dropped=dropped,
        pairs=choose_pairs(narrow, verdicts, settings, config.label.step_shrinkage, night),
    )


def good_steps(catalog: Catalog, verdicts: pl.DataFrame, config: FlywheelConfig) -> pl.DataFrame:
    """Choose failed episodes for their good steps; none unless it is configured."""
    if not config.build.sft_good_steps:
        return good_step_rows(verdicts.clear(), NO_VALUES, config.build)
    values = catalog.query(
        "step_values_of",
        {"shrinkage": config.label.step_shrinkage},
        {"wanted": failed_states(verdicts).to_arrow()},
    )
    return good_step_rows(verdicts, pl.DataFrame(values), config.build)


NO_VALUES = pl.DataFrame(
    schema={
        "state": pl.Int64, "action": pl.Int64, "visits": pl.Int64, "advantage": pl.Float64,
    }
)  # fmt: skip


def account(chosen: Chosen) -> dict[str, Any]:
    """Count what a build is made of."""
    imitated = len(chosen.sft) + len(chosen.replay) + len(chosen.good_steps)
    sides = Counter(chosen.night["side"].to_list())
    groups = chosen.night.group_by("group").len()
    return {
        "sft": imitated,
        "kto": len(chosen.kto),
        "replay": len(chosen.replay),
        "good_step_episodes": len(chosen.good_steps),
        "pairs": len(chosen.pairs.rows),
        "candidate_pairs": chosen.pairs.candidates,
        "guards": dict(chosen.pairs.guards),
        "pairs_by_kind": dict(sorted(Counter(chosen.pairs.rows["kind"].to_list()).items())),
        "scenarios": len(chosen.scenarios),
        "dropped": chosen.dropped,
        "kto_dropped": chosen.kto_dropped,
        "trajectories": imitated + len(chosen.kto),
        "evaluation": sides["held_out"],
        "retired": sides["retired"],
        "split": {
            "groups": len(groups),
            "largest_group": int(groups["len"].max() or 0),  # type: ignore[arg-type]
            "train": sides["train"],
            "held_out": sides["held_out"],
            "retired": sides["retired"],
        },
    }
