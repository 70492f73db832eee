"""Which logs a night reads when it is given none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.logs import what_to_read
from schemas.config import FlywheelConfig
from schemas.errors import MissingStateError
from tasks.ingest.ingest import ingest
from tasks.ledger import Ledger

NIGHT = "2026-01-02"
RUN = {"id": "e1", "messages": [{"role": "user", "content": "q"},
                                {"role": "assistant", "content": "a"}]}  # fmt: skip


def test_a_night_reads_what_it_is_given_else_the_homes_logs_else_what_it_has(
    tmp_path: Path,
) -> None:
    config = FlywheelConfig(home=tmp_path / "home")
    file = tmp_path / "episodes.jsonl"
    file.write_text(json.dumps(RUN) + "\n")
    with pytest.raises(MissingStateError, match=r"no logs for night .*Give a path"):
        what_to_read(config, NIGHT, None)
    Ledger(config, NIGHT).run(
        "ingest", ingest, config, [str(file)], night=NIGHT, clock=lambda: datetime.now(UTC)
    )
    assert what_to_read(config, NIGHT, None) == {}
    with pytest.raises(MissingStateError, match=f"or --night {NIGHT}"):
        what_to_read(config, "2026-01-03", None)
    (config.home / "logs").mkdir()
    assert list(what_to_read(config, NIGHT, None)) == [str(config.home / "logs")]
    assert list(what_to_read(config, NIGHT, [str(file)])) == [str(file)]
