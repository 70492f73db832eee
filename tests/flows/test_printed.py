"""Printed commands work as they stand."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from flows.printed import flywheel, pages
from flows.settings import load_config


def test_a_command_names_its_program_in_full_and_the_home_unless_it_is_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(home=tmp_path / "my home")
    program, *words = shlex.split(flywheel(config, "lineage champion"))
    assert words == ["lineage", "champion", "--home", str(config.home)]
    assert program in ("flywheel", str(Path(sys.executable).parent / "flywheel"))
    monkeypatch.setenv("FLYWHEEL_HOME", str(config.home))
    assert shlex.split(flywheel(config, "lineage champion"))[1:] == ["lineage", "champion"]


def test_the_pages_open_from_a_home_with_a_space_in_its_name(tmp_path: Path) -> None:
    found = pages(load_config(home=tmp_path / "my home"))
    assert f"PREFECT_HOME={tmp_path}/my home/prefect" in shlex.split(found["Prefect"])
    assert shlex.split(found["MLflow"])[-1] == f"sqlite:///{tmp_path}/my home/mlflow/mlflow.db"
