"""The documents tell the truth: commands, keys, files and deployments they name exist."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from schemas.config import FlywheelConfig
from schemas.reference import configuration_markdown, sections

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGURATIONS = sorted((ROOT / "flows" / "configs").glob("*.yaml"))


def shell_lines(document: Path) -> Iterator[str]:
    """Yield the command lines of a document's shell blocks, without comments."""
    for block in re.findall(r"```(?:sh|bash|shell)\n(.*?)```", document.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.split("#")[0].strip():
                yield line.split("#")[0].strip()


def all_shell_lines() -> list[str]:
    return [line for document in DOCUMENTS for line in shell_lines(document)]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def commands() -> dict[str, Any]:
    """Give every command of the command line by its full name (`run nightly`)."""
    typer = pytest.importorskip("typer")
    root = typer.main.get_command(import_module("flows.cli.app").app)

    def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "commands"):
            yield name, command
            return
        for part, inner in command.commands.items():
            yield from walk(inner, f"{name} {part}".strip())

    return dict(walk(root, ""))


def test_the_configuration_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == configuration_markdown(), "docs/configuration.md is old. Run: make fmt"


def test_every_configuration_key_has_a_meaning() -> None:
    silent = [
        f"{path}.{name}"
        for path, section in sections("", FlywheelConfig)
        for name, field in section.model_fields.items()
        if not field.description
    ]
    assert not silent


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_example_configurations_are_valid_and_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    FlywheelConfig.model_validate(yaml.safe_load(text))
    assert len(text.splitlines()) <= 60


def test_yaml_examples_in_documents_are_valid_configurations() -> None:
    for document in DOCUMENTS:
        for block in re.findall(r"```yaml\n(.*?)```", document.read_text(), re.DOTALL):
            example = yaml.safe_load(block)
            if set(example) <= set(FlywheelConfig.model_fields):
                FlywheelConfig.model_validate(example)


def test_every_command_is_documented() -> None:
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    assert not [name for name in commands() if f"flywheel {name}" not in text]


def test_every_command_starts_with_an_imperative_and_shows_an_example() -> None:
    for name, command in commands().items():
        text = f"{command.help or ''}\n{command.epilog or ''}"
        assert text.strip(), f"{name} has no help"
        assert text.strip().splitlines()[0].endswith("."), f"{name}: the first line is a sentence"
        assert f"flywheel {name}" in text, f"{name} shows no example"


def test_documented_flywheel_commands_and_options_exist() -> None:
    known = commands()
    for line in all_shell_lines():
        found = re.search(r"(?:^|\s|/)flywheel ((?:[a-z]+ ?){1,2})(.*)", line)
        if not found or "-" in found[1]:
            continue
        words = found[1].split()
        name = next((n for n in (" ".join(words[:2]), words[0]) if n in known), None)
        assert name, f"{line!r}: no such command"
        options = {option for parameter in known[name].params for option in parameter.opts}
        for option in re.findall(r"(?<!\S)--[a-z-]+", line):
            assert option in options | {"--help"}, f"{line!r}: no option {option}"


def test_documented_make_targets_exist() -> None:
    for line in all_shell_lines():
        if line.startswith("make "):
            words = [word for word in line.split(";")[0].split()[1:] if "=" not in word]
            assert set(words) <= make_targets(), line


def test_every_make_target_is_in_its_help() -> None:
    explained = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert explained == make_targets()


def test_files_and_folders_named_in_documents_exist() -> None:
    folders = "schemas|warehouse|tasks|models|flows|tests|bench|docs"
    pattern = re.compile(rf"(?<![\w/.])((?:{folders})/[\w./-]*\w/?)")
    missing = {
        f"{document.name}: {name}"
        for document in DOCUMENTS
        for name in pattern.findall(document.read_text())
        if not (ROOT / name.rstrip(".")).exists()
    }
    assert not missing


def test_documents_link_to_each_other_correctly() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_deployments_name_a_real_flow_with_valid_parameters() -> None:
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    assert declared["deployments"]
    for deployment in declared["deployments"]:
        module, _, name = deployment["entrypoint"].replace(":", ".").rpartition(".")
        flow = getattr(import_module(module), name)
        given = deployment.get("parameters") or {}
        assert set(given) <= set(flow.parameters.properties), deployment["name"]
        assert set(flow.parameters.required) <= set(given), deployment["name"]
        if "config" in given:
            TypeAdapter(FlywheelConfig).validate_python(given["config"])


def test_decisions_are_dated_and_take_five_lines() -> None:
    text = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
    entries = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        title, *body = entry.strip().splitlines()
        assert re.match(r"20\d\d-\d\d-\d\d \S", title), title
        lines = [line for line in body if line.strip()]
        assert len(lines) == 5, f"{title}: {len(lines)} lines"
        assert [line.split(":")[0] for line in lines if line[:3] in {"Con", "Cho", "Cos"}] == [
            "Context", "Choice", "Cost",
        ], title  # fmt: skip


def test_no_file_names_a_place_of_one_machine() -> None:
    kinds = {".py", ".md", ".toml", ".txt", ".yaml", ".sql", ".cfg"}
    own = re.compile(
        r"/(?:home|root|opt|tmp|work)/\w|https?://(?:localhost|127)\S*/simple|--index-url"
    )
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.suffix in kinds and not parts[0].startswith(".") and path != Path(__file__):
            assert not own.search(path.read_text(encoding="utf-8")), path
