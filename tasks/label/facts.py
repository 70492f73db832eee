"""What the warehouse knows of each episode, as arrays: evidence matrix, outcomes and steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.label.reliability import Bools, Floats
from tasks.label.signals import COLUMN, KINDS
from warehouse.tables import Warehouse


class Facts(NamedTuple):
    """Evidence on episodes, one entry each, in one order."""

    episode_id: list[str]
    outcome: Floats
    """Verified value, NaN when nobody verified."""
    broken: Bools
    tools_offered: Bools
    evidence: Bools
    """`(episodes, kinds)`; without what the messages show until `add_message_evidence`."""
    heard: list[str]
    """What signals and log said, as text: a change asks for a new label."""

    def take(self, index: npt.NDArray[np.int64]) -> Facts:
        """Keep some episodes."""
        return Facts(
            [self.episode_id[i] for i in index],
            self.outcome[index],
            self.broken[index],
            self.tools_offered[index],
            self.evidence[index],
            [self.heard[i] for i in index],
        )


class Steps(NamedTuple):
    """Assistant steps of episodes, one episode after the other, in the episodes' order."""

    lengths: npt.NDArray[np.int64]
    """Steps of each episode, `(episodes,)`."""
    owner: npt.NDArray[np.int64]
    """Index of each step's episode, `(steps,)`."""
    calls: Floats
    malformed: Floats
    errors: Floats
    repeated: Floats

    def per_episode(self, values: Floats) -> Floats:
        """Sum a value of steps over each episode."""
        sums = np.bincount(self.owner, weights=values, minlength=len(self.lengths))
        return np.asarray(sums, dtype=np.float64)


def read_facts(warehouse: Warehouse) -> Facts:
    """Read what log and signals say about every episode."""
    table = warehouse.sql("evidence")
    kinds = table["kinds"].to_pylist()
    outcome = table["outcome"].to_pylist()
    evidence = np.zeros((table.num_rows, len(KINDS)), dtype=bool)
    mark(evidence, kinds)
    return Facts(
        episode_id=table["episode_id"].to_pylist(),
        outcome=np.array([np.nan if value is None else value for value in outcome], dtype=float),
        broken=np.array(table["infrastructure_error"].to_pylist(), dtype=bool),
        tools_offered=np.array(table["tools_offered"].to_pylist(), dtype=bool),
        evidence=evidence,
        heard=[f"{','.join(k)};{o}" for k, o in zip(kinds, outcome, strict=True)],
    )


def mark(evidence: Bools, kinds: list[list[str]]) -> None:
    """Set the columns of the kinds that each episode shows; unknown kinds are passed over."""
    for row, names in enumerate(kinds):
        for name in names:
            if name in COLUMN:
                evidence[row, COLUMN[name]] = True


def read_steps(warehouse: Warehouse, episode_id: list[str]) -> Steps:
    """Read the steps of episodes given in ascending order of their ids."""
    wanted = pa.table({"episode_id": pa.array(episode_id, pa.string())})
    table = warehouse.sql("steps", relations={"wanted": wanted})
    index = {name: i for i, name in enumerate(episode_id)}
    owner = np.array([index[name] for name in table["episode_id"].to_pylist()], dtype=np.int64)

    def column(name: str) -> Floats:
        return np.array(table[name].to_pylist(), dtype=np.float64)

    return Steps(
        lengths=np.bincount(owner, minlength=len(episode_id)).astype(np.int64),
        owner=owner,
        calls=column("calls"),
        malformed=column("malformed"),
        errors=column("errors"),
        repeated=column("repeated"),
    )


def add_message_evidence(facts: Facts, steps: Steps) -> None:
    """Mark what the messages themselves show: an error at the end, a repeat, no tool used."""
    acting = steps.calls > 0
    last = np.full(len(facts.episode_id), -1, dtype=np.int64)
    last[steps.owner[acting]] = np.flatnonzero(acting)
    ended = last >= 0
    facts.evidence[ended, COLUMN["final_error"]] = steps.errors[last[ended]] > 0
    facts.evidence[:, COLUMN["repeated_call"]] = steps.per_episode(steps.repeated) > 0
    facts.evidence[:, COLUMN["no_tool_evidence"]] = (
        facts.tools_offered & (steps.lengths > 0) & (steps.per_episode(steps.calls) == 0)
    )
