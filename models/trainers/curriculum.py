"""Which scenarios are played next: kinds whose groups come out mixed, more often.

A group whose rollouts all succeed or all fail has no advantage and teaches nothing. Dynamic
sampling throws such groups away after they were played; here what was learnt of a kind of scenario
decides how many of it are drawn, which costs no play.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState

from models.trainers.run import checkpoint_folder

FLOOR = 0.1
"""Least weight of a kind: one that was solved yesterday may not be tomorrow."""
FADES = 0.8
"""What earlier groups still count after a step; the policy changes."""
_FILE = "curriculum.json"


class Curriculum(TrainerCallback):
    """Draws the scenarios of each step.

    Source: Yu et al. 2025, https://arxiv.org/abs/2503.14476, section 3.2 (dynamic sampling), by
        kind and before play; the weight is the expected share of mixed groups.

    Args:
        rows: Scenarios, in the order drawn.
        kinds: The kind of each.
        seed: Seed of the draws.
        even: Draw as they come, whatever was learnt.
    """

    def __init__(
        self, rows: Sequence[dict[str, Any]], kinds: Sequence[str], seed: int, *, even: bool = False
    ) -> None:
        self._rows = rows
        self._seed = seed
        self._even = even
        self._of: dict[str, list[int]] = defaultdict(list)
        for place, kind in enumerate(kinds):
            self._of[kind].append(place)
        self._kinds = list(self._of)
        self._kind = list(kinds)
        self._next: dict[str, int] = dict.fromkeys(self._kinds, 0)
        self._played = 0
        self._groups: dict[str, float] = dict.fromkeys(self._kinds, 0.0)
        self._mixed: dict[str, float] = dict.fromkeys(self._kinds, 0.0)
        self._drawn: list[int] = []

    def draw(self, count: int) -> list[dict[str, Any]]:
        """Draw the scenarios of the next step."""
        self._drawn = self._in_turn(count) if self._even else self._weighted(count)
        self._played += 1
        return [self._rows[place] for place in self._drawn]

    def learn(self, mixed: Sequence[bool]) -> None:
        """Hear which of the groups of the last draw had differing rewards, in their order."""
        for kind in self._kinds:
            self._groups[kind] *= FADES
            self._mixed[kind] *= FADES
        for place, differs in zip(self._drawn, mixed, strict=True):
            self._groups[self._kind[place]] += 1
            self._mixed[self._kind[place]] += differs

    def weights(self) -> dict[str, float]:
        """Give each kind's share of the next draw: its expected share of mixed groups."""
        size = len(self._rows)
        found = {
            kind: max(FLOOR, (self._mixed[kind] + 1) / (self._groups[kind] + 2))
            * (len(self._of[kind]) / size)
            for kind in self._kinds
        }
        total = sum(found.values())
        return {kind: weight / total for kind, weight in found.items()}

    def _in_turn(self, count: int) -> list[int]:
        first = self._played * count
        return [place % len(self._rows) for place in range(first, first + count)]

    def _weighted(self, count: int) -> list[int]:
        """Take the next unplayed scenarios of kinds drawn by weight; a kind's end is its start."""
        rng = np.random.default_rng([self._seed, 7, self._played])
        shares = self.weights()
        drawn = rng.choice(len(self._kinds), size=count, p=[shares[k] for k in self._kinds])
        found = []
        for number in drawn:
            kind = self._kinds[int(number)]
            found.append(self._of[kind][self._next[kind] % len(self._of[kind])])
            self._next[kind] += 1
        return found

    def on_save(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep what was learnt in the checkpoint."""
        if state.is_world_process_zero:
            kept = {
                "played": self._played, "next": self._next, "groups": self._groups,
                "mixed": self._mixed,
            }  # fmt: skip
            (checkpoint_folder(args, state) / _FILE).write_text(json.dumps(kept))

    def on_train_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take up what the checkpoint holds which training goes on from."""
        if state.global_step and (file := checkpoint_folder(args, state) / _FILE).exists():
            kept = json.loads(file.read_text())
            self._played, self._next = kept["played"], kept["next"]
            self._groups, self._mixed = kept["groups"], kept["mixed"]
