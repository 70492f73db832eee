"""The GPU benchmark runs from its first case to its table, on the CPU with a tiny model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.gpu.run import CASES, measured, table

ROOT = Path(__file__).parents[2]


def test_a_case_is_measured_and_told_beside_what_was_expected() -> None:
    found = measured("tiny", "sft", "cpu", stock=False, checkpointing=False)
    assert found["tokens_per_second"] == pytest.approx(4 * 64 / found["step_seconds"])
    assert found["flops_use"] is found["peak_bytes"] is None  # nothing tells these of a CPU
    case = {"size": "tiny", "kind": "sft", "stock": False, "checkpointing": True}
    told = table([{**case, **found}, {**case, "error": "out of memory"}], "cpu")
    assert "| tiny | sft | ours, checkpointing |" in told
    assert "| out of memory |" in told


@pytest.mark.slow
def test_one_call_measures_every_case_and_writes_its_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.gpu.run", "--device", "cpu", "--sizes", "tiny"]
    subprocess.run([*command, "--out", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    found = json.loads((tmp_path / "results.json").read_text())
    assert len(found) == len(CASES)
    assert not [one for one in found if "error" in one]
    assert (tmp_path / "table.md").read_text().count("\n| tiny |") == len(CASES)
