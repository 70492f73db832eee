"""Pairs side by side: what a person sees of a pair, and the page with a sample of a night's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from jinja2 import Environment, FileSystemLoader, select_autoescape

from schemas.config import FlywheelConfig
from schemas.errors import InputError, MissingStateError
from tasks.build.manifest import load_manifest
from tasks.ledger import run_folder, write_whole
from warehouse.tables import Warehouse
from warehouse.upkeep import readable

SAMPLE = 10
"""Pairs on a night's page."""
WORDS = 400
"""Words and signs of a text that are compared."""
LONG = 240
"""Characters of a text above which what is equal is shortened."""
LONGEST = 420
"""Characters of a text that are shown."""
ENDS = 28
"""Characters that are kept on each side of what is left out."""
FIRST = 4
"""Steps shown from where the sides part; the last of each side is always shown."""
REASONS = 3
"""Pieces of evidence that are named."""
COUNTS = 0.05
"""Least weight of one that is named, log-odds."""


class Piece(NamedTuple):
    """A stretch of text that the other side has as well, or has not."""

    text: str
    differs: bool


class Line(NamedTuple):
    """One thing that was said, called or answered."""

    kind: str
    """`says`, `thinks`, `calls`, `told`, `failed` (a result that is an error), or another role."""
    title: str
    """Name of the tool that is called; else empty."""
    pieces: list[Piece]


class Step(NamedTuple):
    """What both sides did at one step, with what they were answered."""

    number: int
    chosen: list[Line]
    rejected: list[Line]
    skipped: int
    """Steps just before it that are left out."""


class Sight(NamedTuple):
    """A pair made ready to be judged at a glance."""

    prompt: list[Line]
    between: int
    """Messages of the prompt that are left out."""
    same: int
    """Steps at the beginning of both sides that are the same, and left out."""
    steps: list[Step]


def drawn_pairs(
    config: FlywheelConfig, *, build: str | None = None, prefix: str = "", number: int = SAMPLE
) -> dict[str, Any]:
    """Draw pairs of a build by the configuration's seed, with why each side has its label.

    Args:
        config: Home and seed.
        build: Digest of the build; None is the newest.
        prefix: What the pairs' ids start with.
        number: Most pairs.

    Returns:
        `build`, `night` and `pairs`: rows of the table `pairs`, each with `labels`, from episode id
        to `state`, `success`, `decided_by` and `evidence` as the build saw them, or as they are
        now where a user who was forgotten has taken that version away.

    Raises:
        MissingStateError: There is no such build, or it has no pairs.
        InputError: No pair's id starts with the prefix.
    """
    manifest = manifest_of(config, build)
    warehouse = Warehouse(config.home)
    digest = {"build": manifest["digest"]}
    there = warehouse.exists("pairs")
    files = {"pairs": warehouse.files("pairs", partition=digest) if there else []}
    if not files["pairs"]:
        raise MissingStateError(
            f"Build {manifest['digest']} has no pairs.",
            "Name another with --build; builds/*.json in the home are the manifests.",
        )
    # Of a version that `forget` has taken away, the labels of now are the next best.
    pinned = manifest.get("inputs", {}).get("labels", -1)
    kept = readable(warehouse, "labels", [pinned]) if pinned >= 0 else []
    versions = {"labels": pinned} if kept else {}
    catalog = warehouse.catalog(versions=versions, only=["pairs", "labels"], files=files)
    asked = {**digest, "prefix": prefix, "seed": str(config.seed), "number": number}
    drawn = catalog.query("card_pairs_drawn", asked)
    if not drawn.num_rows:
        raise InputError(
            f"No pair of build {manifest['digest']} has an id that starts with {prefix!r}.",
            "`flywheel sql 'SELECT build, pair_id, kind FROM pairs'` lists them.",
        )
    wanted = drawn.append_column("place", pa.array(range(drawn.num_rows), pa.int64()))
    pairs = catalog.query("card_pairs_shown", digest, {"wanted": wanted}).to_pylist()
    ids = sorted({pair[f"{side}_episode"] for pair in pairs for side in ("chosen", "rejected")})
    told = catalog.query("card_pair_labels", relations={"wanted": pa.table({"episode_id": ids})})
    labels = {label.pop("episode_id"): label for label in told.to_pylist()}
    for pair in pairs:
        sides = (pair["chosen_episode"], pair["rejected_episode"])
        pair["labels"] = {name: labels[name] for name in sides if name in labels}
    return {"build": manifest["digest"], "night": manifest["night"], "pairs": pairs}


def manifest_of(config: FlywheelConfig, build: str | None) -> Mapping[str, Any]:
    """Read the manifest of a build; None is the newest night's, and of one night the latest made.

    Raises:
        MissingStateError: There is none.
    """
    paths = sorted((config.home / "builds").glob(f"{build or '*'}.json"))
    found = [load_manifest(config.home, path.stem) for path in paths]
    known = [manifest for manifest in found if manifest]
    if not known:
        what = f"no build {build!r}" if build else "no build"
        raise MissingStateError(f"There is {what} in {config.home}.", "Run `flywheel build` first.")
    return max(known, key=lambda m: (m["night"], str(m.get("built_at")), m["digest"]))


def sight(pair: Mapping[str, Any]) -> Sight:
    """Align the sides of a pair step by step, and shorten what a judge need not read.

    Args:
        pair: A row of the table `pairs`.
    """
    chosen, rejected = steps_of(pair["chosen"]), steps_of(pair["rejected"])
    same = 0
    while same < min(len(chosen), len(rejected)) - 1 and chosen[same] == rejected[same]:
        same += 1
    rows = list(zip_longest(chosen[same:], rejected[same:], fillvalue=()))
    ends = {len(chosen) - same - 1, len(rejected) - same - 1}
    shown = [n for n in range(len(rows)) if n < FIRST or n in ends or len(rows) == FIRST + 1]
    steps = [
        Step(
            number=same + place + 1,
            chosen=compared(*rows[place]),
            rejected=compared(*reversed(rows[place])),
            skipped=place - before - 1,
        )
        for before, place in pairwise([-1, *shown])
    ]
    prompt = [line for message in pair["prompt"] for line in lines_of(message)]
    kept = prompt if len(prompt) <= FIRST else [*prompt[:2], *prompt[-2:]]
    return Sight(
        prompt=[line._replace(pieces=clipped(line.pieces)) for line in kept],
        between=len(prompt) - len(kept),
        same=same,
        steps=steps,
    )


def why(label: Mapping[str, Any] | None) -> str:
    """Say in a line why an episode has its label: state, what decided, the strongest evidence."""
    if label is None:
        return "its label is not here any more"
    sure = "" if label["success"] is None else f" {label['success']:.0%}"
    by = f", decided by {label['decided_by'].replace('_', ' ')}" if label["decided_by"] else ""
    heard = [piece for piece in label["evidence"] or [] if abs(piece["weight"]) >= COUNTS]
    strongest = sorted(heard, key=lambda piece: -abs(piece["weight"]))[:REASONS]
    told = ", ".join(
        f"{plain(piece['kind']).replace('_', ' ')} {piece['value']:+g} "
        f"(weighs {piece['weight']:+.1f})"
        for piece in strongest
    )
    return f"{label['state']}{sure}{by}{': ' if told else ''}{told}"


def steps_of(messages: Sequence[Mapping[str, Any]]) -> list[tuple[Line, ...]]:
    """Cut one side into steps: a message of the agent and what came of it."""
    steps: list[list[Line]] = []
    for message in messages:
        if message["role"] == "assistant" or not steps:
            steps.append([])
        steps[-1] += lines_of(message)
    return [tuple(step) for step in steps]


def lines_of(message: Mapping[str, Any]) -> list[Line]:
    """List what a message says and calls, each on one line of printable text."""
    if message["role"] != "assistant":
        kind = {"tool": "failed" if message["error"] else "told"}.get(message["role"])
        return [Line(kind or plain(message["role"]), "", [Piece(plain(message["content"]), False)])]
    found = []
    if message["content"]:
        found.append(Line("says", "", [Piece(plain(message["content"]), False)]))
    elif message["reasoning"]:
        found.append(Line("thinks", "", [Piece(plain(message["reasoning"]), False)]))
    for call in message["tool_calls"] or []:
        pieces = [Piece(arguments(call["arguments"]), False)]
        found.append(Line("calls", plain(call["name"]), pieces))
    return found


def arguments(text: str) -> str:
    """Write a call's arguments as `name=value, ...`; as logged if they are no JSON object."""
    try:
        read = json.loads(text)
    except ValueError:
        return plain(text)
    if not isinstance(read, dict):
        return plain(text)
    return ", ".join(
        plain(f"{name}={value if isinstance(value, str) else json.dumps(value)}")
        for name, value in read.items()
    )


def plain(text: str | None) -> str:
    """Put a text on one line, without what could steer a terminal."""
    squeezed = " ".join((text or "").split())
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in squeezed)


def compared(step: Sequence[Line], other: Sequence[Line]) -> list[Line]:
    """Mark in one side's step what the other side's does not have.

    Lines are held against each other in order, where they are of one kind and call one tool.
    """
    partners: dict[tuple[str, str], list[str]] = {}
    for line in other:
        partners.setdefault((line.kind, line.title), []).append(_text(line))
    marked = []
    for line in step:
        text = _text(line)
        waiting = partners.get((line.kind, line.title))
        pieces = differing(text, waiting.pop(0)) if waiting else [Piece(text, bool(other))]
        marked.append(line._replace(pieces=clipped(pieces)))
    return marked


def differing(text: str, other: str) -> list[Piece]:
    """Part a text into what another has too and what it has not, by words and signs."""
    if text == other:
        return [Piece(text, False)]
    own, against = (re.findall(r"\w+|\s+|[^\w\s]", t)[:WORDS] for t in (text, other))
    blocks = SequenceMatcher(None, own, against, autojunk=False).get_matching_blocks()
    runs: list[tuple[Sequence[str], bool]] = []
    place = 0
    for start, _, size in blocks:
        runs += [(own[place:start], True), (own[start : start + size], False)]
        place = start + size
    pieces: list[Piece] = []
    for said, unlike in (("".join(tokens), unlike) for tokens, unlike in runs if tokens):
        # A space alone between two differences would only chop them up.
        follows = bool(pieces) and (unlike == pieces[-1].differs or not said.strip())
        if follows:
            pieces[-1] = Piece(pieces[-1].text + said, pieces[-1].differs)
        else:
            pieces.append(Piece(said, unlike))
    rest = text[sum(len(piece.text) for piece in pieces) :]
    return [*pieces, Piece(rest, True)] if rest else pieces


def clipped(pieces: Sequence[Piece]) -> list[Piece]:
    """Shorten a long text: first what is equal, around the differences, then its end."""
    if sum(len(piece.text) for piece in pieces) > LONG and len(pieces) > 1:
        last = len(pieces) - 1
        pieces = [
            piece if piece.differs else piece._replace(
                text=_middle(piece.text, ENDS if place else 0, ENDS if place != last else 0)
            )
            for place, piece in enumerate(pieces)
        ]  # fmt: skip
    shown: list[Piece] = []
    room = LONGEST
    for piece in pieces:
        if len(piece.text) > room:
            return [*shown, piece._replace(text=f"{piece.text[:room]}…")]
        shown.append(piece)
        room -= len(piece.text)
    return shown


def write_pairs_page(config: FlywheelConfig, night: str, build: str) -> Path | None:
    """Write `pairs.html` into the night's run folder; None where the build has no pairs.

    Args:
        config: Home and seed.
        night: `YYYY-MM-DD`.
        build: Digest of the night's build.
    """
    try:
        drawn = drawn_pairs(config, build=build)
    except MissingStateError:
        return None
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(["j2"]),
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    shown = [(pair, sight(pair)) for pair in drawn["pairs"]]
    page = environment.get_template("pairs.html.j2").render(
        night=night, build=drawn["build"], pairs=shown, why=why
    )
    target = run_folder(config, night) / "pairs.html"
    write_whole(target, page)
    return target


def _text(line: Line) -> str:
    """Give a line's text in one piece."""
    return "".join(piece.text for piece in line.pieces)


def _middle(text: str, head: int, tail: int) -> str:
    """Leave out the middle of a text, or its beginning or end where that side keeps nothing."""
    if len(text) <= head + tail + 1:
        return text
    return f"{text[:head]}…{text[len(text) - tail :]}"
