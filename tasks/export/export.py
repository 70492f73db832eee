"""Exports of a build: its rows for one use as a file of another trainer's format."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import parquet

from schemas.errors import ConfigurationError, InputError, MissingStateError
from schemas.progress import report
from tasks.build.manifest import load_manifest
from tasks.export import art, openai, swift, trl, verl
from tasks.export.chatml import json_text
from tasks.export.examples import Example, Use, examples
from warehouse.tables import Warehouse

BATCH = 500
"""Rows in memory at a time."""


class Format(NamedTuple):
    """One format."""

    uses: tuple[Use, ...]
    """What it can say; the first is what is exported where none is named."""
    rows: Callable[[Use, Iterable[Example], Counter[str]], Iterator[dict[str, Any]]]
    read: Callable[[Use, Iterable[Mapping[str, Any]]], Iterator[Example]]
    schemas: Mapping[Use, pa.Schema] | None = None
    """Arrow schemas, where its files are Parquet; else they are JSON lines."""


FORMATS = {
    "trl": Format(trl.USES, trl.rows, trl.read),
    "openai": Format(openai.USES, openai.rows, openai.read),
    "art": Format(art.USES, art.rows, art.read),
    "ms-swift": Format(swift.USES, swift.rows, swift.read),
    "verl": Format(verl.USES, verl.rows, verl.read, verl.SCHEMAS),
}
"""Formats by the name they have on the command line."""

TABLES: dict[Use, str] = {
    "sft": "trajectories", "dpo": "pairs", "kto": "trajectories", "rl": "scenarios",
}  # fmt: skip
QUERIES = {
    "trajectories": 'SELECT * FROM trajectories WHERE build = $build AND "use" = $use '
    "ORDER BY rank, episode_id",
    "pairs": "SELECT * FROM pairs WHERE build = $build ORDER BY rank, pair_id",
    "scenarios": "SELECT * FROM scenarios WHERE build = $build ORDER BY rank, scenario_id",
}
COUNTS = {
    "trajectories": 'SELECT count(*) AS n FROM trajectories WHERE build = $build AND "use" = $use',
    "pairs": "SELECT count(*) AS n FROM pairs WHERE build = $build",
    "scenarios": "SELECT count(*) AS n FROM scenarios WHERE build = $build",
}


def export(
    home: Path, format_name: str, out: Path, *, build: str | None = None, use: str | None = None
) -> dict[str, Any]:
    """Write a build's rows for one use in a format.

    Args:
        home: Folder of all run-time data.
        format_name: A key of `FORMATS`.
        out: Folder to write to; it appears when all is written, or not at all.
        build: The build's digest; None is the newest.
        use: What the rows are for; None is the format's first.

    Returns:
        `format`, `use`, `build`, `files` (each with `path`, `rows`, `sha256`) and `left_out`: the
        number of rows by reason.

    Raises:
        ConfigurationError: There is no such format, or it has no such use.
        InputError: `out` is there and not an empty folder.
        MissingStateError: There is no such build, or it has no rows for the use.
    """
    chosen, said = chosen_format(format_name, use)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there and not empty", "Name a folder that is not there yet.")
    digest = chosen_build(home, build)
    warehouse = Warehouse(home)
    table, total = source(warehouse, digest, said)
    left_out: Counter[str] = Counter()
    stored = stored_rows(warehouse, table, digest, said, total)
    rows = chosen.rows(said, examples(said, stored, left_out), left_out)
    name = f"{said}.{'parquet' if chosen.schemas else 'jsonl'}"
    part = out.absolute().with_name(f".{out.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        schema = chosen.schemas[said] if chosen.schemas else None
        written = write_file(part / name, rows, schema)
        part.replace(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    report("export", total, total, f"{written:,} rows")
    file = {"path": str(out / name), "rows": written, "sha256": sha256_of(out / name)}
    return {
        "format": format_name, "use": said, "build": digest, "files": [file],
        "left_out": dict(sorted(left_out.items())),
    }  # fmt: skip


def chosen_format(name: str, use: str | None) -> tuple[Format, Use]:
    """Find a format and its use.

    Raises:
        ConfigurationError: There is no such format, or it has no such use.
    """
    if name not in FORMATS:
        raise ConfigurationError(f"there is no format {name!r}", f"Choose of {', '.join(FORMATS)}.")
    uses = FORMATS[name].uses
    for known in uses:
        if use in (known, None):
            return FORMATS[name], known
    raise ConfigurationError(f"{name} has no use {use!r}", f"Choose of {', '.join(uses)}.")


def chosen_build(home: Path, digest: str | None) -> str:
    """Find a build; None is the newest.

    Raises:
        MissingStateError: There is none, or none of that name.
    """
    manifests = [json.loads(path.read_text()) for path in (home / "builds").glob("*.json")]
    manifests.sort(key=lambda manifest: (manifest["built_at"], manifest["digest"]))
    if not manifests:
        raise MissingStateError(f"no builds under {home}", "Run `flywheel build` first.")
    if digest is None:
        return str(manifests[-1]["digest"])
    if load_manifest(home, digest) is None:
        known = ", ".join(f"{each['digest']} ({each['night']})" for each in manifests[-3:])
        raise MissingStateError(f"there is no build {digest}", f"The newest are {known}.")
    return digest


def source(warehouse: Warehouse, digest: str, use: Use) -> tuple[str, int]:
    """Say which table has a build's rows for a use, and how many.

    Builds of older releases have no scenarios: their prompts are among the trajectories.

    Raises:
        MissingStateError: There are none.
    """
    for table in (TABLES[use], "trajectories") if use == "rl" else (TABLES[use],):
        found = warehouse.sql(COUNTS[table], build=digest, use=use)
        if found["n"][0].as_py():
            return table, found["n"][0].as_py()
    raise MissingStateError(
        f"build {digest} has no rows for {use}", "Choose another --use, or another --build."
    )


def stored_rows(
    warehouse: Warehouse, table: str, digest: str, use: Use, total: int
) -> Iterator[dict[str, Any]]:
    """Read a build's rows, best first, a batch at a time.

    The tables are read as they are now: what `forget` has removed since the build is not exported.
    """
    done = 0
    for batch in warehouse.batches(QUERIES[table], BATCH, build=digest, use=use):
        report("export", done, total)
        done += batch.num_rows
        yield from batch.to_pylist()


def write_file(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema | None) -> int:
    """Write rows as Parquet with a schema, or as JSON lines; say how many."""
    written = 0
    if schema is None:
        with path.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json_text(row) + "\n")
                written += 1
        return written
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for some in chunks(rows):
            writer.write_table(pa.Table.from_pylist(some, schema=schema))
            written += len(some)
    return written


def chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Part rows into lists of at most `BATCH`."""
    some: list[Mapping[str, Any]] = []
    for row in rows:
        some.append(row)
        if len(some) == BATCH:
            yield some
            some = []
    if some:
        yield some


def read_back(format_name: str, use: str, path: Path) -> Iterator[Example]:
    """Read an exported file.

    Args:
        format_name: A key of `FORMATS`.
        use: What it was written for.
        path: The file.
    """
    chosen, said = chosen_format(format_name, use)
    return chosen.read(said, _read_rows(path))


def _read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Read the rows of a Parquet file or of JSON lines."""
    if path.suffix == ".parquet":
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH):
                yield from batch.to_pylist()
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def sha256_of(path: Path) -> str:
    """Give the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
