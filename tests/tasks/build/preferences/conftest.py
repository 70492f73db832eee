"""Nights that are ingested and labelled for real, the pairs chosen of them, and their messages."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from schemas.config import BuildConfig, FlywheelConfig
from tasks.build.night import night_verdicts
from tasks.build.preferences.preferences import Pairs, choose_pairs
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"
TABLES = ["episodes", "labels", "signals", "step_values"]


class Night:
    """A home in which nights are labelled, and what is chosen of one."""

    def __init__(self, config: Any, clock: Any) -> None:
        self.config, self.clock = config, clock

    def label(self, *paths: str, night: str = NIGHT) -> None:
        ingest(self.config, list(paths), night=night, clock=self.clock)
        label(self.config, night=night, clock=self.clock)

    def catalog(self) -> Any:
        return Warehouse(self.config.home).catalog(only=TABLES)

    def verdicts(self, night: str = NIGHT) -> pl.DataFrame:
        """Read a night's episodes, all on the train side, in one group a problem."""
        read = night_verdicts(self.catalog(), night)
        group = pl.col("problem").rank("dense").cast(pl.Int64)
        return read.with_columns(side=pl.lit("train"), group=group)

    def choose(
        self, verdicts: pl.DataFrame | None = None, night: str = NIGHT, **keys: Any
    ) -> Pairs:
        known = self.verdicts(night) if verdicts is None else verdicts
        return choose_pairs(self.catalog(), known, BuildConfig(**keys), 2.0, night)

    def rows(self, pairs: Pairs, night: str = NIGHT) -> list[dict[str, Any]]:
        """Fetch the messages of pairs, as the build does."""
        chosen = pairs.rows.with_columns(build=pl.lit("b"))
        relations = {"chosen": chosen.to_arrow(compat_level=pl.CompatLevel.oldest())}
        return self.catalog().query("pair_rows", {"night": night}, relations).to_pylist()

    def seen(self) -> dict[str, list[dict[str, Any]]]:
        """Give every episode's messages as the agent saw them."""
        text = "SELECT episode_id, agent_view(messages) AS messages FROM episodes"
        rows = self.catalog().query(text).to_pylist()
        return {row["episode_id"]: row["messages"] for row in rows}


@pytest.fixture(scope="session")
def new_night() -> Callable[..., Night]:
    """Open a home for what several tests read and none changes."""

    def open_home(home: Path) -> Night:
        return Night(FlywheelConfig(home=home), lambda: datetime(2026, 1, 2, 3, tzinfo=UTC))

    return open_home


@pytest.fixture
def night(config: Any, clock: Callable[[], Any]) -> Night:
    return Night(config, clock)


class Kinds(NamedTuple):
    """Pairs of one kind by what they hold, and the guards that dropped any."""

    rows: list[dict[str, Any]]
    guards: dict[str, int]


@pytest.fixture
def of_kind(night: Night) -> Callable[..., Kinds]:
    """Choose the pairs of a night, and give those of one kind with their messages."""

    def go(kind: str, **keys: Any) -> Kinds:
        pairs = night.choose(**keys)
        rows = [row for row in night.rows(pairs, keys.get("night", NIGHT)) if row["kind"] == kind]
        return Kinds(rows, {name: count for name, count in pairs.guards.items() if count})

    return go
