"""Runs in MLflow: one a night, a child run a candidate, and the datasets they learned from."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# MLflow reads these when it is imported: nothing leaves this machine, and no progress bars.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from schemas.config import FlywheelConfig

BATCH = 900
"""Metrics of one request; MLflow refuses more than 1,000."""
PARAM_LENGTH = 5000
"""Characters of a parameter; MLflow refuses more than 6,000."""

for _chatty in ("alembic", "mlflow.store.db.utils", "mlflow.tracking.fluent"):
    logging.getLogger(_chatty).setLevel(logging.WARNING)


def tracking_uri(config: FlywheelConfig) -> str:
    """Say where runs and models are kept: `MLFLOW_TRACKING_URI`, else sqlite in the home."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    return given or f"sqlite:///{_folder(config) / 'mlflow.db'}"


def connect(config: FlywheelConfig) -> MlflowClient:
    """Open the home's MLflow store; the first call creates its database (a few seconds)."""
    uri = tracking_uri(config)
    if uri.startswith("sqlite:///"):
        _folder(config).mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def has_store(config: FlywheelConfig) -> bool:
    """Say whether there is a store already, without creating one."""
    return (
        not tracking_uri(config).startswith("sqlite:///")
        or (_folder(config) / "mlflow.db").exists()
    )


def experiment_id(client: MlflowClient, config: FlywheelConfig) -> str:
    """Find the experiment that holds the nights, or create it with its artifacts in the home."""
    name = config.promote.model_name
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    local = tracking_uri(config).startswith("sqlite:///")
    location = (_folder(config) / "artifacts").as_uri() if local else None
    return str(client.create_experiment(name, artifact_location=location))


class NightRun:
    """The MLflow run of a night. Candidates are its child runs.

    Use it as a context manager: an exception marks the run failed. What a try of the same night
    that was killed left running is marked `KILLED`.

    Args:
        config: Where the store is.
        night: `YYYY-MM-DD`.
        params: What the night was run with; nested values are flattened with dots.
        datasets: What it learns from, each `{"name", "version", "digest", "path"?}`.
    """

    def __init__(
        self, config: FlywheelConfig, night: str, *, params: Mapping[str, Any] | None = None,
        datasets: Sequence[Mapping[str, Any]] = (),
    ) -> None:  # fmt: skip
        self._client = connect(config)
        self._experiment = experiment_id(self._client, config)
        self._night = night
        self._close_killed()
        self._datasets = [dataset_input(d) for d in datasets]
        self.run_id = self._create(f"night {night}", {"flywheel.night": night})
        self._describe(self.run_id, params or {}, {})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.finish("FINISHED" if kind is None else "FAILED")

    def candidate(
        self, name: str, *, params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        history: Sequence[Mapping[str, float]] = (), tags: Mapping[str, str] | None = None,
    ) -> str:  # fmt: skip
        """Record one candidate as a finished child run.

        Args:
            name: Name of the candidate, for example `grpo`.
            params: Its recipe.
            metrics: Final figures, for example its validation success.
            history: One mapping a training step; the key `step` numbers it.
            tags: More tags of the run.

        Returns:
            Id of the child run.
        """
        marks = {MLFLOW_PARENT_RUN_ID: self.run_id, "flywheel.candidate": name, **(tags or {})}
        run_id = self._create(f"{self._night} {name}", {"flywheel.night": self._night, **marks})
        self._describe(run_id, params or {}, metrics or {}, history)
        self._client.set_terminated(run_id, "FINISHED")
        return run_id

    def log(self, metrics: Mapping[str, float]) -> None:
        """Add figures to the night's run."""
        log_metrics(self._client, self.run_id, metrics)

    def attach(self, files: Sequence[Path], folder: str) -> None:
        """Keep files that are there, under a folder of the run's artifacts; others are left out."""
        for file in files:
            if file.is_file():
                self._client.log_artifact(self.run_id, str(file), artifact_path=folder)

    def finish(self, status: str = "FINISHED") -> None:
        """End the night's run as `FINISHED` or `FAILED`."""
        self._client.set_terminated(self.run_id, status)

    def _close_killed(self) -> None:
        """Mark as killed what an earlier try of this night left running."""
        left = self._client.search_runs(
            [self._experiment],
            f"tags.`flywheel.night` = '{self._night}' and attributes.status = 'RUNNING'",
        )
        for run in left:
            self._client.set_terminated(run.info.run_id, "KILLED")

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        """Start a run with the night's datasets as inputs; a child does not show its parent's."""
        run = self._client.create_run(self._experiment, run_name=name, tags=dict(tags))
        if self._datasets:
            self._client.log_inputs(run.info.run_id, datasets=self._datasets)
        return str(run.info.run_id)

    def _describe(
        self, run_id: str, params: Mapping[str, Any], metrics: Mapping[str, float],
        history: Sequence[Mapping[str, float]] = (),
    ) -> None:  # fmt: skip
        """Write parameters and figures in batches: one by one costs 19 ms each."""
        flat = [Param(k, v[:PARAM_LENGTH]) for k, v in flatten(params).items()]
        for start in range(0, len(flat), 100):
            self._client.log_batch(run_id, params=flat[start : start + 100])
        log_metrics(self._client, run_id, metrics, history)


def log_metrics(
    client: MlflowClient, run_id: str, metrics: Mapping[str, float],
    history: Sequence[Mapping[str, float]] = (), links: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Write figures of a run in batches.

    Args:
        client: Open store.
        run_id: Run that they belong to.
        metrics: Final figures.
        history: One mapping a step; the key `step` numbers it, anything not a number is left out.
        links: `model_id`, `dataset_name`, `dataset_digest` that the figures are about.
    """
    now = int(time.time() * 1000)
    points = [Metric(k, float(v), now, 0, **(links or {})) for k, v in metrics.items()]
    for index, row in enumerate(history):
        step = int(row.get("step", index))
        points += [
            Metric(k, float(v), now, step, **(links or {}))
            for k, v in row.items()
            if k != "step" and isinstance(v, int | float)
        ]
    for start in range(0, len(points), BATCH):
        client.log_batch(run_id, metrics=points[start : start + BATCH])


def dataset_input(dataset: Mapping[str, Any]) -> DatasetInput:
    """Describe a table version to MLflow.

    Name and digest carry table and version: MLflow's own Delta source drops a version 0.
    """
    name, version = str(dataset["name"]), str(dataset.get("version", ""))
    source = json.dumps({"path": str(dataset.get("path", name)), "version": version})
    entity = Dataset(
        name=f"{name}@v{version}" if version else name,
        digest=str(dataset.get("digest") or f"v{version}")[:36],
        source_type="delta", source=source,
    )  # fmt: skip
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Turn nested parameters into dotted text ones."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def tag_run(config: FlywheelConfig, run_id: str, tags: Mapping[str, str]) -> None:
    """Add tags to a run."""
    connect(config).log_batch(run_id, tags=[RunTag(k, str(v)) for k, v in tags.items()])


def _folder(config: FlywheelConfig) -> Path:
    """Give the store's folder in the home."""
    return config.home.resolve() / "mlflow"
