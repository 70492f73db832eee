"""Learning from logged episodes by their log-probabilities; without these, by preference."""

from __future__ import annotations

from models.policy import LoadedPolicy
from models.trainers.off_policy import train_off_policy
from models.trainers.run import TrainerRun
from schemas.errors import TrainingError
from schemas.recipe_config import OffPolicyConfig
from tasks.train.off_policy import usable, version_of
from tasks.train.stages.bench import Bench, Fed
from tasks.train.stages.preference import dpo
from tasks.train.stages.unpaired import kto


def off_policy(bench: Bench, policy: LoadedPolicy, recipe: OffPolicyConfig, run: TrainerRun) -> Fed:
    """Reinforce what went better in the logs than its problem's mean.

    Where the logs are too old, too far from the policy or without log-probabilities, DPO or KTO
    take its place, on what is logged alone; the account says so under `instead` and `why`.

    Raises:
        TrainingError: The logs hold neither.
    """
    found = usable(bench.config, bench.build, policy, version_of(bench.start))
    if found.why:
        return _instead(bench, policy, found.why, run)
    ran = train_off_policy(policy, found.rollouts, found.advantages, config=recipe, run=run)
    return Fed(found.account, ran)


def _instead(bench: Bench, policy: LoadedPolicy, why: str, run: TrainerRun) -> Fed:
    """Learn from the same logs without log-probabilities."""
    train = bench.config.train
    if any(pair.kind in train.dpo.kinds for pair in bench.pairs):
        logged = train.dpo.model_copy(update={"scenarios": 0})
        name, fed = "dpo", dpo(bench, policy, logged, run)
    elif len({one.desirable for one in bench.unpaired}) == 2:
        name, fed = "kto", kto(bench, policy, train.kto, run)
    else:
        raise TrainingError(
            f"{why} But the build has neither pairs nor episodes of both outcomes.",
            "Log several attempts at one problem, or leave off_policy out of the candidates.",
        )
    return Fed({"instead": name, "why": why, **fed.account}, fed.ran)
