"""Progress is one log record an advance, so that whoever watches needs no handle on a stage."""

import logging

import pytest

from schemas.progress import report


def test_an_advance_carries_stage_and_counts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="flywheel.progress"):
        report("train sft", 3, 10, "loss 0.5")
    (record,) = caplog.records
    assert (record.stage, record.done, record.total, record.note) == (
        "train sft",
        3,
        10,
        "loss 0.5",
    )
    assert record.getMessage() == "train sft 3/10 loss 0.5"
