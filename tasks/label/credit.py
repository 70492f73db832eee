"""Credit from logs alone: states and actions by prefix tree, and the sums kept of them.

Episodes of one problem share prefixes. The state of a step is the problem and the chain of calls
and results before it, whatever was said around them; what became of the episodes that acted one
way in it, held against those that acted another way, is credit without a critic or a judge.

Digests have 64 bits: among 30 million states two are taken for one with a chance of 1 in 40,000.
They are stored, so whatever goes into them stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from xxhash import xxh3_64_intdigest

from tasks.ingest.near.minhash import Words, buffers, mix
from tasks.label.block import TOOL, Block, Floats, Ints, strings

# All of these are part of what is stored.
SCENARIO, QUESTION = 1, 2
"""Seeds that keep a scenario apart from a question of the same words."""
PLACE, CHAIN, OBSERVED = (
    np.uint64(number) for number in (0x9E3779B97F4A7C15, 0xC949C7DEFA4B6FD7, 0xD6E8FEB86659FD93)
)
"""Odd factors that keep apart what is added up: place in a step, state, and result."""
ANSWER = np.uint64(xxh3_64_intdigest(b"answer"))
"""The action of a last step that calls nothing."""
NOTHING = np.uint64(xxh3_64_intdigest(b""))
"""Digest of an empty text."""

DECODE = msgspec.json.Decoder().decode
ENCODE = msgspec.json.Encoder(order="deterministic").encode


class Digests(NamedTuple):
    """What a block's steps called and were told, as 64-bit digests of the texts."""

    calls: Words
    """Calls of each step, in order, `(steps,)`; 0 where there is none."""
    results: Words
    """Each result that follows a step, `(results,)`; `NOTHING` for an empty one."""
    result_step: Ints
    """The step each result follows, `(results,)`, ascending."""


class Acts(NamedTuple):
    """Where each step stands in the tree of its problem, and which branch it takes."""

    state: Ints
    """Digest of the problem and the chain of calls and results so far, `(steps,)`; 0 for a step
    that does not act, or whose episode has no problem."""
    action: Ints
    """Digest of the step's calls, or of answering, `(steps,)`; 0 where the state is 0."""
    depth: Ints
    """Acting steps of the episode before this one, `(steps,)`."""


def problems(scenario: pa.Array, question: pa.Array) -> Ints:
    """Digest what each episode is about, to compare it with others about the same.

    Args:
        scenario: Column `scenario_id`.
        question: Column `question`, which stands in where there is no scenario.

    Returns:
        Shape (episodes,); 0 where there is neither. The same on every machine.
    """
    named = text_digests(strings(scenario), SCENARIO)
    asked = text_digests(strings(question), QUESTION)
    no_scenario = xxh3_64_intdigest(b"", SCENARIO)
    no_question = xxh3_64_intdigest(b"", QUESTION)
    chosen = np.where(named != no_scenario, never_zero(named), never_zero(asked))
    chosen[(named == no_scenario) & (asked == no_question)] = 0
    return chosen.view(np.int64)


def digests(block: Block) -> Digests:
    """Digest a block's calls and results; `process_rewards` and `acts` share them.

    The arguments of a call are compared as JSON: the order of keys and white space between tokens
    do not count, though 1 and 1.0 differ. What is no JSON is compared as it stands.
    """
    names = block.call_name.fill_null("").dictionary_encode()
    name = text_digests(names.dictionary)[names.indices.to_numpy()]
    call = mix(name * CHAIN + text_digests(block.call_arguments, form=canonical))
    found = np.flatnonzero((block.role == TOOL) & (block.step_of >= 0))
    return Digests(
        in_order(call, block.call_step, len(block.step_message)),
        text_digests(block.content.take(pa.array(found))),
        block.step_of[found],
    )


def acts(block: Block, problem: Ints, known: Digests | None = None) -> Acts:
    """Find the state and the action of each step.

    A step acts when it calls a tool, or when it is the episode's last: then it answers. What else
    is said changes no state, and neither does a result that follows no call.

    Args:
        block: Episodes.
        problem: What each is about (`problems`), `(episodes,)`; 0 for nothing to compare by.
        known: The block's digests, where they are there already.
    """
    calls, results, result_step = known or digests(block)
    owner, steps = block.step_owner, block.steps
    acting = block.step_calls > 0
    acting[np.cumsum(steps)[steps > 0] - 1] = True
    action = np.where(block.step_calls > 0, calls, ANSWER)
    observed = in_order(results, result_step, len(owner))
    link = mix(action * CHAIN + mix(observed * OBSERVED))[acting]
    state = np.zeros(len(owner), np.uint64)
    state[acting] = chained(problem.view(np.uint64), link, block.per_episode(owner[acting]))
    placed = acting & (problem[owner] != 0)
    before: Ints = np.cumsum(acting) - acting
    first = np.cumsum(steps) - steps
    return Acts(
        np.where(placed, state, np.uint64(0)).view(np.int64),
        np.where(placed, never_zero(action), np.uint64(0)).view(np.int64),
        before - before[first[owner]],
    )


def chained(start: Words, links: Words, lengths: Ints) -> Words:
    """Digest each chain up to, but without, each of its links.

    Args:
        start: What each chain starts from, `(chains,)`.
        links: Links of all chains, one chain after the other, `(links,)`.
        lengths: Links of each chain, `(chains,)`.

    Returns:
        Shape (links,), never 0.
    """
    states = np.zeros(len(links), np.uint64)
    first = np.cumsum(lengths) - lengths
    here = roots = mix(start + PLACE)
    for depth, chains in enumerate(longest_first(lengths)):
        link = first[chains] + depth
        here = roots[chains] if depth == 0 else here[: len(chains)]
        states[link] = here
        here = mix(here * CHAIN + links[link])
    return never_zero(states)


def longest_first(lengths: Ints) -> Iterator[Ints]:
    """Yield, depth by depth, which sequences are longer than that.

    They keep their places, longest first, so that all depths together cost what the sequences'
    elements do, however long one of them is.
    """
    order = np.argsort(-lengths, kind="stable")
    longer = np.bincount(lengths)[::-1].cumsum()[::-1] if len(lengths) else lengths
    for count in longer[1:]:
        yield order[:count]


def in_order(parts: Words, owner: Ints, owners: int) -> Words:
    """Digest the parts of each owner in their order; 0 for an owner without any.

    Args:
        parts: Digests of all parts, `(parts,)`.
        owner: Owner of each part, `(parts,)`, ascending.
        owners: How many owners there are.
    """
    counts = np.bincount(owner, minlength=owners)
    place = np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]
    scattered = mix(parts + (place.astype(np.uint64) + np.uint64(1)) * PLACE)
    whole = np.zeros(owners, np.uint64)
    some = np.flatnonzero(counts)
    if len(some):
        whole[some] = mix(np.add.reduceat(scattered, (np.cumsum(counts) - counts)[some]))
    return whole


def text_digests(
    texts: pa.Array, seed: int = 0, form: Callable[[memoryview], bytes] | None = None
) -> Words:
    """Digest texts by XXH3 (64 bits); null counts as empty.

    Args:
        texts: Strings.
        seed: Keeps apart texts of different kinds.
        form: What each is brought into first.
    """
    offsets, data = buffers(texts)
    places = offsets.tolist()
    # One piece at a time: a list of millions of them would keep the garbage collector busy.
    pieces = map(data.__getitem__, map(slice, places, places[1:]))
    formed = pieces if form is None else map(form, pieces)
    return np.fromiter((xxh3_64_intdigest(piece, seed) for piece in formed), np.uint64, len(texts))


def canonical(text: memoryview) -> bytes:
    """Write JSON with sorted keys and no white space; what is no JSON stays as it is."""
    try:
        return ENCODE(DECODE(text))
    # Numbers out of range and lone surrogates are refused, and deep nesting ends the recursion.
    except (msgspec.DecodeError, RecursionError):
        return bytes(text)


def never_zero(words: Words) -> Words:
    """Keep 0 free for "none"."""
    return np.where(words == 0, np.uint64(1), words)


def visits(state: Ints, action: Ints, depth: Ints, returns: Floats, sign: int = 1) -> pa.Table:
    """Sum what became of each action in each state: rows of `step_values`.

    Args:
        state: State of each step, `(steps,)`; 0 leaves the step out.
        action: Action of each step, `(steps,)`.
        depth: Acting steps before each, `(steps,)`.
        returns: Discounted return-to-go of each, `(steps,)`.
        sign: 1 to add; -1 to take back what was added before.

    Returns:
        Columns state, action, depth, visits, returns, squares; by state and action, ascending.
    """
    placed = np.flatnonzero(state)
    order = placed[np.lexsort((action[placed], state[placed]))]
    states, actions, value = state[order], action[order], returns[order]
    another = (states[1:] != states[:-1]) | (actions[1:] != actions[:-1])
    starts = np.flatnonzero(np.append(True, another)[: len(order)])
    counts = np.diff(np.append(starts, len(order)))
    sums = np.add.reduceat(value, starts) if len(starts) else value
    squares = np.add.reduceat(value * value, starts) if len(starts) else value
    return pa.table(
        {
            "state": states[starts],
            "action": actions[starts],
            "depth": depth[order][starts],
            "visits": sign * counts,
            "returns": sign * sums,
            "squares": sign * squares,
        }
    )
