"""The nightly flow: what makes it do a stage again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.nightly import heard
from schemas.config import FlywheelConfig
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from tasks.label.task import label_episodes

NIGHT = "2026-01-02"
RUN = {"id": "e1", "messages": [{"role": "user", "content": "q"},
                                {"role": "assistant", "content": "a"}]}  # fmt: skip


def stored_under(tables: dict[str, int]) -> str | None:
    """Give the key of the label stage's stored result, all inputs but `tables` alike."""
    inputs: dict[str, Any] = {"config": {}, "code": "c", "night": NIGHT, "ingested": {"rows": 1}}
    inputs["tables"] = tables
    key: str | None = label_episodes.cache_policy.compute_key(None, inputs, {})
    return key


def test_late_feedback_is_labelled_although_the_nights_ingest_is_reused(tmp_path: Path) -> None:
    config = FlywheelConfig(home=tmp_path / "home")

    def read(name: str, record: dict[str, Any]) -> None:
        (tmp_path / name).write_text(json.dumps(record) + "\n")
        ingest(config, [str(tmp_path / name)], night=NIGHT, clock=lambda: datetime.now(UTC))

    read("episodes.jsonl", RUN)
    evening = heard(config)
    label(config, night=NIGHT, clock=lambda: datetime.now(UTC))
    # A night that is taken up again after labelling finds its labels done.
    assert stored_under(heard(config)) == stored_under(evening)
    read("late.jsonl", {"episode_id": "e1", "kind": "complaint", "value": 1})
    assert stored_under(heard(config)) != stored_under(evening)
