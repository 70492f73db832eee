"""Where a policy comes from: a hub id, a local folder, or a version in MLflow's registry.

train.policy.model: Qwen/Qwen3-0.6B              a hub id
train.policy.model: ./policies/mine              a folder
train.policy.model: models:/agent-policy/3       a version, or models:/agent-policy@champion
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError, MissingStateError

FORMS = (
    "Give train.policy.model as a hub id (Qwen/Qwen3-0.6B), a folder (./policies/mine), or a"
    " version (models:/agent-policy/3, models:/agent-policy@champion)."
)


class Registered(NamedTuple):
    """A version in the registry."""

    model: str
    """Name of the registered model."""
    reference: str
    """Version number or alias."""


def registered(source: str) -> Registered | None:
    """Read `models:/name/3` or `models:/name@alias`; None where a source is something else.

    Raises:
        ConfigurationError: It begins so and is neither.
    """
    if not source.startswith("models:"):
        return None
    found = re.fullmatch(
        r"models:/(?P<model>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[^/@]+))", source
    )
    if found is None:
        raise ConfigurationError(f"{source!r} names no version of a registered model.", FORMS)
    return Registered(found["model"], found["version"] or found["alias"])


def resolved(config: FlywheelConfig, source: str) -> str:
    """Turn a source into what `load_policy` takes; a registered version is brought to the home.

    Args:
        config: Where registry and home are.
        source: Hub id, folder, or version.

    Returns:
        A folder, or a hub id as it is.

    Raises:
        MissingStateError: There is no such folder or version.
    """
    version = registered(source)
    if version is not None:
        from models import registry

        return str(registry.fetch(_naming(config, version.model), version.reference))
    folder = Path(source).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise MissingStateError(
                f"The folder {source} holds no saved model: it has no config.json.", FORMS
            )
        return str(folder)
    if source.startswith(("/", ".", "~")) or source.count("/") > 1:
        raise MissingStateError(f"There is no folder {source}.", FORMS)
    return source


def described(config: FlywheelConfig, source: str) -> dict[str, Any]:
    """Read a source's `config.json` alone: no weights are fetched, and the home stays as it is.

    Raises:
        MissingStateError: It cannot be read.
    """
    version = registered(source)
    if version is not None:
        from models import registry

        named = _naming(config, version.model)
        return dict(json.loads(registry.read_file(named, version.reference, "config.json")))
    from transformers import PretrainedConfig

    found = resolved(config, source)
    try:
        return dict(PretrainedConfig.get_config_dict(found)[0])
    except OSError as error:
        raise MissingStateError(
            f"The model {source} cannot be read: {' '.join(str(error).splitlines()[0].split())}",
            FORMS,
        ) from error


def _naming(config: FlywheelConfig, model: str) -> FlywheelConfig:
    """Let the registry look for another model than the one that nights are registered under."""
    promote = config.promote.model_copy(update={"model_name": model})
    return config.model_copy(update={"promote": promote})
