"""Configuration: what wins over what, and what a wrong key is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.settings import from_environment, load_config
from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError


def write(folder: Path, text: str) -> Path:
    path = folder / "my.yaml"
    path.write_text(text)
    return path


def test_a_file_lists_only_what_differs(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "seed: 7\npromote: {alpha: 0.01}\n"))
    assert (config.seed, config.promote.alpha) == (7, 0.01)
    assert config.promote.slice_tolerance == FlywheelConfig().promote.slice_tolerance


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, f"home: {tmp_path}/from-file\n")
    assert load_config(file).home.name == "from-file"
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path / "from-environment"))
    assert load_config(file).home.name == "from-environment"
    assert load_config(file, home=tmp_path / "given").home.name == "given"


def test_flow_parameters_without_a_home_take_it_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path))
    assert from_environment(FlywheelConfig()).home == tmp_path
    assert from_environment(FlywheelConfig(home=Path("/elsewhere"))).home == Path("/elsewhere")


def test_a_home_that_is_a_url_is_refused_wherever_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="is a URL"):
        load_config(home=Path("s3://bucket/x"))
    with pytest.raises(ConfigurationError, match="is a URL"):
        load_config(write(tmp_path, "home: gs://bucket/x"))
    monkeypatch.setenv("FLYWHEEL_HOME", "s3://bucket/x")
    with pytest.raises(ConfigurationError, match="is a URL"):
        from_environment(FlywheelConfig())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sead: 1", "unknown key sead. Did you mean seed?"),
        ("promote: {alfa: 0.1}", "unknown key promote.alfa. Did you mean alpha?"),
        ("train: {policy: {kind: tiny, hiden_size: 64}}", "Did you mean hidden_size?"),
        ("train: {policy: {hidden_size: 64}}", "train.policy does not say its kind."),
        ("seed: many", "seed = 'many'"),
        ("- a list", "holds a list, not a mapping"),
        ("{", "is not YAML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_helps(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_config(write(tmp_path, text))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_lists_the_configurations_that_ship() -> None:
    with pytest.raises(ConfigurationError, match=r"one of: gpu, scale, smoke, tiny"):
        load_config(Path("no-such-file.yaml"))
    assert load_config(Path("tiny")).traffic.first_night < FlywheelConfig().traffic.first_night
