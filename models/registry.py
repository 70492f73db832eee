"""The model registry in MLflow: registered policies, their aliases, and rollback."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

# MLflow reads these when it is imported: nothing leaves this machine.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from models.tracking import (
    connect,
    dataset_input,
    experiment_id,
    has_store,
    log_metrics,
    tracking_uri,
)  # fmt: skip
from schemas.config import FlywheelConfig
from schemas.errors import FlywheelError, InvariantError, MissingStateError

Alias = Literal["champion", "challenger"]
KEY = "flywheel.key"
"""Tag that makes a registration repeatable: one version a key."""
PREVIOUS = "gate.previous"
"""Tag with the version that was champion before."""
PICKLES = {".bin", ".pkl", ".pickle", ".pt", ".pth", ".joblib"}
"""Suffixes of files that run code when they are loaded; the registry holds none."""
ABSENT = "RESOURCE_DOES_NOT_EXIST"
"""MLflow's code for what is not there; any other is a registry that cannot answer."""
PAPERS = "papers"
"""Folder beside a registered policy's own files for lineage and report."""


def register(
    model_dir: Path, *, config: FlywheelConfig, night: str, tags: Mapping[str, str],
    metrics: Mapping[str, float], description: str, datasets: Sequence[Mapping[str, Any]],
    artifacts: Sequence[Path], run_id: str | None = None, key: str | None = None,
) -> str:  # fmt: skip
    """Register a policy saved by `save_pretrained`, with what is known about it.

    Args:
        model_dir: Folder of weights and tokenizer.
        config: Where the registry is, and the model's name.
        night: `YYYY-MM-DD` it was trained.
        tags: `lineage.*` and `gate.*` tags of the version.
        metrics: Frozen figures, linked to model, run and first dataset.
        description: Markdown of the version's page.
        datasets: What it learned from, each `{"name", "version", "digest"}`.
        artifacts: Files kept beside the weights, for example `lineage.json`.
        run_id: MLflow run that trained it; None starts one.
        key: Makes a repeat harmless: a version with this key is returned as it is.

    Returns:
        Version number as text.

    Raises:
        InvariantError: The folder is empty or holds a pickle.
    """
    _refuse_pickles(model_dir)
    client = connect(config)
    name = config.promote.model_name
    if key and (found := _version_of_key(client, name, key)):
        return found
    run_id = run_id or _new_run(client, config, night, datasets)
    experiment = client.get_run(run_id).info.experiment_id
    model = client.create_logged_model(
        experiment, name="policy", source_run_id=run_id, model_type="policy",
        tags={str(k): str(v) for k, v in tags.items()}, params={"night": night},
    )  # fmt: skip
    client.log_model_artifacts(model.model_id, str(model_dir))
    for artifact in artifacts:
        client.log_model_artifact(model.model_id, str(artifact), artifact_path=PAPERS)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, models=[LoggedModelOutput(model.model_id, 0)])
    _log_figures(client, run_id, model.model_id, metrics, datasets)
    _ensure_name(client, name)
    version = client.create_model_version(
        name, source=model.artifact_location, run_id=run_id, model_id=model.model_id,
        description=description,
        tags={**{str(k): str(v) for k, v in tags.items()}, **({KEY: key} if key else {})},
    )  # fmt: skip
    return str(version.version)


def version_of_key(config: FlywheelConfig, key: str) -> str | None:
    """Find the version that was registered under a key; None when there is none."""
    if not has_store(config):
        return None
    with _answering(config):
        return _version_of_key(connect(config), config.promote.model_name, key)


def alias_version(config: FlywheelConfig, alias: Alias) -> str | None:
    """Say which version an alias stands for; None when it stands for none.

    Raises:
        FlywheelError: The registry does not answer.
    """
    if not has_store(config):
        return None
    with _answering(config):
        return _aliases(connect(config), config.promote.model_name).get(alias)


def set_alias(config: FlywheelConfig, alias: Alias, version: str) -> None:
    """Let an alias stand for a version."""
    with _answering(config):
        connect(config).set_registered_model_alias(config.promote.model_name, alias, version)


def set_tags(config: FlywheelConfig, version: str, tags: Mapping[str, str]) -> None:
    """Add tags to a version."""
    client = connect(config)
    for key, value in tags.items():
        client.set_model_version_tag(config.promote.model_name, version, key, str(value))


def describe(config: FlywheelConfig, reference: str) -> dict[str, Any]:
    """Tell what the registry knows about a version or alias.

    Returns:
        `version`, `run_id`, `tags`, `aliases`, `description` and `created_ms`.

    Raises:
        MissingStateError: There is no such version or alias.
    """
    found = _find(config, reference)
    return {
        "version": str(found.version), "run_id": found.run_id, "tags": dict(found.tags),
        "aliases": list(found.aliases), "description": found.description or "",
        "created_ms": found.creation_timestamp,
    }  # fmt: skip


def versions(config: FlywheelConfig) -> list[dict[str, Any]]:
    """List every registered version, oldest first; empty when there is none."""
    if not has_store(config):
        return []
    with _answering(config):
        rows = connect(config).search_model_versions(f"name = '{config.promote.model_name}'")
    found = [describe(config, str(row.version)) for row in rows]
    return sorted(found, key=lambda row: int(row["version"]))


def fetch(config: FlywheelConfig, reference: str) -> Path:
    """Bring a registered policy to the home.

    Args:
        config: Where registry and home are.
        reference: Alias or version.

    Returns:
        Folder with the policy's own files; a version is downloaded once.

    Raises:
        MissingStateError: There is no such version or alias.
    """
    found = _find(config, reference)
    # Another registry, or another model in it, has its own version 1.
    name = f"{found.name}-v{found.version}-{found.model_id or found.run_id}"
    target = config.home.resolve() / "policies" / name
    if not target.exists():
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with _answering(config):
            client = connect(config)
            uri = client.get_model_version_download_uri(found.name, found.version)
            download_artifacts(artifact_uri=uri, dst_path=str(partial), tracking_uri=None)
        _unnest(partial)
        shutil.rmtree(partial / PAPERS, ignore_errors=True)
        (partial / "MLmodel").unlink(missing_ok=True)
        partial.rename(target)
    return target


def read_file(config: FlywheelConfig, reference: str, name: str) -> bytes:
    """Read one file of a registered policy and leave the home as it is.

    Args:
        config: Where the registry is.
        reference: Alias or version.
        name: File's name beside the weights.

    Raises:
        MissingStateError: There is no such version or alias.
    """
    found = _find(config, reference)
    with _answering(config), tempfile.TemporaryDirectory() as folder:
        uri = connect(config).get_model_version_download_uri(found.name, found.version)
        file = download_artifacts(artifact_uri=f"{uri}/{name}", dst_path=folder, tracking_uri=None)
        return Path(file).read_bytes()


def rollback(config: FlywheelConfig, *, at: str) -> tuple[str, str]:
    """Let the champion be the version that was champion before it.

    Args:
        config: Where the registry is.
        at: Time of the rollback, ISO 8601, kept as a tag of the version that goes.

    Returns:
        The version that went and the one that is champion now.

    Raises:
        MissingStateError: There is no champion, or none before it.
    """
    current = describe(config, "champion")
    previous = current["tags"].get(PREVIOUS)
    if not previous or previous == "none":
        raise MissingStateError(
            f"Version {current['version']} is the first champion; there is none before it.",
            "Serve the agent that ran before the flywheel, or promote another version.",
        )
    set_alias(config, "champion", previous)
    set_tags(config, current["version"], {"gate.rolled_back": at})
    return current["version"], previous


def _find(config: FlywheelConfig, reference: str) -> ModelVersion:
    """Look a version or alias up."""
    name = config.promote.model_name
    if has_store(config):
        with _answering(config):
            client = connect(config)
            version = reference
            if not reference.isdigit():
                version = _aliases(client, name).get(reference, "")
            if version and (found := _version(client, name, version)):
                return found
    what = f"version {reference}" if reference.isdigit() else f"'{reference}'"
    raise MissingStateError(
        f"The registry in {config.home} has no {what} of model {name}.",
        "Run `flywheel run nightly` (or `flywheel demo`) to make one.",
    )


def _aliases(client: MlflowClient, name: str) -> dict[str, str]:
    """Give the version of each alias; none when the model was never registered."""
    try:
        found = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        return {}
    return {alias: str(version) for alias, version in found.items()}


def _version(client: MlflowClient, name: str, version: str) -> ModelVersion | None:
    """Look a version up; None when there is no such one."""
    try:
        return client.get_model_version(name, version)
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        return None


@contextmanager
def _answering(config: FlywheelConfig) -> Iterator[None]:
    """Turn what keeps the registry from answering into one known error.

    Raises:
        FlywheelError: MLflow, or the database below it, failed.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        # The address itself is not told: it may hold a password.
        local = tracking_uri(config).startswith(f"sqlite:///{config.home.resolve()}")
        where = f"in {config.home}" if local else "that MLFLOW_TRACKING_URI names"
        said = str(error).strip().splitlines()[0]
        raise FlywheelError(
            f"The registry {where} cannot be reached: {said}",
            "Check that its store is there and whole, and MLFLOW_TRACKING_URI if it is set.",
        ) from error


def _version_of_key(client: MlflowClient, name: str, key: str) -> str | None:
    """Find the version that was registered under a key."""
    found = client.search_model_versions(f"name = '{name}' and tag.`{KEY}` = '{key}'")
    return str(found[0].version) if found else None


def _new_run(
    client: MlflowClient, config: FlywheelConfig, night: str,
    datasets: Sequence[Mapping[str, Any]],
) -> str:  # fmt: skip
    """Make a run for a policy that came without one, for example trained elsewhere."""
    tags = {"flywheel.night": night}
    run = client.create_run(experiment_id(client, config), run_name=f"import {night}", tags=tags)
    if datasets:
        client.log_inputs(run.info.run_id, datasets=[dataset_input(d) for d in datasets])
    client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)


def _log_figures(
    client: MlflowClient, run_id: str, model_id: str, metrics: Mapping[str, float],
    datasets: Sequence[Mapping[str, Any]],
) -> None:  # fmt: skip
    """Write figures that link run, model and dataset."""
    links = {"model_id": model_id}
    if datasets:
        entity = dataset_input(datasets[0]).dataset
        links |= {"dataset_name": entity.name, "dataset_digest": entity.digest}
    log_metrics(client, run_id, metrics, links=links)


def _ensure_name(client: MlflowClient, name: str) -> None:
    """Create the registered model once."""
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        client.create_registered_model(
            name, description="Policies that agent-flywheel trained; alias `champion` serves."
        )


def _refuse_pickles(model_dir: Path) -> None:
    """Stop a folder that is empty or would run code on load."""
    files = [f for f in model_dir.rglob("*") if f.is_file()] if model_dir.is_dir() else []
    if not files:
        raise InvariantError(
            f"There is no saved policy in {model_dir}.", "Run `flywheel train` for the night again."
        )
    if pickles := sorted(f.name for f in files if f.suffix in PICKLES):
        raise InvariantError(
            f"{model_dir} holds {pickles[0]}, which runs code when it is loaded.",
            "Register what save_pretrained wrote (safetensors and JSON).",
        )


def _unnest(folder: Path) -> None:
    """Lift the files up when the download put them into one folder of their own."""
    inside = list(folder.iterdir())
    if len(inside) == 1 and inside[0].is_dir():
        for item in inside[0].iterdir():
            item.rename(folder / item.name)
        inside[0].rmdir()


def datasets_of_run(config: FlywheelConfig, run_id: str | None) -> list[dict[str, Any]]:
    """List the dataset versions that a run learned from, each `name`, `version` and `digest`."""
    if not run_id or not has_store(config):
        return []
    with _answering(config):
        inputs = connect(config).get_run(run_id).inputs
    found = []
    for item in inputs.dataset_inputs if inputs else []:
        name, _, version = item.dataset.name.partition("@v")
        digest = item.dataset.digest
        found.append({"name": name, "version": int(version or 0), "digest": digest})
    return found
