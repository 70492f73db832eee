"""The labelled episodes of a night in narrow columns: all that choosing needs, without messages."""

from __future__ import annotations

import polars as pl

from schemas.errors import MissingStateError
from warehouse.catalog import Catalog


def night_verdicts(catalog: Catalog, night: str, whole: Catalog | None = None) -> pl.DataFrame:
    """Read the newest label of each episode of a night, with what the episode is known by.

    Args:
        catalog: Sees `episodes` and `labels`, at the versions the build pins.
        night: `YYYY-MM-DD`.
        whole: Sees the episodes and labels of all nights; None where `catalog` does.

    Returns:
        One row an episode, by id: `episode_id`, `day`, `scenario_id`, `session_id`, `user_id`,
        `question`, `body_digest`, `problem` (the scenario, else `question:` and the question),
        `state`, `confidence`, `total`, `decided_by`, `step_states`, `step_actions`, `step_returns`.
        Episodes that an infrastructure error ended are left out.

    Raises:
        MissingStateError: There are none.
    """
    verdicts = pl.DataFrame(catalog.query("night_verdicts", {"night": night}))
    verdicts = still_there(verdicts, whole)
    if verdicts.is_empty():
        nights = (whole or catalog).query("labelled_nights")["night"].to_pylist()
        known = ", ".join(nights[-5:]) or "none"
        raise MissingStateError(
            f"no labelled episodes of night {night}",
            f"Ingest and label some, or name a night that has any: {known}.",
        )
    return verdicts


def still_there(rows: pl.DataFrame, whole: Catalog | None) -> pl.DataFrame:
    """Leave out episodes that a longer one has taken the place of on any night.

    Args:
        rows: Has `episode_id`; read from some nights alone, so that the longer one may not be seen.
        whole: Sees the episodes of all nights; None where nothing can be missing.
    """
    if whole is None or not whole.superseded:
        return rows
    gone = pl.DataFrame(whole.query("superseded"))
    return rows.join(gone, on="episode_id", how="anti", maintain_order="left")
