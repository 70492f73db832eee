"""Preference without pairs: single episodes of the logs, good ones and bad ones."""

from __future__ import annotations

from collections.abc import Sequence

from models.chat import to_chat
from models.cutting import Fitted, Trained, fit
from models.masks import Conversation
from models.policy import LoadedPolicy
from models.trainers.run import TrainerRun
from models.trainers.unpaired import Judged, kto_under_mask, train_kto
from schemas.dataset import Trajectory
from schemas.errors import TrainingError
from schemas.recipe_config import KtoConfig
from tasks.train.stages.bench import Bench, Fed
from tasks.train.stages.feeding import audited


def kto(bench: Bench, policy: LoadedPolicy, recipe: KtoConfig, run: TrainerRun) -> Fed:
    """Move towards the night's good episodes and away from its bad ones.

    Raises:
        TrainingError: There are no episodes of one of the kinds.
    """
    good, bad = (_fitted(bench, policy, recipe, desirable=kind) for kind in (True, False))
    if not good.kept or not bad.kept:
        missing = "bad" if good.kept else "good"
        raise TrainingError(
            f"There is no {missing} episode to compare with.",
            "Log more traffic with feedback, or raise train.policy.context.",
        )
    liked, disliked = halves(good.kept, bad.kept, recipe.max_episodes)
    rows = [
        Judged(row, desirable)
        for kept, desirable in ((liked, True), (disliked, False))
        for _, row in kept
    ]
    ran = train_kto(policy, rows, config=recipe, run=run)
    account = {
        "desirable": len(liked), "undesirable": len(disliked),
        "tokens": sum(len(one.row.input_ids) for one in rows),
        "cut": good.cut + bad.cut, "left_out": good.left_out + bad.left_out,
        **audited(kto_under_mask([*liked, *disliked], policy.tokenizer, recipe)),
    }  # fmt: skip
    return Fed(account, ran)


def _fitted(bench: Bench, policy: LoadedPolicy, recipe: KtoConfig, *, desirable: bool) -> Fitted:
    """Tokenise as many of a kind as a night may use, best-ranked first."""
    ranked: list[Trajectory] = sorted(
        (one for one in bench.unpaired if one.desirable is desirable), key=lambda one: one.rank
    )
    told = [
        Conversation(to_chat(one.messages), one.tools, one.train_on)
        for one in ranked[: recipe.max_episodes]
    ]
    return fit(told, policy.tokenizer, bench.config.train.policy.context)


def halves(
    good: Sequence[Trained], bad: Sequence[Trained], most: int
) -> tuple[Sequence[Trained], Sequence[Trained]]:
    """Take half of each kind; where one has fewer, the other fills up."""
    liked = good[: max(most - most // 2, most - len(bad))]
    return liked, bad[: most - len(liked)]
