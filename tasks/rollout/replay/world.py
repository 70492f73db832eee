"""Play logged scenarios where there is no environment: calls are answered with what was logged.

A call that an episode of the scenario made is answered with the result it had there; any other gets
an error that says so. When the agent speaks, the user replies as in the logs, and where the logs
end, so does the episode. An episode that called exactly what logged ones did, with the same
results, is worth what these were worth on average; of any other the world cannot know how it would
have ended, and abstains, so that a reward model may judge it.

So this shows that the mechanics of reinforcement run from logs alone. What it can teach is to
prefer, among the ways that were logged, the better one. It cannot judge a way that nobody took, a
result that depends on when it is asked for is the most frequent one, and the words of an answer are
not compared with those that were logged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import pyarrow as pa

from schemas.dataset import LoggedScenario, Scenario, Split
from schemas.digest import digest
from schemas.episode import Message
from schemas.errors import ConfigurationError, MissingStateError
from tasks.build.manifest import builds_before, load_manifest
from tasks.rollout.environment import Environment
from tasks.rollout.replay.methods import joined, methods, schemas_of, schemas_seen
from tasks.rollout.replay.tape import (
    START,
    Logged,
    Tape,
    call_key,
    longer,
    opening_of,
)
from warehouse.tables import Warehouse

HELD_OUT: tuple[Split, ...] = ("validation", "frozen_params", "frozen_compositions")
"""Splits that held-out episodes are shared out to, a third each, by their group."""
UNSEEN = "Error: no logged episode of this scenario made this call, so its result is unknown."


class Recorded(NamedTuple):
    """A scenario with what was logged of it."""

    scenario: Scenario
    logged: list[str]
    """Ids of its episodes."""
    prompt: list[Message] | None
    """The messages that open it; None takes those of its first episode."""


class Opened(NamedTuple):
    """A scenario that can be played."""

    tape: Tape
    prompt: list[Message]
    tools: str | None


class ReplayEnvironment:
    """One episode of a logged scenario, in TRL's environment contract.

    The tools are methods of a class that the world makes of it (`ReplayWorld.environment`).
    """

    _world: ReplayWorld

    def reset(self, scenario: str, **_: Any) -> None:
        """Start an episode.

        Args:
            scenario: Key of the scenario, as its row has it.
        """
        opened = self._world._open(scenario)  # noqa: SLF001 - TRL takes public names for tools
        self._tape = opened.tape
        self._chain, self._said = START, 0
        self._finished: bool | None = None
        self._schemas = schemas_of(opened.tools) or None
        self._offered = {s["function"]["name"] for s in self._schemas} if self._schemas else None

    def get_reward(self) -> float | None:
        """Give what the logged episodes were worth that did the same; None if none did.

        An episode that a limit cut off before an answer has failed.
        """
        return self._tape.outcome(self._chain) if self._finished is not False else 0.0

    def _follow(self, logged: Logged) -> None:
        """Answer from one logged episode alone."""
        self._tape = Tape([logged])

    def _call(self, name: str, given: dict[str, Any]) -> str:
        call = call_key(name, json.dumps(given))
        result = self._tape.result(self._chain, call)
        told = UNSEEN if result is None else result
        self._chain, self._said = longer(self._chain, call, told), 0
        return told

    def _reply(self, said: str) -> str | None:  # noqa: ARG002 - what was said is not compared
        reply = self._tape.reply(self._chain, self._said)
        self._said += 1
        return reply

    def _finish(self, answer: str | None, malformed: bool = False) -> None:
        self._finished = answer is not None and not malformed


class ReplayWorld:
    """Scenarios of a home's logs.

    Args:
        root: Folder of the environment, `<home>/environment`: the tables lie beside it.
        seed: Not used: nothing is generated.
        salt: Salt of the split.
        build: Digest of the build whose scenarios are played; None takes the newest night's.
    """

    def __init__(
        self,
        root: Path,
        seed: int = 0,  # noqa: ARG002 - every world is given one
        salt: str = "flywheel",
        *,
        build: str | None = None,
    ) -> None:
        self._home = Path(root).parent
        self._salt = salt
        self._asked = build
        self._warehouse = Warehouse(self._home)
        self._opened: dict[str, Opened] = {}

    @cached_property
    def _builds(self) -> list[str]:
        """Digests of the builds up to the one that is played, oldest first."""
        known = builds_before(self._home, "9999-99-99")
        if self._asked is None and known:
            return known
        manifest = load_manifest(self._home, self._asked or "")
        if self._asked is None or manifest is None:
            raise MissingStateError(
                f"There is no build {self._asked or ''} to replay under {self._home}.".replace(
                    "  ", " "
                ),
                "Run `flywheel build` first.",
            )
        return [*builds_before(self._home, manifest["night"]), self._asked]

    @cached_property
    def _train(self) -> dict[str, Recorded]:
        """Scenarios of the build, by key, the most promising first."""
        found = self._warehouse.read("scenarios", where={"build": self._builds[-1]}).to_pylist()
        rows = msgspec.convert([_told(row) for row in found], list[LoggedScenario])
        made = (
            self._recorded("train", r.difficulty, r.scenario_id, r.logged, r.prompt)
            for r in sorted(rows, key=lambda r: r.rank)
            if r.prompt
        )
        return {one.scenario.scenario_id: one for one in made}

    @cached_property
    def _held_out(self) -> dict[str, Recorded]:
        """Scenarios that no training set ever sees, by key, those held out first coming first."""
        found = self._warehouse.sql("replay_held_out", builds=self._builds).to_pylist()
        found.sort(key=lambda row: (row["place"], digest(f"{self._salt}:{row['scenario']}")))
        made = (
            self._recorded(self._side(row["group"]), "logged", row["scenario"], row["logged"], None)
            for row in found
        )
        return {one.scenario.scenario_id: one for one in made}

    def _side(self, group: int) -> Split:
        return HELD_OUT[int(digest(f"{self._salt}:replay:{group}", 8), 16) % len(HELD_OUT)]

    def _recorded(
        self, split: Split, kind: str, name: str, logged: list[str], prompt: list[Message] | None
    ) -> Recorded:
        side = "train" if split == "train" else "held_out"
        key = f"{side}:{digest(f'{self._salt}:{name}', 16)}"
        scenario = Scenario(
            scenario_id=key, split=split, slice=kind, specification=json.dumps({"logged": name}),
            composition=name, question="", environment="replay", row=json.dumps({"scenario": key}),
        )  # fmt: skip
        return Recorded(scenario, logged, prompt)

    @cached_property
    def _class(self) -> type[ReplayEnvironment]:
        """Make the class of all environments, with every tool that the scenarios have.

        One class, as TRL asks of a factory; what a scenario does not offer is left out later.
        """
        every = [*self._train.values(), *self._held_out.values()]
        names = sorted({name for one in every for name in one.logged})
        wanted = pa.table({"episode_id": pa.array(names, pa.string())})
        rows = self._warehouse.sql("replay_tools", relations={"wanted": wanted}).to_pylist()
        sets = [schemas_of(row["tools"]) for row in rows if row["tools"] is not None]
        seen = schemas_seen([row for row in rows if row["name"] is not None])
        tools = methods(joined([*sets, seen]), lambda self, name, given: self._call(name, given))
        return type("ReplayedScenario", (ReplayEnvironment,), {**tools, "_world": self})

    def environment(self) -> ReplayEnvironment:
        """Make one environment."""
        return self._class()

    def draw(self, split: Split, count: int, seed: int) -> list[Scenario]:
        """Draw scenarios of one split.

        Of the training side all are drawn before one comes again, in an order that the seed
        decides. Held-out ones are the first so many, whatever the seed, and fewer than asked for
        where the logs hold no more.

        Raises:
            MissingStateError: There is no build.
        """
        if split != "train":
            known = [one for one in self._held_out.values() if one.scenario.split == split]
            return self._complete(known[:count])
        every = list(self._train.values())
        if not every:
            return []
        rng = np.random.default_rng([seed, 7])
        passes = -(-count // len(every))
        order = np.concatenate([rng.permutation(len(every)) for _ in range(passes)])
        return self._complete([every[int(place)] for place in order[:count]])

    def act(
        self, scenario: Scenario, environment: Environment, rng: np.random.Generator
    ) -> list[Message]:
        """Do again what one of the scenario's logged episodes did, and say what it said.

        Returns:
            That episode's messages after its opening, up to the agent's last.
        """
        played = cast(ReplayEnvironment, environment)
        logged = self._open(json.loads(scenario.row)["scenario"]).tape.logged
        one = logged[int(rng.integers(len(logged)))]
        played._follow(one)  # noqa: SLF001 - TRL takes public names for tools
        said = one.messages[len(opening_of(one.messages)) :]
        last = max((i for i, m in enumerate(said) if m.role != "user"), default=-1)
        for message in said[: last + 1]:
            for call in message.tool_calls if message.role == "assistant" else []:
                played._call(call.name, _given(call.arguments))  # noqa: SLF001 - as above
        return said[: last + 1]

    def close(self) -> None:
        """Forget what was read."""
        self._opened.clear()

    def _complete(self, recorded: Sequence[Recorded]) -> list[Scenario]:
        """Open scenarios, and tell each its prompt."""
        self._load([one for one in recorded if one.scenario.scenario_id not in self._opened])
        found = []
        for one in recorded:
            prompt = self._opened[one.scenario.scenario_id].prompt
            asked = next((m.content or "" for m in prompt[::-1] if m.role == "user"), "")
            row = {
                "scenario": one.scenario.scenario_id,
                "prompt": [{"role": m.role, "content": m.content or ""} for m in prompt],
            }
            told = {"question": asked, "row": json.dumps(row, ensure_ascii=False)}
            found.append(msgspec.structs.replace(one.scenario, **told))
        return found

    def _open(self, key: str) -> Opened:
        """Give a scenario; one that another process has drawn is read here.

        Raises:
            ConfigurationError: The build that is played has no such scenario.
        """
        if key not in self._opened:
            known = self._train if key.startswith("train:") else self._held_out
            if key not in known:
                raise ConfigurationError(
                    f"The scenario {key} is not one of build {self._builds[-1]}.",
                    "Draw scenarios and play them of one build (environment.options.build).",
                )
            # Those held out are few and played together; of the others one is enough.
            self._load([known[key]] if known is self._train else list(known.values()))
        return self._opened[key]

    def _load(self, recorded: Sequence[Recorded]) -> None:
        """Read the logged episodes of scenarios."""
        names = sorted({name for one in recorded for name in one.logged})
        if not names:
            return
        wanted = pa.table({"episode_id": names})
        rows = self._warehouse.sql("replay_episodes", relations={"wanted": wanted}).to_pylist()
        by_id = {row["episode_id"]: row for row in rows}
        for one in recorded:
            there = [by_id[name] for name in one.logged if name in by_id]
            logged = [
                Logged(r["episode_id"], msgspec.convert(r["messages"], list[Message]), r["success"])
                for r in there
            ]
            if not logged:
                raise MissingStateError(
                    f"No episode of the scenario {one.scenario.composition} is left.",
                    "Build again: they were taken out since the build was made.",
                )
            tools = next((row["tools"] for row in there if row["tools"]), None)
            prompt = one.prompt or opening_of(logged[0].messages)
            self._opened[one.scenario.scenario_id] = Opened(Tape(logged), prompt, tools)


def _given(arguments: str) -> dict[str, Any]:
    """Read a logged call's arguments; what is no object is passed on as it was logged."""
    try:
        said = json.loads(arguments)
    except json.JSONDecodeError:
        said = None
    return said if isinstance(said, dict) else {"arguments": arguments}


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a build of an older release did not write: its default holds."""
    return {name: value for name, value in row.items() if value is not None}
