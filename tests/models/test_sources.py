"""A policy's source: a hub id, a folder, or a version in the registry."""

import json
from pathlib import Path
from typing import Any

import pytest

from models import registry
from models.policy import load_policy, save_policy, weights_digest
from models.sources import described, registered, resolved
from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError, MissingStateError


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield FlywheelConfig(home=tmp_path_factory.mktemp("home"))


def test_a_version_and_an_alias_are_told_from_hub_ids_and_folders() -> None:
    assert registered("models:/agent-policy/3") == ("agent-policy", "3")
    assert registered("models:/agent-policy@champion") == ("agent-policy", "champion")
    assert registered("Qwen/Qwen3-0.6B") is None
    with pytest.raises(ConfigurationError, match="names no version"):
        registered("models:/agent-policy")


def test_a_registered_version_is_trained_from_like_a_folder(
    new: Any, config: FlywheelConfig, tmp_path: Path
) -> None:
    folder = save_policy(new(seed=5), tmp_path / "policy")
    version = registry.register(
        folder, config=config, night="2026-01-01", metrics={}, tags={}, description="",
        datasets=[], artifacts=[],
    )  # fmt: skip
    registry.set_alias(config, "champion", version)
    other = config.model_copy(
        update={"promote": config.promote.model_copy(update={"model_name": "elsewhere"})}
    )  # the name in the source counts, not the one that nights are registered under
    name = config.promote.model_name

    asked = described(other, f"models:/{name}@champion")
    assert asked["hidden_size"] == json.loads((folder / "config.json").read_text())["hidden_size"]
    assert not (config.home / "policies").exists()  # to ask fetched nothing

    brought = resolved(other, f"models:/{name}/{version}")
    assert weights_digest(Path(brought)) == weights_digest(folder)
    load_policy(brought)
    with pytest.raises(MissingStateError, match="has no version 9"):
        resolved(other, f"models:/{name}/9")


def test_a_folder_is_taken_as_it_is_and_a_missing_one_is_one_clear_line(
    config: FlywheelConfig, new: Any, tmp_path: Path
) -> None:
    folder = save_policy(new(), tmp_path / "policy")
    assert resolved(config, str(folder)) == str(folder)
    assert described(config, str(folder))["model_type"] == "qwen3"
    with pytest.raises(MissingStateError, match=r"no folder .*nowhere.*models:/agent-policy/3"):
        resolved(config, str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingStateError, match=r"no config\.json"):
        resolved(config, str(tmp_path / "empty"))


def test_a_hub_id_is_left_to_the_hub_and_one_out_of_reach_is_one_clear_line(
    config: FlywheelConfig,
) -> None:
    assert resolved(config, "Qwen/Qwen3-0.6B") == "Qwen/Qwen3-0.6B"
    with pytest.raises(MissingStateError, match="nobody/nothing cannot be read") as caught:
        described(config, "nobody/nothing")  # tests run offline
    assert "\n" not in str(caught.value)
