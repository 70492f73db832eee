"""The environment that docs/training.md shows runs as it stands; its bounds are the defaults."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from schemas.config import FlywheelConfig
from schemas.monitor_config import MonitorConfig
from schemas.training_config import STAGES
from tasks.rollout.environment import open_world
from tasks.rollout.play import play_policy
from tasks.train.diagnosis import diagnose

PAGE = (Path(__file__).parent.parent / "docs" / "training.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlywheelConfig]:
    """Write the page's module into a folder, and configure it as the page does."""
    [code] = blocks("python")
    place = tmp_path / code.splitlines()[0].removeprefix("# ")
    place.parent.mkdir()
    place.write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    [shown] = [made for made in map(yaml.safe_load, blocks("yaml")) if "environment" in made]
    yield FlywheelConfig.model_validate({"home": tmp_path / "home", **shown})
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme"]:
        del sys.modules[name]


def test_the_environment_of_the_page_draws_disjoint_splits_that_are_large_enough(
    config: FlywheelConfig,
) -> None:
    world = open_world(config)
    wanted = {
        "train": 1000, "validation": config.train.validation_scenarios,
        "frozen_params": config.evaluate.params,
        "frozen_compositions": config.evaluate.compositions,
    }  # fmt: skip
    drawn = {split: world.draw(split, count, 1) for split, count in wanted.items()}  # type: ignore[arg-type]
    assert {split: len(found) for split, found in drawn.items()} == wanted
    names = [one.specification for found in drawn.values() for one in found]
    assert len(set(names)) == len(names)
    assert world.draw("validation", 5, 1) == world.draw("validation", 5, 2)
    assert world.draw("train", 5, 1) != world.draw("train", 5, 2)


def test_the_environment_of_the_page_is_played_and_judged(config: FlywheelConfig) -> None:
    # Its agent forgets to look in 40% of the episodes, and is right then once in 77: of 300
    # attempts 60.5% succeed, with a standard error of 2.8 points.
    scenarios = open_world(config).draw("train", 100, 1)
    rollouts = play_policy(config, "scripted", scenarios, samples=3, greedy=False, seed=1)
    found = diagnose(rollouts, scenarios)
    assert 0.5 < found.success < 0.7
    assert found.abstained == 0
    assert found.failures["wrong_decision"] > 0.9 * sum(found.failures.values())


def test_the_environment_of_the_page_shows_its_tool(config: FlywheelConfig) -> None:
    generation = pytest.importorskip("models.generation")
    [schema] = generation.shown_tools(open_world(config).environment())
    assert schema["function"]["name"] == "find"
    assert list(schema["function"]["parameters"]["properties"]) == ["book"]


def test_the_bounds_of_the_monitors_on_the_page_are_the_defaults() -> None:
    defaults = MonitorConfig()
    told = re.findall(r"`([a-z_]+)` (\d[\d.]*)(%?)", PAGE[PAGE.index("## Monitors") :])
    known = [(name, value, sign) for name, value, sign in told if hasattr(defaults, name)]
    assert len(known) >= 15
    for name, value, sign in known:
        assert float(getattr(defaults, name)) == float(value) / (100 if sign else 1), name


def test_every_stage_is_told_of() -> None:
    assert not [stage for stage in STAGES if f"`{stage}`" not in PAGE]
