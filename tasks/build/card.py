"""The dataset card of a build: what is in it, how it was made, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from tasks.build.markdown import (
    code,
    count,
    flat,
    fraction,
    image,
    join,
    number,
    section,
    share,
    table,
)
from tasks.build.plots import plots
from tasks.ledger import write_whole
from warehouse.catalog import Catalog
from warehouse.tables import Warehouse

TABLES = ("trajectories", "pairs", "scenarios", "held_out")
"""Tables of which a build has rows of its own."""
READ = ("episodes", "labels")
"""Tables that tell more of its episodes, at the versions that the build pins."""
NAMED = 30
"""Most tools that are named one by one."""
DIGESTS = 12
"""Characters of a sha256 that are shown."""
USES = {
    "sft": "whole episodes to imitate",
    "kto": "whole episodes, each good or bad by itself",
    "rl": "prompts to play from",
    "episode": "a success against a failure of one problem",
    "decision_point": "two next actions in one state, of different worth",
    "correction": "what the user said it should have been, against what the agent said",
    "retry": "the call that worked, against the failed one just before it",
    "on_policy": "two attempts of the trained policy",
    "mixed": "problems that some episodes solved and some did not",
    "hard": "problems that no episode solved",
    "easy": "problems that every episode solved",
    "success": "episodes for evaluation alone",
    "failure": "episodes for evaluation alone",
    "unlabelled": "episodes for evaluation alone",
}
GUARDS = {
    "held_out": "a side is held out or retired",
    "split": "the sides are of two groups of the split",
    "prompt": "the sides do not begin with the same prompt",
    "identical": "both sides are the same",
    "confidence": "a label is less sure than `build.pair_confidence`",
    "margin": "returns are closer than `build.pair_margin`",
    "length": "a side is longer than `build.pair_length_ratio` allows",
    "cap": "the problem had its `build.pair_cap_per_scenario` pairs",
    "support": "an action was seen less often than `build.pair_support`",
    "gap": "the actions are worth the same, or closer than `build.pair_margin`",
    "results": "other results stood before the two actions",
    "success": "the corrected episode is a success",
    "answer": "the episode does not end in an answer",
    "empty": "the correction says nothing",
    "repeated": "a newer correction of the same episode stands",
}
"""Why each guard drops a pair, by the last word or words of its name."""
PURPOSE = (
    "Training sets of one agent, made of {episodes} that it logged: for training its next policy"
    " (`flywheel train`), or any trainer that reads the rows (`flywheel export`). Every figure"
    " below is of this build alone."
)
AGAIN = """\
```sh
flywheel build --at {digest}
```

It reads the table versions named above and compares what comes out with this build, row for row."""
LIMITS = """\
- The held-out episodes are for evaluation. Train on one, and the gate's figures mean nothing.
- A label is an estimate, not the truth: see how sure the labels are, and what decided. Rows from
  implicit evidence lean towards users who say something.
- The texts are what one agent's users wrote, with secrets and personal data replaced as configured
  (docs/privacy.md). No detector finds all: treat the rows as internal, and keep to the terms that
  the logs were collected under.
- Success is what this agent's tools and users could show. The rows say little about other tools,
  other languages or questions that nobody asked.
- Pairs of episodes prefer one whole course to another; not every step of the chosen one is good."""


class Figures(NamedTuple):
    """What the tables say of a build, each a list of rows by column."""

    uses: list[dict[str, Any]]
    labels: list[dict[str, Any]]
    confidence: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    sizes: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    scenarios: list[dict[str, Any]]
    episodes: int
    """Different episodes, trained on or held out."""


def write_card(warehouse: Warehouse, home: Path, manifest: Mapping[str, Any]) -> Path:
    """Write the card of a build with its plots.

    Args:
        warehouse: Holds the build's rows, and episodes and labels as the build saw them.
        home: The card goes to `<home>/builds/<digest>/card.md`, the plots beside it.
        manifest: What the build says of itself; keys of other releases may be missing.

    Returns:
        Path of the card. The same build gives the same bytes.
    """
    figures = read_figures(warehouse, manifest)
    target = home / "builds" / str(manifest["digest"]) / "card.md"
    drawn = plots(figures.confidence, figures.sizes, figures.scenarios)
    for name, drawing in drawn.items():
        write_whole(target.with_name(name), drawing)
    write_whole(target, card(manifest, figures, drawn))
    return target


def card_files(home: Path, build: str) -> list[Path]:
    """List the card of a build and its plots; none where it has no card."""
    return sorted((home / "builds" / build).glob("*.md")) + sorted(
        (home / "builds" / build).glob("*.svg")
    )


def read_figures(warehouse: Warehouse, manifest: Mapping[str, Any]) -> Figures:
    """Ask the tables about a build; only its own files are read of what it wrote."""
    build = {"build": str(manifest["digest"])}
    files = {
        table: warehouse.files(table, partition=build)
        for table in TABLES
        if warehouse.exists(table)
    }
    inputs = manifest.get("inputs", {})
    pinned = {name: inputs[name] for name in READ if name in inputs}
    catalog = warehouse.catalog(versions=pinned, only=[*READ, *TABLES], files=files)
    members = catalog.query("card_episodes", build)
    told = {
        name: _rows(catalog, name, {}, {"members": members})
        for name in ("labels", "confidence", "sources")
    } | {
        name: _rows(catalog, name, build)
        for name in ("uses", "sizes", "tools", "pairs", "scenarios")
    }
    return Figures(**told, episodes=members.num_rows)


def card(manifest: Mapping[str, Any], figures: Figures, drawn: Iterable[str]) -> str:
    """Write the card as Markdown; what the manifest does not know is left out."""
    digest = manifest["digest"]
    shown = set(drawn)
    sizes = [f"{size['measure']}.svg" for size in figures.sizes]
    sections = [
        f"# Build {digest}",
        PURPOSE.format(episodes=count(figures.episodes, "episode")),
        section("How it was made", _made(manifest)),
        section("What is in it", _contents(manifest, figures)),
        section("Labels", _labels(figures), image(shown, "confidence.svg")),
        section("Lengths", _lengths(figures), *(image(shown, name) for name in sizes)),
        section("Tools", _tools(figures)),
        section("Sources", _sources(figures)),
        section("Scenarios", _scenarios(manifest, figures), image(shown, "pass_rate.svg")),
        section("Pairs", _pairs(figures), _guards(manifest)),
        section("Split", _split(manifest)),
        section("Leak check", _leaks(manifest)),
        section("What it must not be used for", LIMITS),
        section("How to make it again", AGAIN.format(digest=digest)),
    ]  # fmt: skip
    return "\n\n".join(section for section in sections if section) + "\n"


def _made(manifest: Mapping[str, Any]) -> str:
    inputs = manifest.get("inputs", {})
    rows = [
        ("night", manifest.get("night")),
        ("inputs", ", ".join(f"{name} v{version}" for name, version in sorted(inputs.items()))),
        ("tables", ", ".join(
            f"{name} v{version}" for name, version in sorted(manifest.get("tables", {}).items())
        )),
        ("configuration", manifest.get("config_digest")),
        ("code", manifest.get("code")),
        ("seeds", flat(manifest.get("seeds"))),
    ]  # fmt: skip
    return table(("", ""), [(name, told) for name, told in rows if told not in (None, "")])


def _contents(manifest: Mapping[str, Any], figures: Figures) -> str:
    rows = [
        (f"{row['part']}", row["use"].replace("_", " "), number(row["rows"]),
         number(row["scenarios"]), fraction(row["confidence"]), USES.get(row["use"], ""))
        for row in figures.uses
    ]  # fmt: skip
    head = ("table", "use or kind", "rows", "scenarios", "median confidence", "what it is")
    digests = [
        (name, number(told["rows"]), f"`{str(told['sha256'])[:DIGESTS]}`")
        for name, told in sorted(manifest.get("rows", {}).items())
    ]
    replay = manifest.get("replay")
    older = f"{number(replay)} of the `sft` rows are replayed." if replay else ""
    return join(table(head, rows), older, table(("table", "rows", "sha256 of the rows"), digests))


def _labels(figures: Figures) -> str:
    rows = [
        (row["decided_by"].replace("_", " "),
         *(number(row[state]) for state in ("success", "failure", "unlabelled")))
        for row in figures.labels
    ]  # fmt: skip
    return table(("decided by", "success", "failure", "unlabelled"), rows)


def _lengths(figures: Figures) -> str:
    rows = [
        (row["measure"], *(number(row[name]) for name in ("median", "often", "longest")))
        for row in figures.sizes
    ]
    return table(("an episode's", "median", "95th of 100", "longest"), rows)


def _tools(figures: Figures) -> str:
    rows = [
        (code(row["tool"]), number(row["episodes"]), number(row["calls"]),
         share(row["failed"], row["calls"]))
        for row in figures.tools[:NAMED]
    ]  # fmt: skip
    more = len(figures.tools) - NAMED
    return join(
        table(("tool", "episodes", "calls", "failed"), rows),
        f"{number(more)} more tools are called less often." if more > 0 else "",
    )


def _sources(figures: Figures) -> str:
    rows = [
        (code(row["format"]), number(row["files"]), number(row["episodes"]),
         share(row["marked"], row["episodes"]))
        for row in figures.sources
    ]  # fmt: skip
    marked = sum(row["marked"] for row in figures.sources)
    return (
        ""
        if not rows
        else join(
            table(("format", "files", "episodes", "copies"), rows),
            f"{share(marked, figures.episodes)} of the episodes are marked as copies or near copies"
            " of an earlier one.",
        )
    )


def _scenarios(manifest: Mapping[str, Any], figures: Figures) -> str:
    told = [
        (name, sum(row[name] for row in figures.scenarios))
        for name in ("scenarios", "mixed", "hard", "easy", "episodes")
    ]
    titles = {
        "mixed": "with both outcomes", "hard": "that nobody solved", "easy": "that all solved",
        "episodes": "logged episodes of them",
    }  # fmt: skip
    rows = [(titles.get(name, name), number(n)) for name, n in told]
    dropped = [(f"left out: {k.replace('_', ' ')}", number(n))
               for k, n in sorted(manifest.get("dropped", {}).items())]  # fmt: skip
    return table(("", "number"), [*(rows if figures.scenarios else []), *dropped])


def _pairs(figures: Figures) -> str:
    rows = [
        (row["kind"].replace("_", " "), number(row["pairs"]), number(row["scenarios"]),
         fraction(row["margin"]), fraction(row["confidence"]),
         "" if row["support"] is None else number(row["support"]))
        for row in figures.pairs
    ]  # fmt: skip
    head = ("kind", "pairs", "scenarios", "median margin", "median confidence", "least support")
    return table(head, rows)


def _guards(manifest: Mapping[str, Any]) -> str:
    rows = [
        (name.replace("_", " "), number(n), _meaning(name))
        for name, n in manifest.get("guards", {}).items()
    ]
    tried = manifest.get("candidate_pairs")
    said = "" if tried is None else (
        f"Of {number(tried)} combinations of a success with a failure of one problem, and of what"
        " the other kinds offered, each guard dropped:"
    )  # fmt: skip
    return join(said, table(("guard", "dropped", "because"), rows)) if rows else ""


def _split(manifest: Mapping[str, Any]) -> str:
    told = manifest.get("split") or {
        "held_out": manifest.get("evaluation"), "retired": manifest.get("retired")
    }  # fmt: skip
    rows = [(name.replace("_", " "), number(n)) for name, n in told.items() if n is not None]
    return join(
        table(("the night's episodes", "number"), rows),
        "A group is what shares a session, a scenario or (nearly) a question; it falls on one side"
        " once and for ever. Groups of both sides that grew together are retired.",
    )


def _leaks(manifest: Mapping[str, Any]) -> str:
    if manifest.get("leaks") is None:
        return ""
    return (
        "Every row that a trainer reads was compared with every held-out episode: same scenario,"
        " question, session, body, or a text of its own in common."
        f" Leaks: {flat(manifest['leaks'])}. A build with one is never written."
    )


def _rows(
    catalog: Catalog, name: str, parameters: Mapping[str, Any],
    relations: Mapping[str, pa.Table] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Answer one of the card's queries as rows."""
    found: list[dict[str, Any]] = catalog.query(f"card_{name}", parameters, relations).to_pylist()
    return found


def _meaning(guard: str) -> str:
    """Say why a guard drops a pair; nothing of a guard that is not known."""
    ends = [end for end in GUARDS if guard == end or guard.endswith(f"_{end}")]
    return GUARDS[max(ends, key=len)] if ends else ""
