"""The divergence from the start, on what the policy has played."""

from typing import Any

import pytest
import torch

from models.generation import Player, Sampling
from models.policy import LoadedPolicy, add_adapter
from models.trainers.drift import StartPolicy, measured_kl, token_logprobs

ASKED = [{"role": "user", "content": "is it so?"}]


def played(policy: Any, shop: Any, temperature: float = 1.0) -> list[Any]:
    sampling = Sampling(temperature=temperature, episode_tokens=24)
    player = Player(policy.model, policy.tokenizer, sampling, seed=3)
    return player.play([shop() for _ in range(40)], [ASKED] * 40)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_are_those_the_play_had(new: Any, shop: Any, temperature: float) -> None:
    policy = new(seed=2)
    rollouts = played(policy, shop, temperature)
    with torch.inference_mode():
        found = token_logprobs(policy.model, rollouts, temperature)
    for row, rollout in zip(found, rollouts, strict=True):
        for value, logprob, said in zip(
            row.tolist(), rollout.logprobs, rollout.agent_mask, strict=False
        ):
            if said:
                assert value == pytest.approx(logprob, abs=2e-4)


def test_a_policy_that_has_not_moved_has_no_divergence(new: Any, shop: Any) -> None:
    policy = new(seed=2)
    start = StartPolicy(policy.model)
    assert measured_kl(start, played(policy, shop), 1.0) == pytest.approx(0, abs=1e-6)


def test_the_estimate_is_the_divergence_of_the_distributions(new: Any, shop: Any) -> None:
    policy = new(seed=2)
    start = StartPolicy(policy.model)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    rollouts = played(policy, shop)
    estimated = measured_kl(start, rollouts, 1.0)
    # Exactly, over the whole vocabulary at every place where the agent spoke.
    exact, count = 0.0, 0
    with torch.inference_mode(), start.weights() as old:
        for rollout in rollouts:
            ids = torch.tensor([[*rollout.prompt_ids, *rollout.completion_ids]])
            new_logp, old_logp = (
                torch.log_softmax(model(ids).logits[0], -1) for model in (policy.model, old)
            )
            first = len(rollout.prompt_ids) - 1
            for place, said in enumerate(rollout.agent_mask):
                if said:
                    p, q = new_logp[first + place], old_logp[first + place]
                    exact, count = exact + float((p.exp() * (p - q)).sum()), count + 1
    assert exact / count > 0.005
    assert estimated == pytest.approx(exact / count, rel=0.35)


def test_of_an_adapter_the_start_is_the_model_without_it(new: Any, shop: Any) -> None:
    policy = new(seed=2)
    policy = add_adapter(LoadedPolicy(policy.model, policy.tokenizer, ""), 4)
    start = StartPolicy(policy.model)
    assert measured_kl(start, played(policy, shop), 1.0) == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            if "lora_B" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    assert measured_kl(start, played(policy, shop), 1.0) > 1e-4
