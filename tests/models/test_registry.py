"""The registry over a real MLflow store in sqlite: versions, aliases, rollback, and no pickle."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import registry
from models.tracking import NightRun, connect, tracking_uri
from schemas.config import FlywheelConfig, PromoteConfig
from schemas.errors import FlywheelError, InvariantError, MissingStateError

DATASETS = [{"name": "trajectories", "version": 0, "digest": "abc123", "path": "tables/t"}]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> FlywheelConfig:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        config = FlywheelConfig(home=tmp_path_factory.mktemp("home"))
        connect(config).search_experiments()  # creates the schema once, the slow part
        yield config


def policy(folder: Path, weights: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text("{}")
    return folder


def put(config: FlywheelConfig, folder: Path, previous: str, key: str | None = None) -> str:
    return registry.register(
        folder, config=config, night="2026-01-01", key=key, metrics={"frozen/pass_at_1": 0.9},
        tags={"gate.decision": "promoted", "gate.previous": previous, "lineage.build": "b1"},
        description="|a|b|\n|---|---|\n|1|2|", datasets=DATASETS, artifacts=[],
    )  # fmt: skip


def test_an_empty_registry_has_no_champion_and_says_what_to_do(tmp_path: Path) -> None:
    config = FlywheelConfig(home=tmp_path)
    assert registry.alias_version(config, "champion") is None
    assert registry.versions(config) == []
    with pytest.raises(MissingStateError, match=r"no 'champion'.*flywheel run nightly"):
        registry.fetch(config, "champion")
    assert not (tmp_path / "mlflow").exists()  # asking creates nothing


def test_a_registered_policy_comes_back_byte_for_byte(
    config: FlywheelConfig, tmp_path: Path
) -> None:
    note = tmp_path / "lineage.json"
    note.write_text("{}")
    folder = policy(tmp_path / "p", b"weights one")
    version = registry.register(
        folder, config=config, night="2026-01-01", metrics={"m": 1.0}, tags={"lineage.build": "b"},
        description="d", datasets=DATASETS, artifacts=[note],
    )  # fmt: skip
    back = registry.fetch(config, version)
    assert sorted(f.name for f in back.iterdir()) == ["config.json", "model.safetensors"]
    assert (back / "model.safetensors").read_bytes() == b"weights one"
    assert registry.describe(config, version)["tags"]["lineage.build"] == "b"


def test_two_models_of_one_registry_do_not_share_a_folder(
    config: FlywheelConfig, tmp_path: Path
) -> None:
    other = config.model_copy(update={"promote": PromoteConfig(model_name="another-policy")})
    first = put(config, policy(tmp_path / "1", b"one"), "none")
    second = put(other, policy(tmp_path / "2", b"two"), "none")
    folders = registry.fetch(config, first), registry.fetch(other, second)
    assert [(f / "model.safetensors").read_bytes() for f in folders] == [b"one", b"two"]
    assert folders[0].name.startswith(f"agent-policy-v{first}-")


def test_an_alias_that_was_never_set_is_none_and_not_an_error(config: FlywheelConfig) -> None:
    unset = config.model_copy(update={"promote": PromoteConfig(model_name="unset-policy")})
    assert registry.alias_version(unset, "champion") is None
    with pytest.raises(MissingStateError, match="no version 77"):
        registry.describe(config, "77")


def test_a_store_that_is_no_database_is_one_clear_line(tmp_path: Path) -> None:
    broken = FlywheelConfig(home=tmp_path)
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_text("no database" * 1000)
    with pytest.raises(FlywheelError, match=r"registry in .* cannot be reached") as told:
        registry.alias_version(broken, "champion")
    assert "\n" not in str(told.value)


def test_registering_twice_under_one_key_makes_one_version(
    config: FlywheelConfig, tmp_path: Path
) -> None:
    folder = policy(tmp_path / "p", b"w")
    assert put(config, folder, "none", key="k1") == put(config, folder, "none", key="k1")


def test_rollback_returns_to_the_champion_before_and_stops_at_the_first(
    config: FlywheelConfig, tmp_path: Path
) -> None:
    first = put(config, policy(tmp_path / "1", b"1"), "none")
    second = put(config, policy(tmp_path / "2", b"2"), first)
    registry.set_alias(config, "champion", second)
    assert registry.rollback(config, at="2026-01-02T00:00:00Z") == (second, first)
    assert registry.alias_version(config, "champion") == first
    assert registry.describe(config, second)["tags"]["gate.rolled_back"] == "2026-01-02T00:00:00Z"
    with pytest.raises(MissingStateError, match="is the first champion"):
        registry.rollback(config, at="2026-01-03T00:00:00Z")


def test_a_pickle_is_refused(config: FlywheelConfig, tmp_path: Path) -> None:
    folder = policy(tmp_path / "p", b"w")
    (folder / "training_args.bin").write_bytes(b"\x80")
    with pytest.raises(InvariantError, match=r"training_args\.bin"):
        put(config, folder, "none")


def test_a_night_has_a_child_run_for_each_candidate_with_its_table_versions(
    config: FlywheelConfig,
) -> None:
    with NightRun(config, "2026-01-01", params={"sft": {"lr": 1}}, datasets=DATASETS) as night:
        child = night.candidate("sft", metrics={"validation": 0.8}, history=[{"loss": 2.0}] * 3)
    client = connect(config)
    run = client.get_run(child)
    assert run.data.tags["mlflow.parentRunId"] == night.run_id
    assert run.data.metrics["validation"] == 0.8
    assert [d.dataset.name for d in run.inputs.dataset_inputs] == ["trajectories@v0"]
    assert client.get_run(night.run_id).info.status == "FINISHED"
    assert client.get_run(night.run_id).data.params == {"sft.lr": "1"}
    assert tracking_uri(config).startswith("sqlite:///")


def test_a_night_that_was_killed_does_not_stay_running(config: FlywheelConfig) -> None:
    killed = NightRun(config, "2026-01-09")
    with NightRun(config, "2026-01-09") as again:
        pass
    client = connect(config)
    found = [client.get_run(run.run_id).info.status for run in (killed, again)]
    assert found == ["KILLED", "FINISHED"]
