"""Preference: pairs from the logs, and from the policy's own play."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from models.chat import to_chat
from models.cutting import FittedPairs, fit_pairs
from models.mask_audit import dpo_under_mask
from models.masks import Conversation, Masked
from models.policy import LoadedPolicy
from models.trainers.preference import MaskedPair, masked_pair, train_dpo
from models.trainers.run import TrainerRun
from schemas.dataset import Pair
from schemas.errors import TrainingError
from schemas.recipe_config import DpoConfig
from schemas.rollout import Rollout
from tasks.train.stages.bench import Bench, Fed
from tasks.train.stages.exploring import clean, explore
from tasks.train.stages.feeding import audited


def dpo(bench: Bench, policy: LoadedPolicy, recipe: DpoConfig, run: TrainerRun) -> Fed:
    """Prefer what worked: pairs from the logs, and from the policy's own play."""
    context = bench.config.train.policy.context
    fitted, logged = logged_pairs(bench, policy, recipe)
    explored = explore(bench, policy, run, recipe.scenarios, recipe.generations, 31)
    found = pairs_of_play([rollout for _, rollout in explored])
    played = [pair for pair in found if _length(pair) <= context]
    pairs = [*played, *logged][: recipe.max_pairs]
    if not pairs:
        raise TrainingError(
            "There is no pair to prefer by.", "Log more traffic, or raise train.dpo.scenarios."
        )
    ran = train_dpo(policy, pairs, config=recipe, run=run)
    account = {
        "logged_pairs": len(logged), "played_pairs": len(played), "used": len(pairs),
        "cut": fitted.cut, "left_out": fitted.left_out + len(found) - len(played),
        **audited(
            dpo_under_mask(
                fitted.kept, policy.tokenizer, agent_tokens_only=recipe.agent_tokens_only
            )
        ),
    }  # fmt: skip
    return Fed(account, ran)


def logged_pairs(
    bench: Bench, policy: LoadedPolicy, recipe: DpoConfig
) -> tuple[FittedPairs, list[MaskedPair]]:
    """Tokenise logged pairs in their order, until there are as many as a night uses."""
    context = bench.config.train.policy.context
    usable = [p for p in bench.pairs if p.kind in recipe.kinds]
    fitted = FittedPairs()
    logged: list[MaskedPair] = []
    for begin in range(0, len(usable), recipe.max_pairs):
        if len(logged) >= recipe.max_pairs:
            break
        sides = [both_sides(p) for p in usable[begin : begin + recipe.max_pairs]]
        part = fit_pairs(sides, policy.tokenizer, context)
        made = [masked_pair(won, lost) for (_, won), (_, lost) in part.kept]
        logged += [pair for pair in made if pair is not None]
        fitted.kept += part.kept
        fitted.cut += part.cut
        fitted.left_out += part.left_out
    return fitted, logged


def both_sides(pair: Pair) -> tuple[Conversation, Conversation]:
    """Give the two conversations of a pair, the chosen one first."""
    chosen, rejected = (
        Conversation(to_chat([*pair.prompt, *side]), pair.tools)
        for side in (pair.chosen, pair.rejected)
    )
    return chosen, rejected


def pairs_of_play(rollouts: Sequence[Rollout]) -> list[MaskedPair]:
    """Pair the shortest clean successes of each scenario with failures, two pairs at most."""
    groups: dict[str, list[Rollout]] = defaultdict(list)
    for rollout in rollouts:
        groups[rollout.scenario_id].append(rollout)
    pairs = []
    for group in groups.values():
        won = sorted((r for r in group if clean(r)), key=lambda r: len(r.completion_ids))
        lost = [r for r in group if r.reward == 0.0]
        for chosen, rejected in zip(won[:2], lost[:2], strict=False):
            pair = masked_pair(_masked(chosen), _masked(rejected))
            if pair is not None:
                pairs.append(pair)
    return pairs


def _masked(rollout: Rollout) -> Masked:
    return Masked(
        [*rollout.prompt_ids, *rollout.completion_ids],
        [*([0] * len(rollout.prompt_ids)), *rollout.agent_mask],
    )


def _length(pair: MaskedPair) -> int:
    return len(pair.prompt_ids) + max(len(pair.chosen_ids), len(pair.rejected_ids))
