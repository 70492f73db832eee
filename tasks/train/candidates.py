"""The rival ways to make tonight's policy: each takes a start and leaves a better one, or not."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from models.chat import TEMPLATE, to_chat
from models.cutting import Fitted, FittedPairs, fit, fit_pairs
from models.grpo import train_grpo
from models.mask_audit import dpo_under_mask, sft_under_mask
from models.masks import Conversation, Masked
from models.policy import LoadedPolicy, add_adapter, load_policy
from models.preference import MaskedPair, masked_pair, train_dpo
from models.sft import train_sft
from models.tiny import new_policy
from models.tokenizer import render, train_tokenizer
from schemas.config import FlywheelConfig
from schemas.dataset import Pair, Scenario, Trajectory
from schemas.episode import Message
from schemas.errors import TrainingError
from schemas.rollout import Rollout
from schemas.training_config import TinyPolicy
from tasks.rollout.environment import World
from tasks.rollout.play import opening, play_loaded, sampling
from tasks.train.augment import retell, vocabulary

History = list[dict[str, float]]


class Bench(msgspec.Struct):
    """What a candidate works with."""

    config: FlywheelConfig
    world: World
    successes: list[Trajectory]
    """The build's `sft` rows."""
    pairs: list[Pair]
    start: str | None
    """Folder of the policy to start from; None on the first night."""
    seed: int
    folder: Path
    """Scratch folder for the trainer."""
    progress: Callable[[str, int, int], None]
    """Told stage, steps done and in all."""


class Trained(msgspec.Struct):
    """What a candidate came to."""

    policy: LoadedPolicy
    stages: list[dict[str, Any]]
    """Each stage's name and what it was fed."""
    history: History
    """What the last trainer logged."""


def sft(bench: Bench) -> Trained:
    """Imitate the night's successes; on the first night from a random start or a hub model."""
    recipe = bench.config.train.sft
    policy = _start(bench) if bench.start else _base(bench)
    fresh = bench.start is None
    fitted = _passes(
        bench, policy, [_Told(t.messages, t.tools, t.train_on) for t in bench.successes],
        epochs=recipe.epochs if fresh else 1.0, retold_share=recipe.retold_share,
    )  # fmt: skip
    history = train_sft(
        policy, _rows(fitted), folder=bench.folder,
        learning_rate=recipe.learning_rate if fresh else recipe.refresh_learning_rate,
        epochs=1.0, batch_size=recipe.batch_size, optimizer=recipe.optimizer, seed=bench.seed,
        progress=_told(bench, "sft"),
    )  # fmt: skip
    fed = {"name": "sft", "episodes": len(bench.successes), **_account(fitted, policy)}
    return Trained(policy, [fed], history)


def dpo(bench: Bench) -> Trained:
    """Prefer what worked: pairs from the logs, and from the policy's own play."""
    recipe = bench.config.train.dpo
    policy = _start(bench)
    context = bench.config.train.policy.context
    fitted, logged = _logged_pairs(bench, policy)
    explored = _explore(bench, policy, recipe.scenarios, recipe.generations, 31)
    found = _pairs_of_play([rollout for _, rollout in explored])
    played = [pair for pair in found if _length(pair) <= context]
    pairs = [*played, *logged][: recipe.max_pairs]
    if not pairs:
        raise TrainingError(
            "There is no pair to prefer by.", "Log more traffic, or raise train.dpo.scenarios."
        )
    history = train_dpo(
        policy, pairs, config=recipe, folder=bench.folder, seed=bench.seed,
        progress=_told(bench, "dpo"),
    )  # fmt: skip
    stage = {
        "name": "dpo", "logged_pairs": len(logged), "played_pairs": len(played),
        "used": len(pairs), "cut": fitted.cut,
        "left_out": fitted.left_out + len(found) - len(played),
        **_audited(dpo_under_mask(fitted.kept, policy.tokenizer)),
    }  # fmt: skip
    return Trained(policy, [stage], history)


def grpo(bench: Bench) -> Trained:
    """Reinforce what works better than its group, by play in the environment."""
    recipe = bench.config.train.grpo
    policy = _start(bench)
    scenarios = bench.world.draw("train", recipe.steps * recipe.scenarios_per_step, bench.seed + 41)
    rows = [{"prompt": opening(s, None), **json.loads(s.row)} for s in scenarios]
    history = train_grpo(
        policy, rows, bench.world.environment, config=recipe,
        sampling=sampling(bench.config, recipe.temperature), folder=bench.folder, seed=bench.seed,
        progress=_told(bench, "grpo"),
    )  # fmt: skip
    episodes = len(rows) * recipe.generations
    return Trained(
        policy, [{"name": "grpo", "scenarios": len(rows), "episodes": episodes}], history
    )


def rejection(bench: Bench) -> Trained:
    """Imitate the best of the policy's own play: short, clean, distinct successes.

    Source: RAFT, Dong et al. 2023, https://arxiv.org/abs/2304.06767.
    """
    recipe = bench.config.train.rejection
    policy = _start(bench)
    stages: list[dict[str, Any]] = []
    history: History = []
    for number in range(recipe.rounds):
        played = _explore(bench, policy, recipe.scenarios, recipe.generations, 51 + number)
        kept = _best(played, recipe.keep)
        if not kept:
            raise TrainingError(
                "No played episode succeeded.", "Start from a better policy, or add SFT data."
            )
        tools = bench.successes[0].tools if bench.successes else None
        fitted = _passes(
            bench, policy, [_Told(messages, tools) for messages in kept], epochs=recipe.epochs,
            retold_share=recipe.retold_share,
        )  # fmt: skip
        history += train_sft(
            policy, _rows(fitted), folder=bench.folder,
            learning_rate=recipe.learning_rate, epochs=1.0,
            batch_size=bench.config.train.sft.batch_size,
            optimizer=bench.config.train.sft.optimizer, seed=bench.seed + number,
            progress=_told(bench, "rejection"),
        )  # fmt: skip
        fed = {"played": len(played), "kept": len(kept), **_account(fitted, policy)}
        stages.append({"name": "rejection", **fed})
    return Trained(policy, stages, history)


CANDIDATES: dict[str, Callable[[Bench], Trained]] = {
    "sft": sft, "dpo": dpo, "grpo": grpo, "rejection": rejection,
}  # fmt: skip


def _start(bench: Bench) -> LoadedPolicy:
    if bench.start is None:
        raise TrainingError(
            "This candidate needs a policy to start from.", "Let sft be the first candidate."
        )
    return _loaded(bench, bench.start)


def _loaded(bench: Bench, source: str) -> LoadedPolicy:
    """Load a policy to be trained, with a fresh adapter where the configuration asks for one."""
    made = bench.config.train.policy
    if isinstance(made, TinyPolicy):
        return load_policy(source, bench.config.train.device)
    policy = load_policy(source, bench.config.train.device, made.dtype)
    return policy if made.lora_rank is None else add_adapter(policy, made.lora_rank)


def _base(bench: Bench) -> LoadedPolicy:
    """Make the first night's start: a hub model, or a tiny policy that knows the logs' words."""
    made = bench.config.train.policy
    if not isinstance(made, TinyPolicy):
        return _loaded(bench, made.model)
    texts = render([to_chat(t.messages) for t in bench.successes], TEMPLATE)
    tokenizer = train_tokenizer(texts, made.vocabulary)
    model = new_policy(made, tokenizer, bench.seed)
    model.to(bench.config.train.device)  # type: ignore[arg-type] # its decorator hides the signature
    return LoadedPolicy(model, tokenizer, "")


class _Told(NamedTuple):
    """An episode to imitate."""

    messages: list[Message]
    tools: str | None = None
    train_on: Sequence[bool] = ()


def _passes(
    bench: Bench, policy: LoadedPolicy, episodes: Sequence[_Told], *, epochs: float,
    retold_share: float,
) -> Fitted:  # fmt: skip
    """Tokenise episodes once a pass, a share of them retold with other values each time."""
    rng = np.random.default_rng([bench.seed, 21])
    words = vocabulary([episode.messages for episode in episodes])
    told: list[Conversation] = []
    for part in range(int(np.ceil(epochs))):
        count = round(min(1.0, epochs - part) * len(episodes))
        for index in rng.permutation(len(episodes))[:count]:
            messages, tools, train_on = episodes[int(index)]
            if rng.random() < retold_share:
                messages = retell(messages, rng, words)
            told.append(Conversation(to_chat(messages), tools, train_on))
    fitted = fit(told, policy.tokenizer, bench.config.train.policy.context)
    if not fitted.kept:
        raise TrainingError(
            "No episode is left to imitate: none fits the policy's context.",
            "Raise train.policy.context.",
        )
    return fitted


def _rows(fitted: Fitted) -> list[Masked]:
    return [row for _, row in fitted.kept]


def _account(fitted: Fitted, policy: LoadedPolicy) -> dict[str, int]:
    """Count what imitation is fed: each pass over an episode by itself."""
    return {
        "tokens": fitted.tokens, "cut": fitted.cut, "left_out": fitted.left_out,
        **_audited(sft_under_mask(fitted.kept, policy.tokenizer)),
    }  # fmt: skip


def _audited(counts: dict[str, int]) -> dict[str, int]:
    """Name the tokens that the loss covers by who said them, in a sample of the rows."""
    return {f"{who}_tokens_under_mask": count for who, count in counts.items()}


def _logged_pairs(bench: Bench, policy: LoadedPolicy) -> tuple[FittedPairs, list[MaskedPair]]:
    """Tokenise logged pairs in their order, until there are as many as a night uses."""
    recipe, context = bench.config.train.dpo, bench.config.train.policy.context
    usable = [p for p in bench.pairs if p.kind in recipe.kinds]
    fitted = FittedPairs()
    logged: list[MaskedPair] = []
    for start in range(0, len(usable), recipe.max_pairs):
        if len(logged) >= recipe.max_pairs:
            break
        sides = [_sides(p) for p in usable[start : start + recipe.max_pairs]]
        part = fit_pairs(sides, policy.tokenizer, context)
        made = [masked_pair(won, lost) for (_, won), (_, lost) in part.kept]
        logged += [pair for pair in made if pair is not None]
        fitted.kept += part.kept
        fitted.cut += part.cut
        fitted.left_out += part.left_out
    return fitted, logged


def _sides(pair: Pair) -> tuple[Conversation, Conversation]:
    chosen, rejected = (
        Conversation(to_chat([*pair.prompt, *side]), pair.tools)
        for side in (pair.chosen, pair.rejected)
    )
    return chosen, rejected


def _length(pair: MaskedPair) -> int:
    return len(pair.prompt_ids) + max(len(pair.chosen_ids), len(pair.rejected_ids))


def _explore(
    bench: Bench, policy: LoadedPolicy, scenarios: int, generations: int, salt: int
) -> list[tuple[Scenario, Rollout]]:
    """Play fresh training scenarios several times each."""
    if scenarios == 0:
        return []
    drawn = bench.world.draw("train", scenarios, bench.seed + salt)
    rollouts = play_loaded(
        bench.config, bench.world, policy, drawn, samples=generations, temperature=1.0,
        seed=bench.seed + salt,
        progress=lambda stage, done, total, note="": bench.progress("play", done, total),  # noqa: ARG005 - Progress
    )  # fmt: skip
    return list(zip([s for s in drawn for _ in range(generations)], rollouts, strict=True))


def _masked(rollout: Rollout) -> Masked:
    return Masked(
        [*rollout.prompt_ids, *rollout.completion_ids],
        [*([0] * len(rollout.prompt_ids)), *rollout.agent_mask],
    )


def _clean(rollout: Rollout) -> bool:
    return rollout.reward == 1.0 and not rollout.truncated and not rollout.malformed


def _best(played: Sequence[tuple[Scenario, Rollout]], keep: int) -> list[list[Message]]:
    """Keep the shortest distinct clean successes of each scenario, as whole conversations."""
    groups: dict[str, dict[tuple[int, ...], tuple[Scenario, Rollout]]] = defaultdict(dict)
    for scenario, rollout in played:
        if _clean(rollout):
            groups[scenario.scenario_id][tuple(rollout.completion_ids)] = (scenario, rollout)
    kept = []
    for distinct in groups.values():
        shortest = sorted(
            distinct.values(), key=lambda one: (one[1].tool_errors, len(one[1].completion_ids))
        )
        kept += [
            [Message(role="user", content=scenario.question), *rollout.messages]
            for scenario, rollout in shortest[:keep]
        ]
    return kept


def _pairs_of_play(rollouts: Sequence[Rollout]) -> list[MaskedPair]:
    """Pair the shortest clean successes of each scenario with failures, two pairs at most."""
    groups: dict[str, list[Rollout]] = defaultdict(list)
    for rollout in rollouts:
        groups[rollout.scenario_id].append(rollout)
    pairs = []
    for group in groups.values():
        won = sorted((r for r in group if _clean(r)), key=lambda r: len(r.completion_ids))
        lost = [r for r in group if r.reward == 0.0]
        for chosen, rejected in zip(won[:2], lost[:2], strict=False):
            pair = masked_pair(_masked(chosen), _masked(rejected))
            if pair is not None:
                pairs.append(pair)
    return pairs


def _told(bench: Bench, stage: str) -> Callable[[int, int], None]:
    return lambda done, total: bench.progress(stage, done, total)
