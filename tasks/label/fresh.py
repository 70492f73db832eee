"""Episodes without a label, read once: what is known of each, and what its messages show.

Messages are looked at a block at a time and let go; what is kept of an episode is narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.label_config import LabelConfig
from tasks.label.block import ASSISTANT, Block, Bools, Floats, Ints, spoken_in
from tasks.label.cost import MEASURES
from tasks.label.credit import Acts, acts, digests, problems
from tasks.label.detect.asking import questions_back
from tasks.label.detect.detect import shown
from tasks.label.own import Failed, Own, fraction
from tasks.label.process import process_rewards
from tasks.label.risk.rules import Rules
from warehouse.tables import Warehouse

BLOCK = 16_384
"""Episodes looked at together."""
FORM_SHARE, FORM_LEAST = 0.5, 20
"""Share of a run's episodes that end without an answer, of this many at least, from which that is
the form of these logs (agents that only act) and says nothing of users."""
NARROW = (
    "episode_id", "day", "night", "logged_id", "scenario_id", "session_id", "user_id", "question",
    "started_at", "ended_at", "source_line", "logged_reward", "infrastructure_error", "supersedes",
    "call_ids", "source_file",
)  # fmt: skip
"""Columns that are kept of each episode."""


class Steps(NamedTuple):
    """Steps of episodes, one episode after the other."""

    lengths: Ints
    """Steps of each episode, `(episodes,)`."""
    rewards: Floats
    """Process rewards, `(steps,)`."""
    acts: Acts
    """Where each step acts and what it does, `(steps,)`."""


class Watched(NamedTuple):
    """What tripwires look at, one entry an episode."""

    calls: Ints
    malformed: Ints
    errors: Ints
    characters: Ints
    """Characters that the agent wrote."""
    asked_back: Ints
    """Questions it asked back."""
    tools_offered: Bools


class Fresh(NamedTuple):
    """Episodes to label, one entry each, in the order read."""

    about: pa.Table
    """The columns `NARROW`."""
    shown: dict[str, Bools]
    """Kinds of evidence in the messages, `(episodes,)` each."""
    reward: Floats
    """What verifiers of the user's own say, `(episodes,)`; NaN where they abstain."""
    amounts: Floats
    """What each cost, `(episodes, measures)`; NaN where the log does not say."""
    broken: Floats
    """How far each breaks each risk rule, `(episodes, rules)`; NaN where a rule abstains."""
    steps: Steps
    watched: Watched
    failures: dict[str, Failed]
    """Parts of the user's own that failed, by their `use`."""

    @property
    def size(self) -> int:
        """Give the number of episodes."""
        return int(self.about.num_rows)


class Reader:
    """What looks at blocks; made before anything is read, so that a bad configuration stops first.

    Raises:
        ConfigurationError: A rule, detector or reward cannot be loaded.
    """

    def __init__(self, config: LabelConfig) -> None:
        self.config = config
        self.rules = Rules(config.risk)
        self.detectors = {
            own.name: Own(own.use, "label.detectors", own.options) for own in config.detectors
        }
        self.rewards = [Own(own.use, "label.rewards", own.options) for own in config.rewards]

    def failures(self) -> dict[str, Failed]:
        """Give the parts of the user's own that failed."""
        own = [*self.detectors.values(), *self.rewards]
        return {part.use: part.failed for part in own if part.failed} | self.rules.failures()

    def look(self, batch: pa.RecordBatch) -> Fresh:
        """Look at a batch of episodes with their messages."""
        block = Block(batch.column("messages"), batch.column("tools"))

        def episodes() -> Iterator[Mapping[str, Any]]:
            return iter(batch.to_pylist())

        found = shown(block, self.config.signals)
        found |= self._detected(episodes)
        problem = problems(batch.column("scenario_id"), batch.column("question"))
        known = digests(block)
        return Fresh(
            copied(batch),
            found,
            self._verified(episodes, len(block)),
            amounts_of(batch, block),
            self.rules.broken(block, episodes),
            Steps(
                block.steps,
                process_rewards(block, batch.column("step_rewards"), known),
                acts(block, problem, known),
            ),
            watched(block),
            {},
        )

    def _detected(self, episodes: Callable[[], Iterator[Mapping[str, Any]]]) -> dict[str, Bools]:
        """Ask the user's own detectors."""
        return {
            name: np.array([bool(own(seen, bool)) for seen in episodes()], dtype=bool)
            for name, own in self.detectors.items()
        }

    def _verified(self, episodes: Callable[[], Iterator[Mapping[str, Any]]], count: int) -> Floats:
        """Ask the user's own verifiers; of several that answer, the lowest counts."""
        result = np.full(count, np.nan)
        for own in self.rewards:
            said = [own(seen, fraction) for seen in episodes()]
            result = np.fmin(result, np.array([np.nan if v is None else v for v in said]))
        return result


def copied(batch: pa.RecordBatch) -> pa.Table:
    """Copy the narrow columns of a batch: one column kept as it is would keep them all."""
    every = pa.array(np.arange(batch.num_rows))
    return pa.table({name: batch.column(name).take(every) for name in NARROW})


def amounts_of(batch: pa.RecordBatch, block: Block) -> Floats:
    """Give what each episode cost, in the order of `MEASURES`; NaN where the log does not say."""
    latency = pc.subtract(
        batch.column("ended_at").cast(pa.int64()), batch.column("started_at").cast(pa.int64())
    )
    tokens = floats(batch.column("tokens"))
    seconds = floats(latency) / 1e6
    known = {
        "tool_calls": block.per_episode(block.call_owner).astype(np.float64),
        "tokens": np.where(tokens > 0, tokens, np.nan),
        "usd": floats(batch.column("cost_usd")),
        "latency_s": np.where(seconds > 0, seconds, np.nan),
    }
    return np.stack([known[name] for name in MEASURES], axis=1)


def floats(values: pa.Array) -> Floats:
    """Turn numbers into floats; null becomes NaN."""
    return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def watched(block: Block) -> Watched:
    """Collect what tripwires look at."""
    spoken = (block.role == ASSISTANT) & spoken_in(block.content)
    sizes = pc.fill_null(pc.utf8_length(block.content), 0).to_numpy()
    characters = np.bincount(block.owner, weights=sizes * spoken, minlength=len(block))
    offered = pc.fill_null(pc.greater(pc.binary_length(block.offered), 2), False)
    return Watched(
        block.per_episode(block.call_owner),
        block.per_episode(block.call_owner[block.call_malformed]),
        np.bincount(block.step_owner, weights=block.step_errors, minlength=len(block)).astype(
            np.int64
        ),
        characters.astype(np.int64),
        questions_back(block),
        offered.to_numpy(zero_copy_only=False),
    )


def read_fresh(
    warehouse: Warehouse,
    reader: Reader,
    files: Mapping[str, Sequence[str]],
    progress: Callable[[int], None],
) -> Fresh | None:
    """Read the episodes of some files that have no label.

    Args:
        warehouse: The tables.
        reader: What looks at them.
        files: Files of `episodes` to read, and those of `labels` that may hold their labels.
        progress: Told how many have been read.

    Returns:
        The episodes, each once; None where there are none.
    """
    parts: list[Fresh] = []
    done = 0
    for batch in warehouse.batches("unlabelled", BLOCK, files=files):
        if batch.num_rows:
            parts.append(reader.look(batch))
            done += batch.num_rows
            progress(done)
    fresh = together(parts, reader.failures()) if parts else None
    del parts
    pa.default_memory_pool().release_unused()  # what the messages took, for what comes
    return fresh


def together(parts: Sequence[Fresh], failures: dict[str, Failed]) -> Fresh:
    """Put blocks together."""

    def stack(field: str) -> Any:
        return np.concatenate([getattr(part, field) for part in parts])

    shown = {name: np.concatenate([part.shown[name] for part in parts]) for name in parts[0].shown}
    if shown["abandoned"].mean() > FORM_SHARE and len(shown["abandoned"]) >= FORM_LEAST:
        shown["abandoned"] = np.zeros_like(shown["abandoned"])
    return Fresh(
        pa.concat_tables([part.about for part in parts]).combine_chunks(),
        shown,
        stack("reward"),
        stack("amounts"),
        stack("broken"),
        Steps(
            np.concatenate([part.steps.lengths for part in parts]),
            np.concatenate([part.steps.rewards for part in parts]),
            Acts(*(np.concatenate(c) for c in zip(*[p.steps.acts for p in parts], strict=True))),
        ),
        Watched(*(np.concatenate(c) for c in zip(*[p.watched for p in parts], strict=True))),
        failures,
    )
