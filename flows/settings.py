"""Where a configuration comes from: defaults, a YAML file, the environment, the command line."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError

HOME = "FLYWHEEL_HOME"
"""Environment variable that names the home; a home on the command line wins over it."""
SHIPPED = Path(__file__).parent / "configs"
"""Configurations that come with the project; `--config tiny` means one of them."""


def load_config(
    file: Path | None = None, *, home: Path | None = None, changes: dict[str, Any] | None = None
) -> FlywheelConfig:
    """Read the configuration.

    Args:
        file: YAML file with what differs from the defaults, or the name of a shipped one.
        home: Home given on the command line; None asks the environment, then the file.
        changes: Top-level values that win over the file, for example the seed.

    Returns:
        The configuration, its home an absolute path.

    Raises:
        ConfigurationError: The file is missing, not YAML, or says what cannot be run.
    """
    values = read_yaml(file) if file else {}
    values |= changes or {}
    if home is not None:
        values["home"] = str(home)
    elif os.environ.get(HOME):
        values["home"] = os.environ[HOME]
    return validated(values, str(file) if file else "the configuration")


def from_environment(config: FlywheelConfig) -> FlywheelConfig:
    """Complete a configuration that came as flow parameters: its home, absolute.

    A home that the parameters name wins over `FLYWHEEL_HOME`.
    """
    home = config.home
    if "home" not in config.model_fields_set and os.environ.get(HOME):
        home = FlywheelConfig.model_validate({"home": os.environ[HOME]}).home
    return config.model_copy(update={"home": home.expanduser().resolve()})


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a mapping from a YAML file or a shipped configuration's name.

    Raises:
        ConfigurationError: There is no such file, or it holds no mapping.
    """
    shipped = SHIPPED / f"{file}.yaml"
    path = shipped if not file.exists() and shipped.exists() else file
    if not path.is_file():
        names = ", ".join(sorted(f.stem for f in SHIPPED.glob("*.yaml")))
        raise ConfigurationError(
            f"There is no configuration file {file}.", f"Give a YAML file, or one of: {names}."
        )
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise ConfigurationError(f"{path} is not YAML: {line}.", "Correct the file.") from None
    if values is not None and not isinstance(values, dict):
        raise ConfigurationError(
            f"{path} holds a {type(values).__name__}, not a mapping.", "Write `key: value` lines."
        )
    return dict(values or {})


def validated(values: dict[str, Any], origin: str) -> FlywheelConfig:
    """Turn plain values into a configuration.

    Raises:
        ConfigurationError: Naming the first wrong key, its value and what is close or allowed.
    """
    try:
        # A default is checked only where it is given.
        home = FlywheelConfig.model_fields["home"].default
        config = FlywheelConfig.model_validate({"home": home, **values})
    except ValidationError as error:
        raise _explained(error.errors()[0], origin) from None
    return config.model_copy(update={"home": config.home.expanduser().resolve()})


def _explained(detail: ErrorDetails, origin: str) -> ConfigurationError:
    """Say in one line what is wrong with a configuration."""
    location = [str(part) for part in detail["loc"]]
    key = ".".join(location)
    if detail["type"] == "union_tag_not_found":
        return ConfigurationError(
            f"{origin}: {key} does not say its kind.", f"Write {key}.kind: tiny, or hub."
        )
    if detail["type"] != "extra_forbidden":
        said = detail["msg"].removeprefix("Value error, ")  # pydantic's, before words of ours
        return ConfigurationError(
            f"{origin}: {key} = {detail['input']!r}: {said}.", "Correct the value."
        )
    known = _fields_at(FlywheelConfig, location[:-1])
    close = difflib.get_close_matches(location[-1], known, n=3)
    hint = f"Did you mean {', '.join(close)}?" if close else f"Known here: {', '.join(known)}."
    return ConfigurationError(f"{origin}: unknown key {key}.", hint)


def _fields_at(model: type[BaseModel], location: list[str]) -> list[str]:
    """List the keys that a section of the configuration knows."""
    options: list[type[BaseModel]] = [model]
    for part in location:
        sections = [m.model_fields[part].annotation for m in options if part in m.model_fields]
        if sections:
            options = [m for section in sections for m in _models_in(section)]
        else:  # the tag of a union, for example `tiny`: keep the option that has it
            options = [m for m in options if m.model_fields["kind"].default == part] or options
    return sorted({name for option in options for name in option.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Find the sections in an annotation, for example both sides of a union."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for part in get_args(annotation) for model in _models_in(part)]
