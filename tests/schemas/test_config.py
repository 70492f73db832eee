"""The configuration refuses what it does not know and cannot be changed while a night runs."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError
from schemas.training_config import HubPolicy, TinyPolicy


def test_the_defaults_are_a_complete_configuration() -> None:
    config = FlywheelConfig()
    assert isinstance(config.train.policy, TinyPolicy)
    assert config.train.device == "cpu"


def test_a_configuration_survives_json() -> None:
    config = FlywheelConfig.model_validate({"seed": 3, "train": {"later_nights": ["dpo"]}})
    assert FlywheelConfig.model_validate_json(config.model_dump_json()) == config
    assert FlywheelConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"sead": 1}, "sead"),
        ({"train": {"sft": {"learning_rat": 1}}}, "train.sft.learning_rat"),
        ({"train": {"policy": {"kind": "tiny", "model": "x"}}}, "train.policy.tiny.model"),
        ({"train": {"policy": {"kind": "large"}}}, "train.policy"),
        ({"label": {"discount": 1.5}}, "label.discount"),
        ({"train": {"later_nights": ["ppo"]}}, "train.later_nights.0"),
    ],
)
def test_an_unknown_key_or_value_is_refused_with_its_place(values: dict, place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FlywheelConfig.model_validate(values)
    assert [".".join(map(str, error["loc"])) for error in caught.value.errors()] == [place]


def test_the_kind_of_policy_chooses_its_settings() -> None:
    policy = {"kind": "hub", "model": "models:/agent-policy@champion"}
    config = FlywheelConfig.model_validate({"train": {"policy": policy}})
    assert isinstance(config.train.policy, HubPolicy)
    assert config.train.policy.lora_rank == 16


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        FlywheelConfig().seed = 1


@pytest.mark.parametrize("home", ["s3://bucket/x", Path("s3://bucket/x"), "file:///x", "a://b"])
def test_a_home_that_is_a_url_is_refused_and_makes_no_folder_of_that_name(home: str) -> None:
    with pytest.raises(ConfigurationError, match="is a URL; the home is a local folder"):
        FlywheelConfig.model_validate({"home": home})


def test_a_home_whose_path_delta_would_decode_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a%20b").mkdir()
    monkeypatch.chdir(tmp_path / "a%20b")
    for home in (".flywheel", str(tmp_path / "a%2Fb"), "my%41"):
        with pytest.raises(ConfigurationError, match=r"%\w\w in its path"):
            FlywheelConfig.model_validate({"home": home})
    (tmp_path / "link").symlink_to(tmp_path / "a%20b")
    with pytest.raises(ConfigurationError, match="%20 in its path"):
        FlywheelConfig(home=tmp_path / "link" / "home")
    assert FlywheelConfig(home=tmp_path / "50% of it").home.name == "50% of it"


def test_a_folder_with_a_colon_in_its_name_is_a_home() -> None:
    assert FlywheelConfig(home=Path("runs/12:30/x")).home == Path("runs/12:30/x")
