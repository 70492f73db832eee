"""Imitation: of the night's successes, and of the best of the policy's own play."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from models.policy import LoadedPolicy
from models.trainers.run import TrainerRun
from models.trainers.sft import train_sft
from schemas.dataset import Scenario
from schemas.episode import Message
from schemas.errors import TrainingError
from schemas.recipe_config import RejectionConfig, SftConfig
from schemas.rollout import Rollout
from tasks.rollout.play import opening
from tasks.train.stages.bench import Bench, Fed
from tasks.train.stages.exploring import clean, explore
from tasks.train.stages.feeding import Told, account, passes, rows


def sft(bench: Bench, policy: LoadedPolicy, recipe: SftConfig, run: TrainerRun) -> Fed:
    """Imitate the night's successes; on the first night from a random start or a hub model."""
    fresh = bench.start is None
    fitted = passes(
        bench, policy, [Told(t.messages, t.tools, t.train_on) for t in bench.successes],
        seed=run.seed, epochs=recipe.epochs if fresh else 1.0, retold_share=recipe.retold_share,
    )  # fmt: skip
    ran = train_sft(
        policy, rows(fitted), run=run,
        learning_rate=recipe.learning_rate if fresh else recipe.refresh_learning_rate,
        epochs=1.0, batch_size=recipe.batch_size, optimizer=recipe.optimizer,
    )  # fmt: skip
    return Fed({"episodes": len(bench.successes), **account(fitted, policy)}, ran)


def rejection(bench: Bench, policy: LoadedPolicy, recipe: RejectionConfig, run: TrainerRun) -> Fed:
    """Imitate the best of the policy's own play: short, clean, distinct successes.

    Source: RAFT, Dong et al. 2023, https://arxiv.org/abs/2304.06767.
    """
    kept, played = best_of_play(bench, policy, recipe, run)
    tools = bench.successes[0].tools if bench.successes else None
    fitted = passes(
        bench, policy, [Told(messages, tools) for messages in kept], seed=run.seed,
        epochs=recipe.epochs, retold_share=recipe.retold_share,
    )  # fmt: skip
    ran = train_sft(
        policy, rows(fitted), run=run, learning_rate=recipe.learning_rate, epochs=1.0,
        batch_size=bench.config.train.sft.batch_size,
        optimizer=bench.config.train.sft.optimizer,
    )  # fmt: skip
    return Fed({"played": played, "kept": len(kept), **account(fitted, policy)}, ran)


def best_of_play(
    bench: Bench, policy: LoadedPolicy, recipe: RejectionConfig, run: TrainerRun
) -> tuple[list[list[Message]], int]:
    """Play fresh scenarios and keep the best episodes.

    Raises:
        TrainingError: No episode succeeded.
    """
    played = explore(bench, policy, run, recipe.scenarios, recipe.generations, 51)
    kept = best(played, recipe.keep)
    if not kept:
        raise TrainingError(
            "No played episode succeeded.", "Start from a better policy, or add SFT data."
        )
    return kept, len(played)


def best(played: Sequence[tuple[Scenario, Rollout]], keep: int) -> list[list[Message]]:
    """Keep the shortest distinct clean successes of each scenario, as whole conversations."""
    groups: dict[str, dict[tuple[int, ...], tuple[Scenario, Rollout]]] = defaultdict(dict)
    for scenario, rollout in played:
        if clean(rollout):
            groups[scenario.scenario_id][tuple(rollout.completion_ids)] = (scenario, rollout)
    kept = []
    for distinct in groups.values():
        shortest = sorted(
            distinct.values(), key=lambda one: (one[1].tool_errors, len(one[1].completion_ids))
        )
        kept += [[*_opened(scenario), *rollout.messages] for scenario, rollout in shortest[:keep]]
    return kept


def _opened(scenario: Scenario) -> list[Message]:
    """Give the messages that opened an episode; a replayed one may begin with a system prompt."""
    return [Message(role=turn["role"], content=turn["content"]) for turn in opening(scenario, None)]
