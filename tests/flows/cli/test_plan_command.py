"""`flywheel plan`: what will be trained, told before anything starts."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.app import app
from flows.settings import SHIPPED

QWEN = {
    "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024, "intermediate_size": 3072,
    "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
    "tie_word_embeddings": True, "max_position_embeddings": 40960,
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def gpu(folder: Path) -> Path:
    """Write the shipped GPU configuration for a model's folder that holds its sizes alone."""
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(json.dumps(QWEN))
    values = yaml.safe_load((SHIPPED / "gpu.yaml").read_text())
    values["train"]["policy"]["model"] = str(folder / "model")
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def test_the_shipped_gpu_configuration_has_a_plan_with_sensible_figures(tmp_path: Path) -> None:
    file, home = gpu(tmp_path), tmp_path / "home"
    done = CliRunner().invoke(
        app, ["plan", "--config", str(file), "--home", str(home), "--json"]
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    (sft,) = found["candidates"]
    # Weights of 596M parameters in two bytes, and an adapter's 10M in four.
    assert sft["stages"][0]["memory"]["weights"] == 2 * 596_049_920 + 4 * 16 * 630_784
    assert 5e9 < sft["memory_bytes"] < 60e9  # between one small GPU and one large one
    assert found["seconds"] is None
    assert not home.exists()


def test_a_person_reads_start_memory_and_what_is_not_known(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["plan", "--home", str(tmp_path / "home"), "--night", "2026-01-05"]
    )
    assert done.exit_code == 0, done.output
    assert "Night 2026-01-05 from a random start: 0.7M parameters" in done.stdout
    assert "unknown" in done.stdout


def test_a_model_that_is_not_there_is_one_line_and_status_1(tmp_path: Path) -> None:
    file = gpu(tmp_path)
    (tmp_path / "model" / "config.json").unlink()
    done = CliRunner().invoke(app, ["plan", "--config", str(file), "--home", str(tmp_path / "h")])
    assert done.exit_code == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "no config.json" in done.stderr
