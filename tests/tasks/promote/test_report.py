"""The report page: complete, self-contained, and safe against what logs put into it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from schemas.config import FlywheelConfig, PromoteConfig
from schemas.release import Attempt
from tasks.evaluate.metrics import summarise
from tasks.ledger import Ledger
from tasks.promote.gates import decide, judge
from tasks.promote.night import summary_of_night
from tasks.promote.report import write_report


def attempts(rate: float) -> list[Attempt]:
    return [
        Attempt(
            evaluation="e", night="n", model="m", candidate="c", scenario_id=f"{split}{i}",
            split=split, slice=("count", "share")[i % 2], specification=f"{split}{i}",
            mode=mode,  # type: ignore[arg-type]
            attempt=number, success=float(i < 40 * rate), tool_calls=3, tool_errors=0,
            malformed=False, truncated=False, tokens=1, seconds=0.1,
        )
        for split in ("frozen_params", "frozen_compositions")
        for i in range(40)
        for mode, number in (("greedy", 0), ("sampled", 0), ("sampled", 1))
    ]  # fmt: skip


def write_night(config: FlywheelConfig, night: str, rate: float, before: float) -> None:
    gates = judge(attempts(rate), attempts(before), PromoteConfig(), k=2, seed=0)
    decision, reason = decide(gates)
    models = {"sft": rate, "champion": before, "logged_agent": 0.4}
    stages = {
        "ingest": {"episodes": 12000, "signals": 9000},
        "label": {"success": 5000, "failure": 4000, "unlabelled": 3000},
        "build": {"sft": 4000, "pairs": 600, "digest": "b" * 16},
        "train": {
            "candidates": [{"name": "sft", "validation": rate}, {"name": "<b>", "validation": 0.1}],
            "chosen": "sft",
        },
        "evaluate": {
            "challenger": "sft",
            "models": {n: summarise(attempts(r), 2) for n, r in models.items()},
        },
        "promote": {
            "gates": [{f: getattr(g, f) for f in g.__struct_fields__} for g in gates],
            "decision": decision, "reason": reason, "version": "1", "previous": None,
            "champion": "1",
        },
    }  # fmt: skip
    for stage, result in stages.items():
        Ledger(config, night).keep(stage, result, 1.5)


def test_the_page_tells_the_night_and_needs_no_other_file(tmp_path: Path) -> None:
    config = FlywheelConfig(home=tmp_path)
    write_night(config, "2026-01-01", 0.8, 0.4)
    write_night(config, "2026-01-02", 0.8, 0.8)
    page = write_report(config, "2026-01-02").read_text()
    assert "kept" in page
    assert "not proven better: +0.0% on 80 frozen scenarios" in page
    assert page.count("<svg") == 2
    assert "12,000" in page
    assert "9.0" in page  # six stages of 1.5 seconds
    assert not re.search(r'(src|href)="https?:', page)
    assert "<td>&lt;b&gt;" in page  # a candidate's name is escaped
    facts = json.loads((tmp_path / "runs" / "2026-01-02" / "report.json").read_text())
    assert facts["nights"] == ["2026-01-01", "2026-01-02"]
    assert facts["decision"] == "kept"


def test_a_night_whose_logs_an_earlier_call_had_read_counts_its_own_episodes(
    tmp_path: Path,
) -> None:
    config = FlywheelConfig(home=tmp_path)
    write_night(config, "2026-01-01", 0.8, 0.4)
    ledger = Ledger(config, "2026-01-01")
    ledger.keep("ingest", {"episodes": 0, "duplicates": 120}, 1.0)
    counts = {"episodes": 120, "success": 60, "failure": 40, "unlabelled": 20}
    ledger.keep("label", {"episodes": 900, "night_counts": counts}, 1.0)
    assert summary_of_night(ledger).episodes == 120


def test_a_stage_that_is_reused_keeps_its_first_seconds(tmp_path: Path) -> None:
    ledger = Ledger(FlywheelConfig(home=tmp_path), "2026-01-01")
    ledger.keep("label", {"success": 1}, 9.0)
    ledger.keep("label", {"success": 1}, 0.1)
    assert ledger.seconds() == {"label": 9.0}
    ledger.keep("label", {"success": 2}, 3.0)
    assert ledger.seconds() == {"label": 3.0}
