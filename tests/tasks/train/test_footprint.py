"""What a stage takes of memory, worked out by hand on a shape with round sizes."""

from typing import Any

import pytest

from schemas.model_shape import ModelShape
from schemas.training_config import STAGES, TrainConfig
from tasks.train.footprint import RUNTIME, SLACK, footprint, load

SHAPE = ModelShape(
    parameters=1_000_000, matrices=900_000, adapter_rows=5_000, hidden=100, intermediate=300,
    layers=10, heads=4, key_value_heads=2, head_width=25, vocabulary=1_000, context=1_024,
)  # fmt: skip


def settings(**changes: Any) -> TrainConfig:
    return TrainConfig.model_validate(changes)


def hub(rank: int | None, **changes: Any) -> TrainConfig:
    policy = {"kind": "hub", "model": "some/model", "lora_rank": rank, "context": 1024}
    return settings(policy=policy, **changes)


def test_adamw_takes_four_times_the_weights_and_muon_less() -> None:
    adamw = footprint(SHAPE, settings(sft={"optimizer": "adamw"}), "sft").parts
    # A million float32 weights; as many gradients; two moments each.
    assert (adamw["weights"], adamw["gradients"], adamw["optimizer"]) == (4e6, 4e6, 8e6)
    muon = footprint(SHAPE, settings(), "sft").parts
    # One momentum on 900,000 matrix weights, two moments on the other 100,000.
    assert muon["optimizer"] == (900_000 + 2 * 100_000) * 4


def test_an_adapter_trains_its_own_rows_alone() -> None:
    parts = footprint(SHAPE, hub(8), "sft").parts
    # Rank 8 on 5,000 inputs and outputs is 40,000 float32 weights over a million in bfloat16.
    assert parts["weights"] == 2e6 + 160_000
    assert parts["gradients"] == 160_000
    assert parts["optimizer"] == 320_000


def test_activations_grow_with_rows_and_checkpointing_keeps_a_layers_input() -> None:
    one = footprint(SHAPE, settings(sft={"batch_size": 1}), "sft").parts["activations"]
    two = footprint(SHAPE, settings(sft={"batch_size": 2}), "sft").parts["activations"]
    assert two == pytest.approx(2 * one, rel=1e-6)
    # Context 512. A layer and position: 6 x 100 + 5 x 100 + 4 x 50 + 4 x 300 = 2,500 float32
    # values; ten layers; and a mask of 512 x 512.
    assert one == pytest.approx(SLACK["cpu"] * (512 * 10 * 2_500 * 4 + 512**2 * 4), rel=1e-6)
    light = settings(sft={"batch_size": 1}, gradient_checkpointing=True)
    # Ten layers' inputs of 100 values, and one layer in full.
    kept = 512 * (10 * 100 + 2_500) * 4 + 512**2 * 4
    assert footprint(SHAPE, light, "sft").parts["activations"] == pytest.approx(
        SLACK["cpu"] * kept, rel=1e-6
    )


def test_rollouts_hold_keys_and_values_of_all_that_play_at_once() -> None:
    train = settings(grpo={"scenarios_per_step": 4, "generations": 8})
    # 32 rollouts x 512 tokens x 10 layers x (50 keys + 50 values) x 4 bytes, and 16 bytes of work
    # on each of 1,000 words.
    assert footprint(SHAPE, train, "grpo").parts["rollouts"] == 32 * (512 * 10 * 100 * 4 + 16_000)
    assert footprint(SHAPE, train, "sft").parts["rollouts"] == 0


def test_play_keeps_the_start_and_the_mean_of_full_weights_but_no_start_beside_an_adapter() -> None:
    mean = {"average_last": 0.4}
    assert footprint(SHAPE, settings(grpo=mean), "grpo").parts["copies"] == 2 * 4_000_000
    assert footprint(SHAPE, settings(), "grpo").parts["copies"] == 4_000_000
    bare = settings(grpo={"kl_rows": 0})
    assert footprint(SHAPE, bare, "grpo").parts["copies"] == 0
    assert footprint(SHAPE, hub(8, grpo=mean), "grpo").parts["copies"] == 160_000
    assert footprint(SHAPE, hub(8), "grpo").parts["copies"] == 0


def test_a_colocated_vllm_takes_its_share_of_the_device() -> None:
    train = hub(8, grpo={"rollouts": "vllm", "vllm_memory": 0.25})
    assert footprint(SHAPE, train, "grpo", memory=80_000).parts["vllm"] == 20_000
    server = hub(8, grpo={"rollouts": "vllm", "vllm_mode": "server"})
    assert footprint(SHAPE, server, "grpo", memory=80_000).parts["vllm"] == 0


def test_devices_share_a_batch() -> None:
    assert load(settings(sft={"batch_size": 8}, devices=2), "sft").rows == 4
    assert load(settings(dpo={"batch_size": 8}, devices=2), "dpo").rows == 8  # a pair is two rows
    play = settings(devices=2, grpo={"scenarios_per_step": 2, "generations": 4})
    assert load(play, "grpo").rows == 4


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_footprint_that_holds_runtime_and_weights(stage: str) -> None:
    found = footprint(SHAPE, settings(), stage)
    assert found.total >= RUNTIME["cpu"] + 4_000_000
    assert all(part >= 0 for part in found.parts.values())
