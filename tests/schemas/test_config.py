"""The configuration refuses what it does not know and cannot be changed while a night runs."""

import pytest
from pydantic import ValidationError

from schemas.config import FlywheelConfig
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
