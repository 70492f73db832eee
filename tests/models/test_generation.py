"""Playing many episodes in one decode loop: what is recorded is what happened."""

import copy
from typing import Any

import pytest
import torch

from models.generation import Player, Sampling, call_tool, tools_of
from schemas.episode import ToolCall


def play(policy: Any, shop: Any, names: list[str], chats: Any, **limits: Any) -> list[Any]:
    player = Player(policy.model, policy.tokenizer, Sampling(**limits), seed=0)
    return player.play([shop() for _ in names], [chats[name][:1] for name in names])


@pytest.fixture
def played(parrot: Any, shop: Any, chats: Any) -> dict[str, Any]:
    """Each of the shop's conversations, played greedily in one batch."""
    return dict(zip(chats, play(parrot, shop, list(chats), chats), strict=True))


def test_a_policy_says_again_what_it_knows_by_heart(played: dict[str, Any], chats: Any) -> None:
    for name, rollout in played.items():
        told = [(m.role, m.content or "") for m in rollout.messages]
        assert told == [(m["role"], m["content"]) for m in chats[name][1:]], name


def test_rewards_turns_and_calls_are_counted(played: dict[str, Any]) -> None:
    tea, both, hello = played["tea"], played["both"], played["hello"]
    assert (tea.reward, tea.turns, tea.tool_calls, tea.tool_errors) == (1.0, 2, 1, 0)
    assert (both.reward, both.turns, both.tool_calls, both.tool_errors) == (1.0, 2, 2, 0)
    assert (hello.reward, hello.turns, hello.tool_calls) == (0.0, 1, 0)


def test_parallel_results_answer_their_own_calls(played: dict[str, Any]) -> None:
    messages = played["both"].messages
    asked = [c.id for c in messages[0].tool_calls]
    assert [m.tool_call_id for m in messages[1:3]] == asked
    assert len(set(asked)) == 2
    assert [m.content for m in messages[1:3]] == ["3", "15"]


def test_a_tool_that_says_error_is_a_tool_error(played: dict[str, Any]) -> None:
    assert played["coffee"].tool_errors == 1
    assert played["coffee"].messages[1].error is True
    assert played["tea"].messages[1].error is False


def test_a_tool_that_raises_is_an_error_the_agent_sees(played: dict[str, Any]) -> None:
    rollout = played["broken"]
    assert rollout.messages[1].content == "Error: RuntimeError"
    assert rollout.tool_errors == 1
    assert rollout.messages[-1].content == "Sorry."


def test_a_tool_that_is_not_there_is_an_error_the_agent_sees(played: dict[str, Any]) -> None:
    assert played["unknown"].messages[1].content == "Error: no tool missing"
    assert played["unknown"].tool_errors == 1


def test_a_malformed_call_fails_the_episode_whatever_the_reward_says(
    played: dict[str, Any],
) -> None:
    # The shop would pay 1 for this very answer.
    rollout = played["malformed"]
    assert rollout.malformed
    assert rollout.reward == 0.0
    assert rollout.tool_calls == 0


def test_the_mask_marks_the_agents_tokens_alone(
    played: dict[str, Any], chats: Any, parrot: Any
) -> None:
    for name, rollout in played.items():
        pairs = list(zip(rollout.completion_ids, rollout.agent_mask, strict=True))
        said, heard = (parrot.tokenizer.decode([i for i, m in pairs if m == bit]) for bit in (1, 0))
        assert said.count("<|end|>") == rollout.turns, name
        assert "<|tool|>" not in said, name
        tools = [m["content"] for m in chats[name] if m["role"] == "tool"]
        # Between two turns stand the results and the header of the agent's next turn.
        told = "".join(f"<|tool|>{t}<|end|>" for t in tools) + "<|assistant|>" * bool(tools)
        assert heard == told, name


def test_tokens_are_those_of_the_whole_conversation_rendered_at_once(
    played: dict[str, Any], chats: Any, parrot: Any
) -> None:
    for name, rollout in played.items():
        whole = parrot.tokenizer.apply_chat_template(chats[name], return_dict=False)
        assert [*rollout.prompt_ids, *rollout.completion_ids] == whole, name


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_of_a_clean_recompute(
    parrot: Any, shop: Any, chats: Any, temperature: float
) -> None:
    names = list(chats) * 3
    checked = 0
    for rollout in play(parrot, shop, names, chats, temperature=temperature, episode_tokens=120):
        ids = torch.tensor([[*rollout.prompt_ids, *rollout.completion_ids]])
        with torch.inference_mode():
            logits = parrot.model(input_ids=ids, use_cache=False).logits[0].float()
        at = torch.arange(len(rollout.prompt_ids), ids.shape[1])
        clean = torch.log_softmax(logits / temperature, dim=-1)[at - 1, ids[0, at]]
        mask = torch.tensor(rollout.agent_mask)
        told = torch.tensor(rollout.logprobs)
        torch.testing.assert_close(told * mask, clean * mask, atol=1e-5, rtol=1e-5)
        assert not (told * (1 - mask)).any()
        checked += int(mask.sum())
    assert checked > 150


def test_a_batch_of_different_prompts_equals_playing_them_one_by_one(
    played: dict[str, Any], parrot: Any, shop: Any, chats: Any
) -> None:
    lengths = {len(r.prompt_ids) for r in played.values()}
    assert len(lengths) > 2
    for name, rollout in played.items():
        (alone,) = play(parrot, shop, [name], chats)
        assert alone.completion_ids == rollout.completion_ids, name
        torch.testing.assert_close(alone.logprobs, rollout.logprobs, atol=1e-5, rtol=1e-5)


def test_small_batches_keep_the_order_of_the_environments(
    played: dict[str, Any], parrot: Any, shop: Any, chats: Any
) -> None:
    again = play(parrot, shop, list(chats), chats, batch_size=2)
    assert [r.completion_ids for r in again] == [r.completion_ids for r in played.values()]


def test_a_turn_that_runs_too_long_is_truncated_and_not_an_answer(
    parrot: Any, shop: Any, chats: Any
) -> None:
    (rollout,) = play(parrot, shop, ["tea"], chats, turn_tokens=2)
    assert rollout.truncated
    assert rollout.reward == 0.0
    assert sum(rollout.agent_mask) == 2


def test_too_many_turns_are_truncated(parrot: Any, shop: Any, chats: Any) -> None:
    (rollout,) = play(parrot, shop, ["tea"], chats, turns=1)
    assert rollout.truncated
    assert (rollout.turns, rollout.tool_calls) == (1, 1)
    assert rollout.messages[-1].role == "tool"


def test_a_result_that_would_pass_the_episodes_limit_ends_it(
    parrot: Any, shop: Any, chats: Any, played: dict[str, Any]
) -> None:
    first_turn = played["tea"].agent_mask.index(0)
    (rollout,) = play(parrot, shop, ["tea"], chats, episode_tokens=first_turn + 1)
    assert rollout.truncated
    assert len(rollout.completion_ids) == first_turn


def test_one_seed_plays_one_way_and_another_seed_another(new: Any, shop: Any, chats: Any) -> None:
    policy = new(seed=2)

    def sampled(seed: int) -> list[int]:
        player = Player(policy.model, policy.tokenizer, Sampling(1.0, episode_tokens=20), seed)
        return list(player.play([shop()], [chats["tea"][:1]])[0].completion_ids)

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)


def test_playing_leaves_the_model_in_the_mode_it_was_in(parrot: Any, shop: Any, chats: Any) -> None:
    parrot.model.train()
    play(parrot, shop, ["hello"], chats)
    assert parrot.model.training


def test_tools_are_the_public_methods_but_reset_and_reward(shop: Any) -> None:
    assert set(tools_of(shop())) == {"count", "explode"}


def test_arguments_that_do_not_fit_a_tool_are_an_error(shop: Any) -> None:
    tools = tools_of(shop())
    assert call_tool(tools, ToolCall(name="count", arguments='{"of": "tea"}')) == (
        "Error: TypeError", True,
    )  # fmt: skip


def test_an_environment_may_offer_only_some_of_its_tools(shop: Any) -> None:
    made = shop()
    made._offered = {"count"}
    assert set(tools_of(made)) == {"count"}


def test_a_user_who_replies_keeps_the_episode_going(parrot: Any, shop: Any, chats: Any) -> None:
    talker = shop()
    replies = ["how many tea?", None]
    heard: list[str] = []

    def reply(said: str) -> str | None:
        heard.append(said)
        return replies[len(heard) - 1]

    talker._reply = reply
    player = Player(parrot.model, parrot.tokenizer, Sampling(turn_tokens=40), seed=0)
    alone, rollout = player.play([shop(), talker], [chats["hello"][:1]] * 2)
    assert [m.role for m in alone.messages] == ["assistant"]
    assert [m.role for m in rollout.messages][:2] == ["assistant", "user"]
    assert rollout.messages[1].content == "how many tea?"
    assert heard[0] == "Hi."
    turns = ["".join(c for c in m.content or "") for m in rollout.messages if m.role == "assistant"]
    assert rollout.turns == len(turns) >= 2
    # What it read is what the template writes of the whole conversation.
    said = [{"role": m.role, "content": m.content} for m in rollout.messages[:2]]
    head = parrot.tokenizer.apply_chat_template(
        [*chats["hello"][:1], *said], add_generation_prompt=True, return_dict=False
    )
    assert [*rollout.prompt_ids, *rollout.completion_ids][: len(head)] == head
    after = len(head) - len(rollout.prompt_ids)
    answer = len(parrot.tokenizer("Hi.", add_special_tokens=False)["input_ids"]) + 1
    assert rollout.agent_mask[:after] == [1] * answer + [0] * (after - answer)


def test_a_prompt_shows_each_environment_its_own_tools(parrot: Any, shop: Any) -> None:
    class Narrow(type(shop())):  # type: ignore[misc]
        def __init__(self, *names: str) -> None:
            self._schemas = [{"type": "function", "function": {"name": n}} for n in names]

    tokenizer = copy.deepcopy(parrot.tokenizer)
    tokenizer.chat_template = (
        "{% for tool in tools %}{{ tool.function.name }};{% endfor %}" + tokenizer.chat_template
    )
    player = Player(parrot.model, tokenizer, Sampling(), seed=0)
    prompts = [[{"role": "user", "content": "hello"}]] * 3
    shown = player.prompt_ids(prompts, [Narrow("a"), shop(), Narrow("b", "a")])
    heads = [tokenizer.decode(ids).split("<|user|>")[0] for ids in shown]
    assert heads == ["a;", "count;explode;", "b;a;"]
