"""What a build is made of, chosen by ids from narrow columns; no messages are read for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa

from schemas.config import BuildConfig
from schemas.errors import MissingStateError
from tasks.build.pairs import (
    Body,
    PairChoice,
    Problem,
    episode_pairs,
    problems,
    retry_pairs,
)
from tasks.build.split import Side
from tasks.build.trajectories import kto_episodes, replayed, rl_episodes, sft_episodes
from tasks.build.verdicts import Verdict
from warehouse.catalog import Catalog


class Choice(NamedTuple):
    """What a build is made of, by ids."""

    sft: list[Verdict]
    replay: list[Verdict]
    kto: list[Verdict]
    rl: list[Verdict]
    pairs: list[PairChoice]
    candidate_pairs: int
    guards: Counter[str]

    @property
    def uses(self) -> dict[str, list[Verdict]]:
        """Trajectories by what they are for, best first."""
        return {"sft": self.sft + self.replay, "kto": self.kto, "rl": self.rl}


def own_episodes(verdicts: list[Verdict], night: str) -> list[Verdict]:
    """Keep the episodes that were ingested under a night.

    Raises:
        MissingStateError: There are none.
    """
    own = [verdict for verdict in verdicts if verdict.night == night]
    if not own:
        nights = sorted({verdict.night for verdict in verdicts})
        raise MissingStateError(
            f"no labelled episodes of night {night}",
            f"Ingest and label some, or name a night that has any: {', '.join(nights[-5:])}.",
        )
    return own


def of_side(verdicts: Iterable[Verdict], side: dict[str, Side], wanted: Side) -> list[Verdict]:
    """Keep the episodes on one side of the split."""
    return [verdict for verdict in verdicts if side[verdict.episode_id] == wanted]


def choose(
    catalog: Catalog,
    verdicts: list[Verdict],
    own: list[Verdict],
    side: dict[str, Side],
    config: BuildConfig,
    night: str,
) -> Choice:
    """Choose by narrow columns what the build is made of."""
    train = of_side(own, side, "train")
    older = of_side((v for v in verdicts if v.night < night), side, "train")
    sft = sft_episodes(train, config)
    guards: Counter[str] = Counter(
        held_out=0, prompt=0, identical=0, confidence=0, margin=0, length=0, cap=0
    )
    both = problems(own)
    allowed = {verdict.episode_id for verdict in train}
    pairs = episode_pairs(both, read_bodies(catalog, both), allowed, config, guards)
    successes = {v.episode_id: v for v in train if v.state == "success"}
    found = catalog.query("retries", relations={"wanted": ids_table(successes)})
    retries = [(r["episode_id"], r["failed"], r["working"]) for r in found.to_pylist()]
    pairs += retry_pairs(retries, successes, config, guards)
    return Choice(
        sft=sft,
        replay=replayed(older, sft, config, night),
        kto=kto_episodes(train, config),
        rl=rl_episodes(train),
        pairs=pairs,
        candidate_pairs=sum(problem.candidates for problem in both),
        guards=guards,
    )


def trained_on(choice: Choice, verdicts: list[Verdict]) -> list[Verdict]:
    """List every episode that any row of the build shows to a trainer."""
    ids = {v.episode_id for rows in choice.uses.values() for v in rows}
    ids |= {pair.chosen_episode for pair in choice.pairs}
    ids |= {pair.rejected_episode for pair in choice.pairs}
    return [verdict for verdict in verdicts if verdict.episode_id in ids]


def read_bodies(catalog: Catalog, both: list[Problem]) -> dict[str, Body]:
    """Fetch prompt and length of the episodes that could stand in a pair."""
    ids = [v.episode_id for problem in both for side in problem for v in side]
    rows = catalog.query("bodies", relations={"wanted": ids_table(ids)}).to_pylist()
    return {row["episode_id"]: Body(row["prompt_digest"], row["characters"]) for row in rows}


def ids_table(ids: Iterable[str]) -> pa.Table:
    """Make a relation of episode ids."""
    return pa.table({"episode_id": pa.array(list(ids), pa.string())})
