"""Render the configuration reference (docs/configuration.md) from the configuration itself."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Iterator

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from schemas.config import FlywheelConfig
from schemas.section import Section

HEADER = """# Configuration

Written by `make fmt` from the docstrings of the configuration in `schemas/`;
`tests/test_docs.py` holds it up to date. The defaults are the embedded CPU profile: a YAML file
given with `--config` lists only what differs, and a key that is not below is refused.

```yaml
seed: 1
traffic:
  first_night: 6000
train:
  later_nights: [sft, rejection]
```
"""


def configuration_markdown() -> str:
    """Return every configuration key with its type, default, bounds and meaning, as Markdown."""
    parts = [HEADER]
    for path, section in sections("", FlywheelConfig):
        title = f"`{path}`" if path else "Top level"
        parts.append(f"\n## {title}\n\n{inspect.cleandoc(section.__doc__ or '')}\n\n")
        parts.append("| key | type | default | meaning |\n|---|---|---|---|\n")
        for name, field in section.model_fields.items():
            if not list(sections_of(field)):
                parts.append(row(f"{path}.{name}".lstrip("."), field))
    return "".join(parts)


def sections(path: str, section: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    """Yield a section and all below it, each with its dotted path."""
    yield path, section
    for name, field in section.model_fields.items():
        for inner in sections_of(field):
            yield from sections(f"{path}.{name}".lstrip("."), inner)


def sections_of(field: FieldInfo) -> Iterator[type[Section]]:
    """Yield the section a field holds; for a union, each section it may hold."""
    for kind in typing.get_args(field.annotation) or (field.annotation,):
        if inspect.isclass(kind) and issubclass(kind, Section):
            yield kind


def row(key: str, field: FieldInfo) -> str:
    """Render one key as a table row."""
    default = "required" if field.default is PydanticUndefined else f"`{as_yaml(field.default)}`"
    bounds = ", ".join(bound(part) for part in field.metadata if bound(part))
    kind = type_name(field.annotation) + (f", {bounds}" if bounds else "")
    meaning = " ".join((field.description or "").split())
    return f"| `{key}` | {kind} | {default} | {meaning} |\n"


def as_yaml(value: object) -> str:
    """Write a default as it would stand in a file."""
    return json.dumps(value, default=str) if not isinstance(value, str) else value


def bound(constraint: object) -> str:
    """Write one of pydantic's constraints as mathematics; empty for other metadata."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "multiple_of": "multiple of"}
    return ", ".join(
        f"{sign} {getattr(constraint, name)}"
        for name, sign in signs.items()
        if getattr(constraint, name, None) is not None
    )


def type_name(annotation: object) -> str:
    """Name a type for a reader who does not write Python."""
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return type_name(arguments[0])
    if origin is typing.Literal:
        return " \\| ".join(f"`{argument}`" for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("none" if part is type(None) else type_name(part) for part in arguments)
    if origin in (list, tuple):
        return f"list of {type_name(arguments[0])}"
    if origin is dict:
        return "mapping"
    names = {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name, name.lower())
