"""Learning from logged episodes: the loss is what the papers say, the tokens are those sampled."""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.generation import Player, Sampling
from models.masks import Conversation, tokenise
from models.policy import LoadedPolicy
from models.trainers.off_policy import (
    effective_sample_size,
    importance_weights,
    logged_rollout,
    train_off_policy,
)
from models.trainers.run import TrainerRun
from schemas.recipe_config import OffPolicyConfig
from schemas.rollout import Rollout

CHAT = [
    {"role": "user", "content": "how many tea?"},
    {"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "function": {"name": "count", "arguments": {"thing": "tea"}}}
    ]},
    {"role": "tool", "content": "3"},
    {"role": "assistant", "content": "It is 3."},
]  # fmt: skip


def test_the_effective_sample_size_of_worked_weights() -> None:
    # (1 + 1 + 1 + 1)^2 / 4 = 4; (3 + 1)^2 / (9 + 1) = 1.6; one that has all the weight is one.
    assert effective_sample_size(np.ones(4)) == 4
    assert effective_sample_size(np.array([3.0, 1.0])) == pytest.approx(1.6)
    assert effective_sample_size(np.array([5.0, 0.0, 0.0])) == 1
    assert effective_sample_size(np.zeros(2)) == 0


def rollout(prompt: list[int], said: list[int], mask: list[int], logprobs: list[float]) -> Rollout:
    return Rollout(
        scenario_id="s", attempt=0, messages=[], reward=None, turns=1, tool_calls=0, tool_errors=0,
        prompt_ids=prompt, completion_ids=said, agent_mask=mask, logprobs=logprobs,
    )  # fmt: skip


TWO = [
    rollout([5, 6, 7], [20, 21, 22, 23], [1, 1, 0, 1], [-6.0, -30.0, 0.0, -5.5]),
    rollout([8], [30, 31], [1, 1], [-4.0, -6.5]),
]
WORTH = [0.75, -0.5]


def clean_logprobs(model: Any, one: Rollout) -> torch.Tensor:
    """Log-probability of each completion token, computed without any batching."""
    ids = torch.tensor([[*one.prompt_ids, *one.completion_ids]])
    logits = model(input_ids=ids).logits[0, :-1].log_softmax(dim=-1)
    first = len(one.prompt_ids) - 1
    return logits[range(first, ids.shape[1] - 1), one.completion_ids]


def test_weights_are_geometric_means_over_the_agents_tokens(new: Any) -> None:
    policy = new(seed=3)
    found = importance_weights(policy, TWO)
    for weight, one in zip(found, TWO, strict=True):
        with torch.no_grad():
            change = clean_logprobs(policy.model, one) - torch.tensor(one.logprobs)
        own = change[torch.tensor(one.agent_mask, dtype=torch.bool)]
        assert weight == pytest.approx(math.exp(float(own.mean())), rel=1e-4)


def test_an_episode_of_the_policys_own_weighs_one(parrot: Any, shop: Any, chats: Any) -> None:
    player = Player(parrot.model, parrot.tokenizer, Sampling(1.0), seed=0)
    played = player.play([shop(), shop()], [chats["tea"][:1], chats["both"][:1]])
    assert importance_weights(parrot, played) == pytest.approx([1.0, 1.0], abs=1e-4)


def test_the_step_is_that_of_a_plain_reference(new: Any, tmp_path: Path) -> None:
    """One step of AdamW on the truncated importance-weighted loss of two episodes."""
    clip, rate = 2.0, 1e-3
    policy = new(seed=3)
    reference = copy.deepcopy(policy.model)
    ran = train_off_policy(
        policy, TWO, WORTH, run=TrainerRun(tmp_path, 0),
        config=OffPolicyConfig(batch_size=2, learning_rate=rate, clip=clip),
    )  # fmt: skip
    assert (ran.steps, ran.of) == (1, 1)
    total, tokens, cut = torch.zeros(()), 0, 0
    for one, worth in zip(TWO, WORTH, strict=True):
        now = clean_logprobs(reference, one)
        for place, own in enumerate(one.agent_mask):
            if own:
                weight = math.exp(float(now[place].detach()) - one.logprobs[place])
                cut += weight > clip and worth > 0
                total = total - min(weight, clip) * worth * now[place]
                tokens += 1
    assert tokens == 5
    assert cut >= 1  # the token that was nearly impossible when it was logged
    (total / tokens).backward()
    gradients = [p.grad for p in reference.parameters() if p.grad is not None]
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    logged = next(row for row in ran.history if "grad_norm" in row)
    assert logged["grad_norm"] == pytest.approx(norm, rel=1e-3)
    assert logged["loss"] == pytest.approx(float(total.detach() / tokens), rel=1e-3)
    torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
    torch.optim.AdamW(reference.parameters(), lr=rate, weight_decay=0.0).step()
    for (name, ours), theirs in zip(
        policy.model.named_parameters(), reference.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-3, msg=name)


def test_what_went_well_becomes_likelier_and_what_went_badly_less_likely(
    new: Any, tmp_path: Path
) -> None:
    policy = new(seed=4)
    with torch.no_grad():
        before = [float(clean_logprobs(policy.model, one).sum()) for one in (TWO[1], TWO[0])]
    own = [
        rollout(one.prompt_ids, one.completion_ids, one.agent_mask,
                clean_logprobs(policy.model, one).detach().tolist())
        for one in (TWO[1], TWO[0])
    ]  # fmt: skip
    train_off_policy(
        policy, own * 4, [1.0, -1.0] * 4, run=TrainerRun(tmp_path, 0),
        config=OffPolicyConfig(batch_size=4, learning_rate=1e-3, epochs=4),
    )  # fmt: skip
    with torch.no_grad():
        good, bad = (float(clean_logprobs(policy.model, one).sum()) for one in own)
    assert good > before[0] + 0.5
    assert bad < before[1] - 0.5


def test_a_stopped_run_goes_on_to_the_same_weights(new: Any, tmp_path: Path) -> None:
    config = OffPolicyConfig(batch_size=2, learning_rate=1e-3, epochs=3)

    def trained(folder: Path, *shares: float) -> Any:
        for share in shares:
            policy = new(seed=3)
            ran = train_off_policy(
                policy, TWO * 3, WORTH * 3, config=config, run=TrainerRun(folder, 0, until=share)
            )
        return policy, ran

    whole, ran = trained(tmp_path / "whole", 1.0)
    assert ran.steps == 9
    stopped, ran = trained(tmp_path / "parts", 0.5)
    assert (ran.steps, ran.stopped) == (5, "share")
    again, ran = trained(tmp_path / "parts", 1.0)
    assert (ran.steps, ran.stopped) == (9, "")
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value, atol=1e-6, rtol=1e-5)
    assert any(
        not torch.equal(value, stopped.model.state_dict()[name])
        for name, value in whole.model.state_dict().items()
    )


@pytest.fixture
def sampled(new: Any) -> tuple[LoadedPolicy, list[int], list[list[int]]]:
    """A tokenizer, the tokens of the whole episode, and those of its two turns."""
    policy = new()
    [row] = tokenise([CHAT], policy.tokenizer)
    own = [t for t, m in zip(row.input_ids, row.agent_mask, strict=True) if m]
    first = own.index(policy.tokenizer.eos_token_id) + 1
    return policy, row.input_ids, [own[:first], own[first:]]


def rebuilt(policy: Any, ids: list[int]) -> Rollout | None:
    logprobs = [-(1 + n) / 100 for n in range(len(ids))]
    return logged_rollout(Conversation(CHAT), ids, logprobs, policy.tokenizer)


def test_turns_strung_together_find_their_places(sampled: Any) -> None:
    policy, whole, (call, answer) = sampled
    found = rebuilt(policy, [*call, *answer])
    assert found is not None
    assert [*found.prompt_ids, *found.completion_ids] == whole
    spoken = [p for p, own in zip(found.logprobs, found.agent_mask, strict=True) if own]
    assert spoken == [-(1 + n) / 100 for n in range(len(call) + len(answer))]
    assert all(p == 0 for p, own in zip(found.logprobs, found.agent_mask, strict=True) if not own)
    between = len(found.completion_ids) - len(call) - len(answer)
    assert found.agent_mask == [1] * len(call) + [0] * between + [1] * len(answer)


def test_the_whole_episodes_tokens_give_the_same(sampled: Any) -> None:
    policy, whole, (call, answer) = sampled
    strung, full = rebuilt(policy, [*call, *answer]), rebuilt(policy, whole)
    assert full is not None
    assert strung is not None
    assert full.prompt_ids == strung.prompt_ids
    assert full.completion_ids == strung.completion_ids
    assert full.agent_mask == strung.agent_mask
    # Its log-probabilities stand one a token of the whole, prompt included.
    assert full.logprobs[0] == -(1 + len(full.prompt_ids)) / 100


def test_turns_logged_without_their_end_tokens_are_not_trained_to_end(sampled: Any) -> None:
    policy, whole, (call, answer) = sampled
    found = rebuilt(policy, [*call[:-1], *answer[:-1]])
    assert found is not None
    assert [*found.prompt_ids, *found.completion_ids] == whole[:-1]
    assert found.agent_mask[: len(call)] == [1] * (len(call) - 1) + [0]


def test_another_way_to_spell_the_same_words_is_kept_as_it_was_sampled(sampled: Any) -> None:
    policy, _whole, (call, answer) = sampled
    letters = policy.tokenizer(list("It is 3."), add_special_tokens=False)["input_ids"]
    spelled = [*(t for ids in letters for t in ids), policy.tokenizer.eos_token_id]
    assert spelled != answer
    found = rebuilt(policy, [*call, *spelled])
    assert found is not None
    assert found.completion_ids[-len(spelled) :] == spelled


def test_tokens_that_do_not_spell_what_was_said_are_refused(sampled: Any) -> None:
    policy, _whole, (call, answer) = sampled
    assert rebuilt(policy, [*call, *answer[1:]]) is None
    assert rebuilt(policy, call) is None
    assert rebuilt(policy, [t + 1 for t in [*call, *answer]]) is None
    assert rebuilt(policy, [*call, *answer, *answer]) is None
