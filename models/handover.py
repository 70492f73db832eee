"""The hand-over of a build's rows to trainers: Parquet files as a memory-mapped dataset.

The features are the declared columns. `Dataset.from_list` would infer them from the rows: a column
without values gets the null type, and arguments of tool calls would be widened to one struct with
every tool's keys. Here arguments stay the JSON text they are in the tables.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features
from pyarrow import parquet

from schemas.digest import digest
from schemas.tables import PARTITIONS, SCHEMAS

BATCH = 4096
"""Rows that are decoded at a time; what is in memory at once, and what is mapped together."""


def columns(table: str) -> pa.Schema:
    """Give the columns that a table's files hold: the declared ones without partition columns.

    Args:
        table: A key of `SCHEMAS`.
    """
    fields = [field for field in SCHEMAS[table] if field.name not in PARTITIONS.get(table, [])]
    return pa.schema(fields)


def load_rows(table: str, files: Sequence[str], cache: Path) -> Dataset:
    """Open rows of a table as a dataset that is mapped into memory, not loaded.

    Partition columns (`build`, `use`) stand in the paths of files and not in them: they are left
    out. Columns that older files lack are null. The rows keep the order of `files`.

    Args:
        table: A key of `SCHEMAS`.
        files: Parquet files, as `Warehouse.files` lists them for a partition; each never changes
            under its name.
        cache: Folder for the mapped file; the same files are written there once.
    """
    schema = columns(table)
    known = [(str(file), Path(file).stat().st_size) for file in files]
    name = digest(f"{table}:{schema}:{known}", 16)
    target = cache / f"{table}-{name}.arrow"
    if not target.is_file():
        _write(files, schema, target)
    info = DatasetInfo(features=Features.from_arrow_schema(schema))
    return Dataset.from_file(str(target), info=info)


def _write(files: Sequence[str], schema: pa.Schema, target: Path) -> None:
    """Write the rows of files as one Arrow stream, in one piece: a killed process leaves none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
        for file in files:
            with parquet.ParquetFile(file, memory_map=True) as opened:
                present = [name for name in schema.names if name in opened.schema_arrow.names]
                for batch in opened.iter_batches(BATCH, columns=present, use_threads=False):
                    stream.write_batch(_declared(batch, schema))
    part.replace(target)


def _declared(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Give a batch the declared columns: other names of list items go, missing ones are null."""
    arrays = [
        batch.column(field.name).cast(field.type)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
