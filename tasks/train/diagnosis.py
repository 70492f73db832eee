"""What kind of failures a policy has left, how mixed its groups are, and which candidate can help.

Play reinforces what a policy already does now and then: it mends decisions. It cannot give a skill
that is missing, such as copying a number. So before reinforcement, or when it did not help, this
says which of the two the failures are.
"""

from __future__ import annotations

import inspect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from schemas.config import FlywheelConfig
from schemas.dataset import Scenario
from schemas.episode import Message
from schemas.progress import Progress, report
from schemas.rollout import Rollout
from tasks.evaluate.metrics import SOLVED
from tasks.rollout.environment import World
from tasks.rollout.play import opening, play_loaded
from tasks.train.copying import first_slip

if TYPE_CHECKING:
    from models.policy import LoadedPolicy

Judge = Callable[[Sequence[Rollout], Sequence[list[dict[str, Any]]]], Sequence[float | None]]
"""Gives rollouts their rewards, told how each was opened; keeps those that they have."""
Kind = Literal["malformed", "loop", "truncated", "no_answer", "miscopied", "wrong_decision"]
"""Kinds of failures, in the order in which they are looked for; the first that fits counts.

`malformed`: a call does not parse. `loop`: the same call with the same answer three times, or a
cycle of steps gone round twice. `truncated`: it ran into a limit, and not for going in circles.
`no_answer`: the last turn is empty. `miscopied`: a value in a call or in the answer was not copied
right, whatever else went wrong: no better decision would have saved it. `wrong_decision`: the rest.
"""
KINDS: tuple[Kind, ...] = get_args(Kind)
SAME_CALLS = 3
"""The second may be a retry."""
MIXED_LOW = 0.1
"""Share of mixed groups under which play teaches next to nothing."""
WORDS: dict[str, str] = {
    "malformed": "malformed calls",
    "loop": "loops",
    "truncated": "episodes that ran into a limit",
    "no_answer": "episodes without an answer",
    "miscopied": "miscopied values",
    "wrong_decision": "wrong decisions",
}

MENDS: dict[str, str] = {
    "malformed": "more sft shows the right form",
    "loop": "dpo or kto on logged loops, or grpo, can break them",
    "truncated": "a longer episode (train.policy.context, grpo.completion_share) if they were on "
    "their way, else dpo or grpo",
    "no_answer": "more sft, or dpo and kto on logged failures of that kind",
    "miscopied": "play cannot give this skill; more sft, or retelling (sft.retold_share), can",
}
"""What can mend a kind; wrong decisions are told by whether play comes upon better ones."""


class Slice(msgspec.Struct, frozen=True):
    """The same for one kind of question, in brief."""

    attempts: int
    success: float
    mixed: float
    failures: dict[str, int]


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy's play says about what it still gets wrong; ready for JSON."""

    scenarios: int
    """Scenarios played and judged."""
    attempts: int
    """Attempts judged."""
    samples: int
    """Most attempts of one scenario: the `k` of `pass_at_k`."""
    abstained: int
    """Attempts that the environment did not judge; they count for nothing else."""
    success: float
    """Share of the attempts that succeeded."""
    pass_at_k: float
    """Share of the scenarios that at least one attempt solved."""
    mixed: float
    """Share of the scenarios whose attempts differ in reward: what play learns from."""
    all_failed: float
    """Share whose attempts all fail alike."""
    all_passed: float
    """Share whose attempts all succeed alike."""
    failures: dict[str, int]
    """Failed attempts by kind; kinds that are not there are left out."""
    within_reach: dict[str, int]
    """Those of them whose scenario another attempt solved."""
    slips: list[str]
    """Some of the miscopied values: `11789 for 1178`."""
    slices: dict[str, Slice]
    """By the scenarios' `slice`, the kind of question."""
    advice: list[str]
    """Which candidate can mend what, in plain words."""


def kind_of_failure(rollout: Rollout, question: str, offered: str = "") -> Kind:
    """Say what kind of failure a failed rollout is; `Kind` gives the order of precedence.

    Args:
        rollout: An episode that failed.
        question: What was asked.
        offered: Text of the tools' schemas, which the agent has read.
    """
    last = next((m for m in reversed(rollout.messages) if m.role == "assistant"), None)
    if rollout.malformed or any(c.malformed for m in rollout.messages for c in m.tool_calls):
        return "malformed"
    if loops(rollout.messages):
        return "loop"
    if rollout.truncated:
        return "truncated"
    if last is None or not (last.content or "").strip():
        return "no_answer"
    if first_slip(rollout.messages, question, offered) is not None:
        return "miscopied"
    return "wrong_decision"


def loops(messages: Sequence[Message]) -> bool:
    """Tell whether an agent goes in circles: nothing that it does tells it anything new.

    True for one call with the same answer three times, wherever, and for two or more steps that
    come twice, one round after the other, with the same answers.
    """
    steps: list[tuple[tuple[str, str], ...]] = []
    answers: list[str | None] = []
    for message in messages:
        if message.role == "assistant" and message.tool_calls:
            steps.append(tuple((c.name, c.arguments) for c in message.tool_calls))
            answers.append("")
        elif message.role == "tool" and answers:
            answers[-1] = f"{answers[-1]}\n{message.content}"
    told = list(zip(steps, answers, strict=True))
    if max(Counter(told).values(), default=0) >= SAME_CALLS:
        return True
    return any(
        told[at : at + length] == told[at + length : at + 2 * length]
        for length in range(2, len(told) // 2 + 1)
        for at in range(len(told) - 2 * length + 1)
    )


def diagnose(
    rollouts: Sequence[Rollout], scenarios: Sequence[Scenario], *, offered: str = "",
    mixed_low: float = MIXED_LOW,
) -> Diagnosis:  # fmt: skip
    """Sort a policy's failures, and say what can be done about them.

    Args:
        rollouts: Attempts at the scenarios, several each; a scenario's are told by its id.
        scenarios: What was played.
        offered: Text of the tools' schemas.
        mixed_low: Share of mixed groups under which play teaches next to nothing.
    """
    by_id = {scenario.scenario_id: scenario for scenario in scenarios}
    asked = {name: _asked(scenario) for name, scenario in by_id.items()}
    judged = [r for r in rollouts if r.reward is not None and r.scenario_id in by_id]
    groups: dict[str, list[Rollout]] = defaultdict(list)
    for rollout in judged:
        groups[rollout.scenario_id].append(rollout)
    kinds = {
        id(r): kind_of_failure(r, asked[r.scenario_id], offered) for r in judged if not _solved(r)
    }
    reachable = [r for g in groups.values() if any(map(_solved, g)) for r in g if id(r) in kinds]
    k = max(map(len, groups.values()), default=0)
    found = Diagnosis(
        scenarios=len(groups), attempts=len(judged), samples=k,
        abstained=sum(r.reward is None for r in rollouts),
        success=_share(map(_solved, judged)),
        pass_at_k=_share(any(map(_solved, group)) for group in groups.values()),
        mixed=_share(map(_mixed, groups.values())),
        all_failed=_share(not _mixed(g) and not _solved(g[0]) for g in groups.values()),
        all_passed=_share(not _mixed(g) and _solved(g[0]) for g in groups.values()),
        failures=_counted(kinds.values()),
        within_reach=_counted(kinds[id(r)] for r in reachable),
        slips=_slips([r for r in judged if kinds.get(id(r)) == "miscopied"], asked, offered),
        slices=_slices(groups, by_id, kinds), advice=[],
    )  # fmt: skip
    return msgspec.structs.replace(found, advice=advise(found, mixed_low))


def _solved(rollout: Rollout) -> bool:
    return (rollout.reward or 0.0) >= SOLVED


def _mixed(group: Sequence[Rollout]) -> bool:
    return len({rollout.reward for rollout in group}) > 1


def _share(hits: Iterable[bool]) -> float:
    known = [bool(hit) for hit in hits]
    return sum(known) / len(known) if known else 0.0


def _counted(kinds: Iterable[str]) -> dict[str, int]:
    counts = Counter(kinds)
    return {kind: counts[kind] for kind in KINDS if counts[kind]}


def _asked(scenario: Scenario) -> str:
    """Give all that an episode of a scenario opens with."""
    return "\n".join(str(m.get("content") or "") for m in opening(scenario, None))


def _slips(rollouts: Sequence[Rollout], asked: dict[str, str], offered: str) -> list[str]:
    slips = (first_slip(r.messages, asked[r.scenario_id], offered) for r in rollouts)
    told = dict.fromkeys(f"{slip.wrote} for {slip.seen}" for slip in slips if slip is not None)
    return list(told)[:5]


def _slices(
    groups: dict[str, list[Rollout]], by_id: dict[str, Scenario], kinds: dict[int, Kind]
) -> dict[str, Slice]:
    of_slice: dict[str, list[list[Rollout]]] = defaultdict(list)
    for scenario_id, group in groups.items():
        of_slice[by_id[scenario_id].slice].append(group)
    made = {}
    for name, own in sorted(of_slice.items()):
        rows = [rollout for group in own for rollout in group]
        failed = _counted(kinds[id(r)] for r in rows if id(r) in kinds)
        made[name] = Slice(len(rows), _share(map(_solved, rows)), _share(map(_mixed, own)), failed)
    return made


def advise(found: Diagnosis, mixed_low: float = MIXED_LOW) -> list[str]:
    """Say in plain words which candidate can mend what.

    Args:
        found: A diagnosis.
        mixed_low: Share of mixed groups under which play teaches next to nothing.
    """
    if not found.attempts:
        return ["no attempt was judged: there is nothing to go by"]
    failed = sum(found.failures.values())
    if not failed:
        return ["nothing failed: play has nothing to teach here; harder scenarios would"]
    said = []
    if found.mixed < mixed_low:
        said.append(
            f"only {found.mixed:.0%} of the groups are mixed: play (grpo, rloo, rejection) has "
            "next to nothing to teach"
        )
    for kind, count in found.failures.items():
        head = f"of {failed} failures {count} are {WORDS[kind]}"
        if kind == "wrong_decision":
            said += _on_decisions(found, head, mixed_low)
        else:
            said.append(f"{head}: {MENDS[kind]}")
    return said


def _on_decisions(found: Diagnosis, head: str, mixed_low: float) -> list[str]:
    """Tell decisions that play can mend from those of scenarios that no attempt solved."""
    near = found.within_reach.get("wrong_decision", 0)
    far = found.failures["wrong_decision"] - near
    told = []
    if near:
        mend = "grpo, rloo or rejection can mend these, and dpo on played pairs"
        few = "too few for play; dpo on played pairs can still use them"
        told.append(
            f"{head}, {near} of them where another attempt succeeded, and {found.mixed:.0%} of "
            f"the groups are mixed: {mend if found.mixed >= mixed_low else few}"
        )
    if far:
        them = f"{far} wrong decisions are" if near else f"{head}, all"
        told.append(
            f"{them} in scenarios that none of {found.samples} attempts solved: play finds "
            "nothing to reinforce there; sft or dpo on logs that do it right, or more generations, "
            "can"
        )
    return told


def lines(diagnosis: Diagnosis) -> list[str]:
    """Write a diagnosis down for a reader: a line for all, one a kind of question, then advice."""
    head = (
        f"{diagnosis.scenarios} scenarios x {diagnosis.samples}: {diagnosis.success:.0%} succeed, "
        f"pass@{diagnosis.samples} {diagnosis.pass_at_k:.0%}; groups {diagnosis.mixed:.0%} mixed, "
        f"{diagnosis.all_failed:.0%} all failed, {diagnosis.all_passed:.0%} all passed"
    )
    told = [head]
    if diagnosis.abstained:
        told.append(f"{diagnosis.abstained} attempts were not judged")
    told += [
        f"{name}: {one.success:.0%} of {one.attempts} succeed, {one.mixed:.0%} of groups mixed"
        + (f"; {_listed(one.failures)}" if one.failures else "")
        for name, one in diagnosis.slices.items()
    ]
    if diagnosis.slips:
        told.append(f"miscopied, for example: {', '.join(diagnosis.slips[:3])}")
    return told + diagnosis.advice


def _listed(failures: dict[str, int]) -> str:
    return ", ".join(f"{count} {WORDS[kind]}" for kind, count in failures.items())


def diagnosed(
    config: FlywheelConfig,
    world: World,
    policy: LoadedPolicy,
    *,
    scenarios: int = 60,
    samples: int = 4,
    seed: int,
    judge: Judge | None = None,
    progress: Progress = report,
) -> Diagnosis:
    """Play fresh training scenarios with a policy at temperature 1, and sort its failures.

    Args:
        config: Gives the length limits, and what counts as few mixed groups.
        world: Where the environments come from.
        policy: The policy, in memory.
        scenarios: How many are drawn.
        samples: Attempts a scenario.
        seed: Seed of the draw and of the sampling.
        judge: Rewards what the environment cannot judge, as it does in training.
        progress: Told how many episodes are done.
    """
    from models.generation import tools_of

    drawn = list({s.scenario_id: s for s in world.draw("train", scenarios, seed)}.values())
    rollouts = play_loaded(
        config, world, policy, drawn, samples=samples, temperature=1.0, seed=seed,
        progress=progress,
    )  # fmt: skip
    if judge is not None:
        opened = [opening(scenario, None) for scenario in drawn for _ in range(samples)]
        for rollout, reward in zip(rollouts, judge(rollouts, opened), strict=True):
            rollout.reward = reward
    tools = tools_of(world.environment())
    offered = "\n".join(f"{name} {inspect.getdoc(tool) or ''}" for name, tool in tools.items())
    return diagnose(rollouts, drawn, offered=offered, mixed_low=config.train.monitors.mixed_low)
