"""A reward model: what it is made of, what it learns, and that it scores the same when reloaded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import XGLMConfig, XGLMForCausalLM

from models.chat import to_chat
from models.policy import LoadedPolicy, save_policy
from models.reward_model import (
    CENTRE,
    ScoringModel,
    _with_one_output,
    token_ids,
    train_reward_model,
)
from schemas.dataset import Pair
from schemas.episode import Message, ToolCall
from schemas.errors import ConfigurationError, TrainingError
from schemas.label_config import RewardModelConfig
from schemas.training_config import HubPolicy, TinyPolicy

SIZE = TinyPolicy(hidden_size=32, layers=2, heads=2, vocabulary=420, context=256)
RECIPE = RewardModelConfig(epochs=4, learning_rate=5e-3, min_pairs=10)
Told = list[tuple[int, int]]


def agent(text: str, *calls: str) -> Message:
    made = [ToolCall(name="count", arguments=json.dumps({"thing": thing})) for thing in calls]
    return Message(role="assistant", content=text, tool_calls=made)


def tool(text: str) -> Message:
    return Message(role="tool", content=text)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def sides(number: int) -> tuple[list[Message], list[Message], list[Message]]:
    """Make a prompt, what to prefer (the count is passed on) and what not (it came to nothing)."""
    good = [agent("", "tea"), tool(str(number)), agent(f"It is {number}.")]
    bad = [agent("", "coffee"), tool("Error: no coffee"), agent("I could not find it.")]
    return [user(f"how many tea in area {number}?")], good, bad


def pair(number: int, **fields: Any) -> Pair:
    prompt, chosen, rejected = sides(number)
    known = {"prompt": prompt, "chosen": chosen, "rejected": rejected} | fields
    return Pair(
        build="b", pair_id=str(number), kind="episode", chosen_episode="c", rejected_episode="r",
        margin=1.0, confidence=1.0, **known,
    )  # fmt: skip


PAIRS = [pair(number) for number in range(40)]
UNSEEN = [pair(number) for number in range(100, 130)]


def scored(model: ScoringModel, pairs: list[Pair], side: str) -> Any:
    episodes = [[*p.prompt, *getattr(p, side)] for p in pairs]
    return model.scores(episodes, [None] * len(episodes))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ScoringModel, Path, Told]:
    """Train a reward model from a random start."""
    folder, told = tmp_path_factory.mktemp("reward") / "model", []
    model = train_reward_model(
        SIZE, PAIRS, start=None, config=RECIPE, folder=folder, seed=0,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    return model, folder, told


def test_the_better_of_an_unseen_pair_scores_higher(made: Any) -> None:
    model, _, told = made
    gap = scored(model, UNSEEN, "chosen") - scored(model, UNSEEN, "rejected")
    assert (gap > 0).mean() > 0.9
    assert told[-1] == (20, 20)  # 40 pairs by 8, four times
    assert model.training.used == 40
    assert model.training.history[-2]["margin"] > model.training.history[0]["margin"]


def test_scores_are_the_same_when_it_is_saved_and_loaded(made: Any, tmp_path: Path) -> None:
    model, folder, _ = made
    before = scored(model, UNSEEN, "chosen")
    for kept in (folder, model.save(tmp_path / "again")):
        again = ScoringModel.load(kept)
        assert scored(again, UNSEEN, "chosen").tolist() == before.tolist()
        assert again.training == model.training
    assert {file.suffix for file in folder.rglob("*") if file.is_file()} <= {
        ".safetensors", ".json", ".jinja"
    }  # fmt: skip


def test_a_score_does_not_depend_on_its_company(made: Any) -> None:
    # 60 episodes of two lengths are two batches, each padded; alone there is nothing to pad.
    model, _, _ = made
    episodes = [[*p.prompt, *side] for p in UNSEEN for side in (p.chosen, p.rejected)]
    told: Told = []
    together = model.scores(episodes, [None] * 60, lambda done, total: told.append((done, total)))
    alone = [model.scores([one], [None])[0] for one in episodes[:6]]
    assert together[:6] == pytest.approx(alone, abs=1e-4)
    assert told == [(32, 60), (60, 60)]


def test_an_episode_that_cannot_be_scored_is_no_zero(made: Any) -> None:
    model, _, _ = made
    call = ToolCall(name="count", arguments="{", malformed=True)
    broken = Message(role="assistant", tool_calls=[call])
    long = [user("tea " * 400), agent("It is 3.")]
    found = model.scores([[user("tea?"), broken], long, [user("tea?"), agent("3")]], [None] * 3)
    assert np.isnan(found).tolist() == [True, True, False]


def test_the_loss_is_bradley_and_terrys(tmp_path: Path) -> None:
    # So slow a rate leaves the model as it started; then what TRL logged of the one step must be
    # the mean of ln(1 + exp(worse - better)), and the pull of (better + worse) ** 2 to 0.
    config = RewardModelConfig(epochs=0.2, learning_rate=1e-12, batch_size=40, min_pairs=10)
    model = train_reward_model(SIZE, PAIRS, start=None, config=config, folder=tmp_path, seed=3)
    better, worse = (scored(model, PAIRS, side) for side in ("chosen", "rejected"))
    expected = np.log(1 + np.exp(worse - better)).mean() + CENTRE * ((better + worse) ** 2).mean()
    assert model.training.history[-1]["train_loss"] == pytest.approx(expected, abs=1e-4)
    assert np.abs(better).max() > 0


def test_too_few_pairs_that_fit_are_one_clear_error(tmp_path: Path) -> None:
    long = [pair(n, prompt=[user("tea " * 300)]) for n in range(9)]
    same = pair(9, rejected=sides(9)[1])
    with pytest.raises(TrainingError, match="3 of 13 pairs fit into 256 tokens"):
        train_reward_model(
            SIZE, [*long, same, *PAIRS[:3]], start=None, config=RECIPE, folder=tmp_path, seed=0
        )


# --- what it reads ---


def read(tokenizer: Any, messages: list[Message], context: int) -> str | None:
    [ids] = token_ids([messages], [None], tokenizer, context)
    assert ids is None or len(ids) <= context
    return None if ids is None else tokenizer.decode(ids)


def test_it_reads_agent_and_environment_alike(tokenizer: Any) -> None:
    prompt, good, _ = sides(3)
    assert read(tokenizer, [*prompt, *good], 256) == (
        "<|user|>how many tea in area 3?<|end|>"
        '<|assistant|><tool_call>{"name": "count", "arguments": {"thing": "tea"}}</tool_call>'
        "<|end|><|tool|>3<|end|><|assistant|>It is 3.<|end|>"
    )


def test_what_is_too_long_loses_its_earliest_steps_whole(tokenizer: Any) -> None:
    steps = [m for n in range(6) for m in (agent("", "tea", "rice"), tool(f"{n}"), tool(f"{n}{n}"))]
    whole = [user("tea and rice?"), *steps, agent("Done.")]
    length = len(token_ids([whole], [None], tokenizer, 10_000)[0] or [])
    assert read(tokenizer, whole, length) == read(tokenizer, whole, 10_000)
    for context in range(20, length, 7):
        text = read(tokenizer, whole, context)
        kept = [read(tokenizer, [whole[0], *whole[start:]], 10_000) for start in range(4, 20, 3)]
        # One of the cuts before a step, and the longest that fits.
        fitting = [k for k in kept if k and len(tokenizer(k)["input_ids"]) <= context]
        assert text == (fitting[0] if fitting else None)


def test_a_prompt_and_last_step_that_do_not_fit_are_not_cut_up(tokenizer: Any) -> None:
    whole = [user("tea?"), agent("", "tea"), tool("3 " * 50), agent("It is 3 " * 20)]
    assert read(tokenizer, whole, 40) is None


def test_an_episode_is_told_its_own_tools(tokenizer: Any) -> None:
    class Telling:
        """A template that shows tools."""

        def apply_chat_template(self, chats: Any, tools: Any, **_: Any) -> dict[str, Any]:
            return {"input_ids": [[len(chat), *(tools or [])] for chat in chats]}

    three = [[user("a"), agent("b")], [user("a")], [user("a"), agent("b"), user("c")]]
    assert token_ids(three, ["[7]", None, "[7]"], Telling(), 99) == [[2, 7], [1], [3, 7]]


# --- whose backbone it has ---


@pytest.fixture
def random(new: Any) -> LoadedPolicy:
    """Make a policy from a random start."""
    made: LoadedPolicy = new(seed=1)
    return made


def test_the_backbone_is_the_policys_own(random: Any) -> None:
    made = _with_one_output(random, seed=0)
    assert made.base_model is random.model.base_model
    assert made.score.weight.shape == (1, 32)
    assert made.score.weight.std() > 0
    again = _with_one_output(random, seed=0)
    assert again.score.weight.tolist() == made.score.weight.tolist()


def test_it_starts_from_a_champions_folder(random: Any, tmp_path: Path) -> None:
    start = str(save_policy(random, tmp_path / "champion"))
    before = random.model.base_model.embed_tokens.weight.detach().clone()
    config = RewardModelConfig(epochs=0.2, learning_rate=1e-12, min_pairs=10)
    model = train_reward_model(
        SIZE, PAIRS, start=start, config=config, folder=tmp_path / "m", seed=0
    )
    assert model.training.start == start
    assert (model.model.base_model.embed_tokens.weight - before).abs().max() < 1e-6
    chat = to_chat([*PAIRS[0].prompt, *PAIRS[0].chosen])
    assert model.tokenizer.apply_chat_template(chat) == random.tokenizer.apply_chat_template(chat)


def test_a_hub_models_adapter_is_merged_with_its_output(random: Any, tmp_path: Path) -> None:
    start = str(save_policy(random, tmp_path / "hub"))
    policy = HubPolicy(model=start, lora_rank=4, dtype="float32", context=256)
    model = train_reward_model(
        policy, PAIRS, start=None, config=RECIPE, folder=tmp_path / "m", seed=0
    )
    gap = scored(model, UNSEEN, "chosen") - scored(model, UNSEEN, "rejected")
    assert (gap > 0).mean() > 0.9
    fresh = _with_one_output(random, seed=0)
    assert (model.model.score.weight - fresh.score.weight).abs().max() > 1e-4
    # The adapter is on the layers, none on the table of embeddings.
    assert not [name for name in model.model.state_dict() if "lora" in name]
    ours, theirs = model.model.base_model, random.model.base_model
    assert (ours.embed_tokens.weight == theirs.embed_tokens.weight).all()
    moved = ours.layers[0].mlp.up_proj.weight - theirs.layers[0].mlp.up_proj.weight
    assert moved.abs().max() > 1e-4


def test_an_architecture_that_cannot_score_is_one_clear_error(tokenizer: Any) -> None:
    size = XGLMConfig(
        vocab_size=8, d_model=16, ffn_dim=16, num_layers=1, attention_heads=2, pad_token_id=0
    )
    with pytest.raises(ConfigurationError, match="xglm model cannot score"):
        _with_one_output(LoadedPolicy(XGLMForCausalLM(size), tokenizer, ""), seed=0)
