"""The labelled episodes of a night in narrow columns: all that choosing needs, without messages."""

from __future__ import annotations

import polars as pl

from schemas.errors import MissingStateError
from warehouse.catalog import Catalog


def night_verdicts(catalog: Catalog, night: str) -> pl.DataFrame:
    """Read the newest label of each episode of a night, with what the episode is known by.

    Args:
        catalog: Sees `episodes` and `labels`, at the versions the build pins.
        night: `YYYY-MM-DD`.

    Returns:
        One row an episode, by id: `episode_id`, `day`, `scenario_id`, `session_id`, `user_id`,
        `question`, `body_digest`, `problem` (the scenario, else `question:` and the question),
        `state`, `confidence`, `total`, `decided_by`, `step_states`, `step_actions`, `step_returns`.
        Episodes that an infrastructure error ended are left out.

    Raises:
        MissingStateError: There are none.
    """
    table = catalog.query("night_verdicts", {"night": night})
    if not table.num_rows:
        nights = catalog.query("labelled_nights")["night"].to_pylist()
        known = ", ".join(nights[-5:]) or "none"
        raise MissingStateError(
            f"no labelled episodes of night {night}",
            f"Ingest and label some, or name a night that has any: {known}.",
        )
    return pl.DataFrame(table)
