"""A night in a few lines: the figures that terminal, report and Prefect page all show."""

from __future__ import annotations

from typing import Any, NamedTuple

from tasks.evaluate.attempts import CHAMPION, LOGGED
from tasks.ledger import Ledger


class Night(NamedTuple):
    """What a night did and came to."""

    night: str
    ingest: dict[str, Any]
    label: dict[str, Any]
    build: dict[str, Any]
    candidates: list[dict[str, Any]]
    """As `candidate_line` gives them."""
    choice: str
    """Why the challenger was chosen among them, in words."""
    challenger: str
    models: dict[str, Any]
    """Frozen results by name: challenger, `champion`, `logged_agent`."""
    gates: list[dict[str, Any]]
    decision: str
    reason: str
    version: str | None
    previous: str | None
    champion: str | None
    """Champion after the decision; None when there is none yet."""
    seconds: dict[str, float]

    @property
    def labels(self) -> dict[str, int]:
        """Count the labels of the night's own episodes."""
        counts = self.label.get("night_counts", self.label)
        return {k: int(counts.get(k, 0)) for k in ("success", "failure", "unlabelled")}

    @property
    def episodes(self) -> int:
        """Count the night's own episodes, also when ingest had read some in an earlier call."""
        counts = self.label.get("night_counts", self.ingest)
        return int(counts.get("episodes", 0))

    @property
    def winner(self) -> str:
        """Name whom the users meet after this night, as named in `models`."""
        return self.challenger if self.decision == "promoted" else CHAMPION

    def rows(self) -> list[dict[str, str]]:
        """Give the night as two columns of text."""
        pairs = [
            ("logs in", f"{self.episodes:,} episodes"),
            ("feedback events", f"{self.ingest.get('signals', 0):,}"),
            ("labelled success", f"{self.labels['success']:,}"),
            ("labelled failure", f"{self.labels['failure']:,}"),
            ("unlabelled", f"{self.labels['unlabelled']:,}"),
            ("SFT episodes", f"{self.build.get('sft', 0):,}"),
            ("pairs", f"{self.build.get('pairs', 0):,}"),
        ]
        pairs += [
            (
                f"candidate {c['name']}" + (" (chosen)" if c["chosen"] else ""),
                percent(c["validation"]),
            )
            for c in self.candidates
        ]
        for title, name in self.contestants():
            pairs.append((f"{title}, frozen", interval_text(self.models[name])))
        pairs += [("decision", self.decision), ("why", self.reason)]
        return [{"what": what, "value": value} for what, value in pairs]

    def contestants(self) -> list[tuple[str, str]]:
        """List who was played on the frozen scenarios, as (title, name in `models`)."""
        found = [(self.challenger, self.challenger)]
        if self.previous is not None:
            found.append((f"champion v{self.previous}", CHAMPION))
        return [*found, ("logged agent", LOGGED)]

    def markdown(self) -> str:
        """Write the decision with its gates."""
        lines = [f"## {self.night}: {self.decision}", "", self.reason, ""]
        lines += ["| gate | | why |", "|---|---|---|"]
        lines += [
            f"| {g['name']} | {'passed' if g['passed'] else '**failed**'} | {g['reason']} |"
            for g in self.gates
        ]
        return "\n".join(lines)


def summary_of_night(ledger: Ledger) -> Night:
    """Gather a night from its ledger.

    Raises:
        MissingStateError: The night has no decision yet.
    """
    decided, played = ledger.require("promote"), ledger.require("evaluate")
    trained = ledger.require("train")
    label, ingest, build = (
        (ledger.get(stage) or {"result": {}})["result"] for stage in ("label", "ingest", "build")
    )
    return Night(
        night=ledger.night, ingest=ingest, label=label, build=build,
        candidates=[candidate_line(c, trained["chosen"]) for c in trained["candidates"]],
        choice=trained.get("reason", ""), challenger=played["challenger"],
        models=played["models"], gates=decided["gates"],
        decision=decided["decision"], reason=decided["reason"], version=decided["version"],
        previous=decided["previous"], champion=decided["champion"], seconds=ledger.seconds(),
    )  # fmt: skip


def candidate_line(candidate: dict[str, Any], chosen: str | None) -> dict[str, Any]:
    """Reduce a candidate to what is shown of it.

    Returns:
        `name`, `validation` success (fraction; None when it was not scored), `chosen`, `decided`
        (what became of it, in words) and `health` (what was seen in training, a line each).
    """
    validation = candidate.get("validation")
    if isinstance(validation, dict):
        validation = validation.get("greedy", validation.get("pass_at_1"))
    return {
        "name": candidate["name"], "validation": validation,
        "chosen": candidate["name"] == chosen, "decided": candidate.get("decided", ""),
        "health": list(candidate.get("health", ())),
    }  # fmt: skip


def percent(value: float | None) -> str:
    """Write a fraction as a percentage; a dash when there is none."""
    return "-" if value is None else f"{value:.1%}"


def interval_text(found: dict[str, Any]) -> str:
    """Write greedy success with its interval, and sampled success."""
    low, high = found["ci95"]
    return f"{found['pass_at_1']:.1%} [{low:.1%}, {high:.1%}], sampled {found['sampled']:.1%}"
