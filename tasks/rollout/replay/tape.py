"""What a scenario's logged episodes can answer: results of calls, replies of users, outcomes.

All of them are asked by what was done so far: the chain of calls and their results, which is also
the state of `tasks.label.credit`. What the agent said on the way changes no state.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from schemas.digest import digest
from schemas.episode import Message
from tasks.label.credit import canonical

START = ""
"""The chain of an episode that has called nothing yet."""


class Logged(msgspec.Struct, frozen=True):
    """A logged episode of a scenario."""

    episode_id: str
    messages: list[Message]
    """What the agent saw and said."""
    success: float | None = None
    """1 where its label says success, 0 where it says failure; None where nobody knows."""


class Answered(NamedTuple):
    """A call with the result that the log has for it."""

    name: str
    arguments: str
    result: str


class Heard(NamedTuple):
    """Something that the agent said without calling anything, and what the user said to it."""

    reply: str | None
    """None where the log ends: whatever stands after it, the agent did not answer any more."""


Event = Answered | Heard


def opening_of(messages: Sequence[Message]) -> list[Message]:
    """Give what stands before the agent's first word."""
    first = next((i for i, m in enumerate(messages) if m.role == "assistant"), len(messages))
    return list(messages[:first])


def events(messages: Sequence[Message]) -> list[Event]:
    """List in order what the agent did and what came back.

    Results belong to the calls of the message before them by their position, as ids are not unique
    in real logs. A call whose result was not logged is left out: it cannot be answered.
    """
    found: list[Event] = []
    last = max((i for i, m in enumerate(messages) if m.role == "assistant"), default=-1)
    for place, message in enumerate(messages):
        if message.role != "assistant":
            continue
        told = []
        for after in messages[place + 1 :]:
            if after.role == "assistant":
                break
            told.append(after)
        results = [m.content or "" for m in told if m.role == "tool"]
        pairs = zip(message.tool_calls, results, strict=False)
        found += [Answered(call.name, call.arguments, result) for call, result in pairs]
        if not message.tool_calls:
            said = [m.content or "" for m in told if m.role == "user"]
            found.append(Heard("\n".join(said) if said and place < last else None))
    return found


def longer(chain: str, call: str, result: str) -> str:
    """Name the chain that a call and its result make of a chain."""
    return digest(f"{chain}\0{call}\0{result}", 32)


def call_key(name: str, arguments: str) -> str:
    """Write a call so that the order of its arguments and white space do not count."""
    return f"{name}\0{canonical(memoryview(arguments.encode())).decode()}"


class Tape:
    """The logged episodes of one scenario, ready to be asked.

    Args:
        logged: The episodes.
    """

    def __init__(self, logged: Iterable[Logged]) -> None:
        self.logged = list(logged)
        self._here: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._anywhere: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._replies: defaultdict[tuple[str, int], Counter[str | None]] = defaultdict(Counter)
        self._outcomes: defaultdict[str, list[float]] = defaultdict(list)
        for one in self.logged:
            self._add(one)

    def _add(self, one: Logged) -> None:
        chain, said = START, 0
        for event in events(one.messages):
            if isinstance(event, Heard):
                self._replies[chain, said][event.reply] += 1
                said += 1
                continue
            call = call_key(event.name, event.arguments)
            self._here[chain, call][event.result] += 1
            self._anywhere[call][event.result] += 1
            chain, said = longer(chain, call, event.result), 0
        if one.success is not None:
            self._outcomes[chain].append(one.success)

    def result(self, chain: str, call: str) -> str | None:
        """Give the result that was logged of a call.

        After the same chain where the scenario has it, else after any; where several results were
        logged, the most frequent one, and of those the first.

        Returns:
            None for a call that no episode of the scenario made.
        """
        found = self._here.get((chain, call)) or self._anywhere.get(call)
        return found.most_common(1)[0][0] if found else None

    def reply(self, chain: str, said: int) -> str | None:
        """Give what the user said when the agent spoke after a chain.

        Args:
            chain: What was done so far.
            said: How often the agent has spoken since its last call, this time not counted.

        Returns:
            None where the logged episodes ended, or where none came this way.
        """
        found = self._replies.get((chain, said))
        return found.most_common(1)[0][0] if found else None

    def outcome(self, chain: str) -> float | None:
        """Give the mean success of the episodes that did exactly this from first to last.

        Returns:
            None where no labelled episode did, and where nothing was called: then it is what was
            said that decided, and that is not compared.
        """
        found = self._outcomes.get(chain) if chain != START else None
        return sum(found) / len(found) if found else None
