"""The payload's sums of rows, and what it refuses."""

from __future__ import annotations

import hashlib

import msgspec
import pyarrow as pa
import pytest

from schemas.dataset import Trajectory
from schemas.episode import Message
from schemas.errors import InvariantError
from schemas.tables import SCHEMAS, arrow_rows
from tasks.build.payload import refuse_others, sum_up


def stream(table: pa.Table) -> bytes:
    """Write rows in one batch as Arrow's stream format holds them."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as opened:
        opened.write_batch(table.combine_chunks().to_batches()[0])
    return bytes(sink.getvalue())


def test_rows_are_summed_slice_by_slice_as_their_streams_are() -> None:
    slices = [
        pa.table({"said": [["a", None], [], ["b"]], "n": [1, 2, 3]}),
        pa.table({"said": [["c"]], "n": [4]}),
    ]
    said = hashlib.sha256()
    for table in slices:
        sum_up(said, table)
    assert said.hexdigest() == hashlib.sha256(b"".join(map(stream, slices))).hexdigest()


def test_how_rows_are_chunked_does_not_change_their_sum() -> None:
    whole = pa.table({"n": [1, 2, 3]})
    parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    sums = [hashlib.sha256(), hashlib.sha256()]
    for said, table in zip(sums, (whole, parts), strict=True):
        sum_up(said, table)
    assert sums[0].digest() == sums[1].digest()


def test_a_row_that_covers_what_others_said_stops_the_build() -> None:
    said = [Message(role="user", content="?"), Message(role="assistant", content="!")]
    row = Trajectory(
        build="b", use="sft", episode_id="e", messages=said, desirable=True, weight=1.0, total=1.0,
        train_on=[False, True],
    )  # fmt: skip
    refuse_others(arrow_rows("trajectories", [row]))
    wrong = msgspec.structs.replace(row, train_on=[True, True])
    with pytest.raises(InvariantError, match="1 messages of users or tools"):
        refuse_others(arrow_rows("trajectories", [row, wrong]))
    refuse_others(SCHEMAS["pairs"].empty_table())
    refuse_others(SCHEMAS["trajectories"].empty_table())
