"""A stage that runs out of memory is tried again with less.

In this order: fewer generations a scenario (half, two at least), a smaller micro-batch (half), and
shorter completions (three quarters) for play; a batch computed in twice as many parts for the other
stages; gradient checkpointing for all. What there is of these is gone through once, then again from
the first, so that a few retries reach all of them.

An attempt begins from the stage's last whole checkpoint where there is one, else from the policy
that the stage started from: nothing that the failed attempt did after it is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from models.trainers.memory import free_memory, is_out_of_memory
from models.trainers.run import Acted
from schemas.errors import TrainingError
from schemas.recipe_config import GrpoConfig

_SHORTEST = 0.2
"""Least share of the context that completions are cut to: shorter ones end no episode."""
_MOST_PARTS = 8
"""Parts of a batch whose size the recipe does not say."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Load:
    """How much a stage asks of memory."""

    recipe: Any
    parts: int = 1
    """Parts that a batch is computed in, one after the other, before the optimizer's step; the
    batch stays as large as it was."""
    gradient_checkpointing: bool = False


Lighter = Callable[[Load], tuple[Load, str] | None]


def with_less_memory(
    attempt: Callable[[Load], Result],
    load: Load,
    *,
    limit: int,
    told: Callable[[Acted], None] = lambda _: None,
) -> tuple[Result, list[Acted]]:
    """Run a stage, and again with less as long as memory runs out.

    Args:
        attempt: Runs the stage. It must load the policy itself: what a failed attempt leaves in
            memory is let go before the next.
        load: What it asks for at first.
        limit: Most retries.
        told: Told each retry before it begins.

    Returns:
        What the attempt gave that went through, and what was done.

    Raises:
        TrainingError: Memory ran out in the last attempt too.
    """
    acted: list[Acted] = []
    turn = 0
    while True:
        result, said = _tried(attempt, load)
        if said is None:
            return result[0], acted
        free_memory()
        found = _lighter(load, turn) if len(acted) < limit else None
        if found is None:
            raise TrainingError(
                f"The stage ran out of memory{_after(acted)}: {said}",
                "Use a smaller policy, a shorter train.policy.context, or a larger machine.",
            )
        load, did, turn = found
        acted.append(Acted(0, "memory", f"memory ran out: {said}", f"tried again with {did}"))
        told(acted[-1])


def _tried(attempt: Callable[[Load], Result], load: Load) -> tuple[list[Result], str | None]:
    """Run an attempt; the error goes with its frames, which hold what is to be freed."""
    try:
        return [attempt(load)], None
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        said = str(error).strip()
        return [], said.splitlines()[0] if said else type(error).__name__


def _lighter(load: Load, turn: int) -> tuple[Load, str, int] | None:
    """Ask for less by the next way that is left, round and round; None when none is."""
    for way in range(turn, turn + len(_LIGHTER)):
        found = _LIGHTER[way % len(_LIGHTER)](load)
        if found is not None:
            return *found, way + 1
    return None


def _after(acted: list[Acted]) -> str:
    return f" after {len(acted)} retries with less" if acted else ""


def _fewer_generations(load: Load) -> tuple[Load, str] | None:
    """Halve the group. Other stages play before they train, in batches of a size of their own."""
    recipe = load.recipe
    if not isinstance(recipe, GrpoConfig) or recipe.generations < 4:
        return None
    count = recipe.generations // 2
    return _with(load, generations=count), f"{count} generations a scenario"


def _smaller_micro_batch(load: Load) -> tuple[Load, str] | None:
    recipe = load.recipe
    if isinstance(recipe, GrpoConfig):
        if recipe.micro_batch < 2:
            return None
        count = recipe.micro_batch // 2
        return _with(load, micro_batch=count), f"{count} rollouts at once"
    size = getattr(recipe, "batch_size", _MOST_PARTS)
    parts = next((n for n in range(2 * load.parts, size + 1) if size % n == 0), None)
    return None if parts is None else (replace(load, parts=parts), f"each batch in {parts} parts")


def _shorter_completions(load: Load) -> tuple[Load, str] | None:
    recipe = load.recipe
    if not isinstance(recipe, GrpoConfig) or recipe.completion_share * 0.75 < _SHORTEST:
        return None
    share = round(recipe.completion_share * 0.75, 4)
    return _with(load, completion_share=share), f"episodes of {share:.0%} of the context"


def _gradient_checkpointing(load: Load) -> tuple[Load, str] | None:
    if load.gradient_checkpointing:
        return None
    return replace(load, gradient_checkpointing=True), "gradient checkpointing"


def _with(load: Load, **changed: Any) -> Load:
    return replace(load, recipe=load.recipe.model_copy(update=changed))


_LIGHTER: tuple[Lighter, ...] = (
    _fewer_generations, _smaller_micro_batch, _shorter_completions, _gradient_checkpointing,
)  # fmt: skip
