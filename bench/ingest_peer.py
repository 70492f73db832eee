"""Ingest as most projects do it: json a line, pydantic a record, `Dataset.from_list`, Parquet."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from datasets import Dataset
from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """What such projects check of a record."""

    model_config = ConfigDict(extra="allow")
    id: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    model: str
    timestamp: datetime


def read_like_peers(logs: str, output: str) -> int:
    """Read `episodes.jsonl` of a folder into a Parquet file, all rows in memory at once."""
    with (Path(logs) / "episodes.jsonl").open(encoding="utf-8") as lines:
        rows = [Record.model_validate(json.loads(line)).model_dump() for line in lines]
    Dataset.from_list(rows).to_parquet(output)
    return len(rows)
