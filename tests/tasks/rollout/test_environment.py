"""Opening the configured environment: built in, a plug-in, or one clear error."""

import json
import sys
from pathlib import Path

import pytest

from schemas.config import EnvironmentConfig, FlywheelConfig
from schemas.errors import ConfigurationError
from tasks.rollout.environment import frozen, open_world
from tasks.rollout.sql_agent import SqlWorld
from tasks.rollout.tools import tool_schemas

PLUGIN = '''
class Bare:
    """A world of nothing."""

    def __init__(self, root, seed, salt, size=1):
        self.told = (root.name, seed, salt, size)

    def environment(self):
        return object()

    def close(self):
        pass
'''


def configured(config: FlywheelConfig, use: str, **options: int) -> FlywheelConfig:
    environment = EnvironmentConfig(use=use, options=options)
    return config.model_copy(update={"environment": environment})


def test_the_built_in_environment_opens(config: FlywheelConfig) -> None:
    world = open_world(config)
    assert isinstance(world, SqlWorld)
    world.close()


@pytest.mark.parametrize("use", ["nothing", "no.such.module:World", "json:World", ""])
def test_what_cannot_be_loaded_is_an_error_that_names_the_built_ins(
    config: FlywheelConfig, use: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be loaded.*sql_agent"):
        open_world(configured(config, use))


def test_a_plugin_is_named_by_package_module_and_attribute(
    config: FlywheelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "their_package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "shop.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    world = open_world(configured(config, "their_package.shop:Bare", size=4))
    assert type(world).__name__ == "Bare"
    assert vars(world) == {"told": ("environment", config.seed, "flywheel", 4)}
    with pytest.raises(ConfigurationError, match="colour"):
        open_world(configured(config, "their_package.shop:Bare", colour=3))
    for name in ("their_package", "their_package.shop"):
        monkeypatch.delitem(sys.modules, name)


def test_more_held_out_scenarios_than_there_are_is_an_error(config: FlywheelConfig) -> None:
    evaluate = config.evaluate.model_copy(update={"params": 100_000})
    with pytest.raises(ConfigurationError, match=r"has \d+ frozen_params scenarios, 100000 are"):
        frozen(config.model_copy(update={"evaluate": evaluate}))


def test_options_that_do_not_fit_are_an_error(config: FlywheelConfig) -> None:
    with pytest.raises(ConfigurationError, match="options do not fit sql_agent"):
        open_world(configured(config, "sql_agent", colour=1))


def test_tools_are_described_as_openai_schemas() -> None:
    schemas = {s["function"]["name"]: s["function"] for s in tool_schemas()}
    assert set(schemas) == {"describe_table", "calendar", "run_sql", "calculate"}
    assert schemas["run_sql"] == {
        "name": "run_sql",
        "description": "Run one SELECT statement.",
        "parameters": {
            "type": "object",
            "properties": {
                "query": {
                    "type": "string", "description": "The statement, in DuckDB's dialect.",
                },
            },
            "required": ["query"],
        },
    }  # fmt: skip
    assert schemas["calendar"]["parameters"]["properties"] == {}
    assert json.dumps(tool_schemas())
