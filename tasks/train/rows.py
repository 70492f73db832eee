"""A build's rows as stages read them: those that a chat template can render."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from schemas.config import FlywheelConfig
from schemas.dataset import Pair, Trajectory
from warehouse.tables import Warehouse

Row = TypeVar("Row", Pair, Trajectory)


def rows_of_build(config: FlywheelConfig, build: str) -> dict[str, Any]:
    """Read what a build holds for training.

    Args:
        config: Home.
        build: Digest of the build.

    Returns:
        `successes` (to imitate), `pairs` and `unpaired` (judged episodes), each in its order.
    """
    from models.chat import renders

    pairs = read_rows(config, "pairs", build, Pair)
    return {
        "successes": _told(read_rows(config, "trajectories", build, Trajectory, use="sft")),
        "pairs": [p for p in pairs if renders([*p.prompt, *p.chosen, *p.rejected])],
        "unpaired": _told(read_rows(config, "trajectories", build, Trajectory, use="kto")),
    }


def read_rows(
    config: FlywheelConfig, table: str, build: str, kind: type[Row], use: str | None = None
) -> list[Row]:
    """Read the rows of a build from one of its tables; none where there is no such table."""
    warehouse = Warehouse(config.home)
    if not warehouse.exists(table):
        return []
    found = warehouse.read(table, where={"build": build, **({"use": use} if use else {})})
    # Rows of a build made before a column came to be have none there: its default holds.
    told = ({k: v for k, v in row.items() if v is not None} for row in found.to_pylist())
    return [msgspec.convert(row, kind) for row in told]


def _told(rows: list[Trajectory]) -> list[Trajectory]:
    from models.chat import renders

    return [row for row in rows if renders(row.messages)]
