"""Fetch the messages of what was chosen, and write the rows of a build, each table once."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import InvariantError
from schemas.progress import report
from schemas.tables import SCHEMAS
from tasks.build.chosen import Chosen
from warehouse.catalog import Catalog
from warehouse.tables import Warehouse

SLICE = 49_152
"""Most rows fetched and written at once, which bounds the memory."""


ORDER = {
    "trajectories": "use, rank", "pairs": "rank", "scenarios": "rank", "held_out": "episode_id",
}  # fmt: skip
"""How the rows of a build are put in order."""


def transaction(build: str, part: int | None = None) -> str:
    """Name the writing of a build's keys, or of one slice of a table's rows."""
    return f"build:{build}" if part is None else f"build:{build}:{part}"


class Part(NamedTuple):
    """Chosen rows of one table, and the query that fetches them whole."""

    table: str
    query: str
    chosen: pl.DataFrame
    parameters: dict[str, Any]


class Written(NamedTuple):
    """What became of one table."""

    rows: int
    sha256: str
    """Of the rows as Arrow writes them, slice by slice: equal for equal rows in equal order."""


def parts_of(catalog: Catalog, chosen: Chosen, nights: Sequence[str]) -> list[Part]:
    """List the tables of a build with what was chosen for each."""
    used = trajectories(chosen)
    ids = {"chosen": used.select("episode_id").unique().to_arrow(), "nights": named(nights)}
    [baseline] = catalog.query("step_return_mean", relations=ids)["mean"].to_pylist()
    held = chosen.of_side("held_out").select("episode_id", "state", "confidence", "total", "group")
    return [
        Part("trajectories", "trajectory_payload", used, {"baseline": baseline}),
        Part("pairs", "pair_rows", chosen.pairs.rows, {"night": nights[0]}),
        Part("scenarios", "scenario_payload", chosen.scenarios, {}),
        Part("held_out", "held_out_payload", held.sort("episode_id"), {}),
    ]


def trajectories(chosen: Chosen) -> pl.DataFrame:
    """Put the rows of all uses together: `use`, `episode_id`, `group`, `rank`, `good_steps`."""
    imitated = pl.concat([chosen.sft, chosen.replay, chosen.good_steps], how="diagonal_relaxed")
    if "good_steps" not in imitated.columns:
        imitated = imitated.with_columns(good_steps=pl.lit(None, pl.List(pl.Boolean)))
    uses = [
        frame.select("episode_id", "group", "good_steps").with_row_index("rank").select(
            pl.lit(use).alias("use"), "episode_id", "group",
            pl.col("rank").cast(pl.Int64), pl.col("good_steps").cast(pl.List(pl.Boolean)),
        )
        for use, frame in (
            ("kto", chosen.kto.with_columns(good_steps=pl.lit(None, pl.List(pl.Boolean)))),
            ("sft", imitated),
        )
    ]  # fmt: skip
    return pl.concat(uses)


def fetched(catalog: Catalog, part: Part, build: str, nights: Sequence[str]) -> Iterator[pa.Table]:
    """Fetch the rows of one table, a slice after the other: as few as may be, all alike large."""
    chosen = part.chosen.with_columns(pl.lit(build).alias("build"))
    slices = ceil(len(chosen) / SLICE)
    size = ceil(len(chosen) / slices) if slices else 1
    for start in range(0, len(chosen), size):
        wanted = chosen.slice(start, size).to_arrow(compat_level=pl.CompatLevel.oldest())
        rows = catalog.query(
            part.query, part.parameters, {"chosen": wanted, "nights": named(nights)}
        )
        yield rows.select(SCHEMAS[part.table].names).cast(SCHEMAS[part.table])


def write(
    warehouse: Warehouse, catalog: Catalog, chosen: Chosen, build: str, nights: Sequence[str]
) -> dict[str, Written]:
    """Commit the rows of a build, each slice once for ever."""
    written = {}
    parts = parts_of(catalog, chosen, nights)
    for number, part in enumerate(parts):
        report("build rows", number, len(parts), part.table)
        rows, said = 0, hashlib.sha256()
        for slice_number, table in enumerate(fetched(catalog, part, build, nights)):
            refuse_others(table)
            sum_up(said, table)
            rows += table.num_rows
            warehouse.append(part.table, table, transaction=transaction(build, slice_number))
        written[part.table] = Written(rows, said.hexdigest())
    report("build rows", len(parts), len(parts))
    return written


def refuse_others(rows: pa.Table) -> None:
    """Stop when the loss of a row would cover what somebody else than the agent said.

    Raises:
        InvariantError: It would.
    """
    if "train_on" not in rows.schema.names:
        return
    said, covered = (rows[name].combine_chunks().flatten() for name in ("messages", "train_on"))
    others = pc.and_(pc.not_equal(said.field("role"), "assistant"), covered)
    if count := pc.sum(others).as_py():
        raise InvariantError(
            f"the loss of {count} messages of users or tools was about to be trained on",
            "Nothing more was written. This is a mistake in the build: report it.",
        )


class Remade(NamedTuple):
    """One table of a build that was made again."""

    written: Written
    stored: bool
    """Whether the rows that stand in the table now, which trainers read, are these."""


def remade(
    warehouse: Warehouse, catalog: Catalog, chosen: Chosen, build: str, nights: Sequence[str]
) -> dict[str, Remade]:
    """Fetch the rows of a build again without writing them, to see that they are the same."""
    made = {}
    for part in parts_of(catalog, chosen, nights):
        rows, said, stored = 0, hashlib.sha256(), True
        there = count_stored(warehouse, part.table, build)
        for table in fetched(catalog, part, build, nights):
            sum_up(said, table)
            stored = stored and standing(warehouse, part.table, build, rows, table)
            rows += table.num_rows
        made[part.table] = Remade(Written(rows, said.hexdigest()), stored and there == rows)
    return made


def count_stored(warehouse: Warehouse, table: str, build: str) -> int:
    """Count the rows of a build that stand in a table."""
    text = f"SELECT count(*) AS rows FROM {table} WHERE build = $build"  # noqa: S608 - our own
    [count] = warehouse.catalog(only=[table]).query(text, {"build": build})["rows"].to_pylist()
    return int(count)


def standing(warehouse: Warehouse, table: str, build: str, start: int, rows: pa.Table) -> bool:
    """Say whether rows stand in a table at their place among those of their build."""
    names = ", ".join(f'"{name}"' for name in rows.schema.names)
    text = (
        f"SELECT {names} FROM {table} WHERE build = $build"  # noqa: S608 - our own
        f" ORDER BY {ORDER[table]} LIMIT {len(rows)} OFFSET {start}"
    )
    found = warehouse.catalog(only=[table]).query(text, {"build": build})
    return bool(found.cast(rows.schema).equals(rows))


def named(nights: Sequence[str]) -> pa.Table:
    """Make the relation of nights that queries ask for."""
    return pa.table({"night": pa.array(nights, pa.string())})


class Summed(io.RawIOBase):
    """A file that is not kept: what is written goes on with a sum.

    Args:
        said: The sum of what came before.
    """

    def __init__(self, said: hashlib._Hash) -> None:
        super().__init__()
        self.said = said

    def writable(self) -> bool:
        """Say that it takes bytes."""
        return True

    def write(self, part: Any) -> int:
        """Add bytes to the sum."""
        self.said.update(part)
        return memoryview(part).nbytes


def sum_up(said: hashlib._Hash, table: pa.Table) -> None:
    """Add rows to a sum, as Arrow's stream format holds them in one batch."""
    # Held as bytes, a slice would stand in memory twice more.
    with pa.ipc.new_stream(Summed(said), table.schema) as stream:
        stream.write_batch(table.combine_chunks().to_batches()[0])
