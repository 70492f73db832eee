"""The architecture holds: who imports whom, how large things grow, what things are called."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "warehouse", "tasks", "models", "flows")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
EVERYTHING = sorted([*MODULES, *(ROOT / "bench").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])

MAY_IMPORT = {
    "schemas": {"schemas"},
    "warehouse": {"warehouse", "schemas"},
    "models": {"models", "schemas"},
    "tasks": {"tasks", "models", "warehouse", "schemas"},
    "flows": set(PACKAGES),
}
"""The packages a package may import: one way, and models and warehouse apart."""

HOMES = {
    "duckdb": ("warehouse/",),
    "deltalake": ("warehouse/",),
    "torch": ("models/",),
    "transformers": ("models/",),
    "trl": ("models/",),
    "peft": ("models/",),
    "vllm": ("models/",),
    "mlflow": ("models/tracking.py", "models/registry.py"),
    "typer": ("flows/",),
}
"""The only places where a library may be imported (Prefect has a test of its own)."""

PLUGIN_BOUNDARY = {"models/generation.py", "tasks/ingest/detect.py", "tasks/label/own.py"}
"""Files that may catch `Exception`: they stand around users' own code."""

VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of every import, also of those inside functions."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            yield node.module or ""


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def decorators(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    calls = [d.func if isinstance(d, ast.Call) else d for d in function.decorator_list]
    return {call.id for call in calls if isinstance(call, ast.Name)}


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function below its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_the_five_packages_are_found() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package: str) -> None:
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in MODULES
        if path.relative_to(ROOT).parts[0] == package
        for name in imported(path)
        if name.split(".")[0] in set(PACKAGES) - MAY_IMPORT[package]
    ]
    assert not wrong


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_where_it_lives(library: str) -> None:
    wrong = [
        name_of(path)
        for path in MODULES
        if not name_of(path).startswith(HOMES[library])
        and library in {name.split(".")[0] for name in imported(path)}
    ]
    assert not wrong


def test_prefect_is_imported_only_in_flows_and_in_a_stages_task_file() -> None:
    wrong = [
        name_of(path)
        for path in MODULES
        if path.relative_to(ROOT).parts[0] != "flows"
        and not (path.relative_to(ROOT).parts[0] == "tasks" and path.name == "task.py")
        and "prefect" in {name.split(".")[0] for name in imported(path)}
    ]
    assert not wrong


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in EVERYTHING}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    lengths = {
        f"{name_of(path)}:{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in EVERYTHING
        for function in functions(path)
    }
    assert {name: length for name, length in lengths.items() if length > 60} == {}


@pytest.mark.parametrize(("decorator", "limit"), [("task", 15), ("flow", 40)])
def test_prefect_shells_stay_thin(decorator: str, limit: int) -> None:
    lengths = {
        f"{name_of(path)}:{function.name}": body_lines(function)
        for path in MODULES
        for function in functions(path)
        if decorator in decorators(function)
    }
    assert lengths, f"no @{decorator} was found"
    assert {name: length for name, length in lengths.items() if length > limit} == {}


def test_names_of_files_and_folders_say_what_is_in_them() -> None:
    parts = {part for path in EVERYTHING for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not parts & VAGUE


def test_every_module_says_its_subject_first() -> None:
    silent = [name_of(path) for path in EVERYTHING if not ast.get_docstring(tree_of(path))]
    assert not silent


def test_a_package_file_holds_only_its_docstring() -> None:
    wrong = [
        name_of(path)
        for path in MODULES
        if path.name == "__init__.py" and len(tree_of(path).body) != 1
    ]
    assert not wrong


def test_every_folder_of_modules_is_a_package_and_tests_are_none() -> None:
    assert not [
        name_of(path.parent) for path in MODULES if not (path.parent / "__init__.py").exists()
    ]
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_exception_is_caught_only_at_the_boundary_around_plugins() -> None:
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in EVERYTHING
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
        if name_of(path) not in PLUGIN_BOUNDARY
    ]
    assert not wrong


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler swallows whatever comes; one that raises again is no swallower."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {kind.id if isinstance(kind, ast.Name) else kind and "" for kind in kinds}
    raises = any(isinstance(node, ast.Raise) and node.exc is None for node in handler.body)
    return bool(names & {"Exception", "BaseException", None}) and not raises


def test_tests_patch_nothing() -> None:
    wrong = [name_of(path) for path in EVERYTHING if "unittest.mock" in set(imported(path))]
    assert not wrong


def test_sql_files_hold_one_statement_and_say_what_they_answer() -> None:
    for path in sorted((ROOT / "warehouse" / "sql").glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("--"), f"{path.name} starts without a comment"
        statements = duckdb.extract_statements(text)
        assert len(statements) == 1, f"{path.name} holds {len(statements)} statements"


@pytest.mark.parametrize("module", ["flows.cli.app", "tasks.ingest.ingest", "tasks.label.label"])
def test_what_must_start_fast_does_not_load_the_heavy_libraries(module: str) -> None:
    heavy = {"torch", "transformers", "trl", "mlflow", "vllm"}
    code = f"import sys, {module}; print(*({heavy!r} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []
