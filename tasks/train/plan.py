"""What a night's training will do, before anything starts: start, candidates, memory and time.

Nothing is written and no weights are read. Memory is an estimate (`tasks.train.footprint`). Time is
what the same candidates took on the latest night that trained the same policy on the same device;
where no night has, it is unknown and says so.
"""

from __future__ import annotations

import math
from typing import Any

from models.hardware import find_device
from schemas.config import FlywheelConfig
from schemas.errors import ConfigurationError, TrainingError
from schemas.model_shape import ModelShape
from schemas.training_config import HubPolicy
from tasks.ledger import Ledger, nights, read_object, run_folder
from tasks.train.footprint import footprint
from tasks.train.room import need, refuse_too_little, shape_of_policy, usable


def plan(config: FlywheelConfig, night: str) -> dict[str, Any]:
    """Say what a night's training will do.

    Args:
        config: Policy, recipes and home.
        night: `YYYY-MM-DD`; its build is what is learned from, where it has one.

    Returns:
        `night`, `build` (digest, None without one), `start`, `policy`, `candidates` (each `name`,
        `stages`, `supported`, `why`, `memory_bytes`, `seconds`), `rounds`, `memory`, `device`,
        `budget_seconds`, `seconds` (None where unknown), `seconds_from` and `notes`; `error` where
        it cannot be run.

    Raises:
        ConfigurationError: The first night's candidates have nothing to start from.
        MissingStateError: The model to start from is not there.
    """
    train = config.train
    version = _champion(config)
    names = train.later_nights if version else train.first_night
    if version is None and "sft" not in names:
        raise ConfigurationError(
            f"train.first_night = {list(names)} has nothing to start from.",
            "Add sft to train.first_night.",
        )
    shape = shape_of_policy(config)
    device = find_device(train.device)
    memory = device.memory if device else 0
    built = (Ledger(config, night).get("build") or {}).get("result")
    missing, wrong = _unsupported(config, names, built)
    candidates = [
        _candidate(config, shape, name, built, missing, memory, fresh=version is None)
        for name in names
    ]
    took = _took(config, night)
    for one in candidates:
        one["seconds"] = took["seconds"].get(one["name"])
    going = [one for one in candidates if one["supported"]]
    rounds = _rounds(config, going, first=version is None)
    known = [r["seconds"] for r in rounds]
    result = {
        "night": night, "build": built and built["digest"],
        "start": _start(config, version), "policy": _policy(config, shape),
        "candidates": candidates, "rounds": rounds, "memory": None,
        "device": {"kind": train.device, **(device._asdict() if device else {"name": None})},
        "processes": train.processes, "devices": train.devices,
        "budget_seconds": 60 * train.budget_minutes,
        "seconds": None if None in known or not known else sum(known),
        "seconds_from": took["night"], "notes": _notes(config, built, device, took["night"]),
    }  # fmt: skip
    routes = [one["name"] for one in going] or list(names)
    needed = need(shape, train, routes, memory)
    free = None if device is None else usable(device)
    result["memory"] = {"needed_bytes": needed.total, "free_bytes": free}
    error = wrong or _too_little(config, shape, routes, free, memory)
    return {**result, "error": error} if error else result


def _champion(config: FlywheelConfig) -> str | None:
    from models import registry

    return registry.alias_version(config, "champion")


def _start(config: FlywheelConfig, version: str | None) -> dict[str, Any]:
    """Say what the night starts from."""
    if version:
        return {"version": version, "from": f"champion v{version}"}
    policy = config.train.policy
    source = policy.model if isinstance(policy, HubPolicy) else "a random start"
    return {"version": None, "from": source}


def _policy(config: FlywheelConfig, shape: ModelShape) -> dict[str, Any]:
    policy = config.train.policy
    rank = policy.lora_rank if isinstance(policy, HubPolicy) else None
    return {
        "kind": policy.kind, "parameters": shape.parameters,
        "trained_parameters": shape.adapter_rows * rank if rank else shape.parameters,
        "lora_rank": rank, "context": policy.context,
        "dtype": policy.dtype if isinstance(policy, HubPolicy) else "float32",
    }  # fmt: skip


def _unsupported(
    config: FlywheelConfig, names: tuple[str, ...], built: dict[str, Any] | None
) -> tuple[dict[str, str], dict[str, str] | None]:
    """Say which candidates the build does not support, and what is wrong where it supports none."""
    from tasks.train.support import Evidence, unsupported

    if built is None:
        return {}, None
    try:
        return unsupported({n: n for n in names}, Evidence(config, built["digest"])), None
    except TrainingError as error:
        reason = "the night's data supports no candidate"
        told = {"kind": error.kind, "message": error.message, "next": error.next_step}
        return dict.fromkeys(names, reason), told


def _candidate(
    config: FlywheelConfig, shape: ModelShape, name: str, built: dict[str, Any] | None,
    missing: dict[str, str], memory: int, *, fresh: bool,
) -> dict[str, Any]:  # fmt: skip
    """Describe one candidate: its stages, and whether the data supports it."""
    stages = []
    for place, stage in enumerate(name.split("+")):
        found = footprint(shape, config.train, stage, memory)
        stages.append({
            "name": stage, **work_of(config, stage, built, fresh=fresh and place == 0),
            "memory_bytes": found.total, "memory": found.parts,
        })  # fmt: skip
    return {
        "name": name, "supported": name not in missing, "why": missing.get(name, ""),
        "stages": stages, "memory_bytes": max(s["memory_bytes"] for s in stages),
    }  # fmt: skip


def work_of(
    config: FlywheelConfig, stage: str, built: dict[str, Any] | None, *, fresh: bool
) -> dict[str, Any]:
    """Count what a stage does at most: what does not fit the policy's context is left out later.

    Returns:
        `steps` of the optimizer and `rollouts` that are played; `steps` is None where the night has
        no build, or where only training itself will tell.
    """
    train = config.train
    if stage in ("grpo", "rloo"):
        recipe = getattr(train, stage)
        rollouts = recipe.steps * recipe.scenarios_per_step * recipe.generations
        return {"steps": recipe.steps, "rollouts": rollouts}
    if stage == "rejection":
        kept = train.rejection.scenarios * min(train.rejection.keep, train.rejection.generations)
        steps = math.ceil(kept * train.rejection.epochs / train.sft.batch_size)
        rollouts = train.rejection.scenarios * train.rejection.generations
        return {"steps": steps, "rollouts": rollouts}
    played = train.dpo.scenarios * train.dpo.generations if stage == "dpo" else 0
    if built is None or stage == "off_policy":
        return {"steps": None, "rollouts": played}
    if stage == "sft":
        epochs = train.sft.epochs if fresh else 1.0
        return {"steps": math.ceil(built["sft"] * epochs / train.sft.batch_size), "rollouts": 0}
    if stage == "dpo":
        kinds = built.get("pairs_by_kind", {})
        logged = sum(kinds.get(kind, 0) for kind in train.dpo.kinds)
        rows = min(train.dpo.max_pairs, logged + 2 * train.dpo.scenarios)
    else:
        rows = min(train.kto.max_episodes, built.get("kto", 0))
    recipe = getattr(train, stage)
    return {"steps": math.ceil(rows * recipe.epochs / recipe.batch_size), "rollouts": played}


def _rounds(
    config: FlywheelConfig, going: list[dict[str, Any]], *, first: bool
) -> list[dict[str, Any]]:
    """Lay out the rounds of successive halving.

    Which candidates go on is not known beforehand: the time is that of the slowest ones going on.

    Returns:
        Each with `until` (share of the steps), `candidates` and `seconds` (None where unknown).
    """
    train, rounds = config.train, []
    left = sorted(going, key=lambda one: -(one["seconds"] or math.inf))
    if first:
        start = [one for one in left if one["name"] == "sft"]
        rounds += [{"until": 1.0, "candidates": 1, "seconds": one["seconds"]} for one in start]
        left = [one for one in left if one["name"] != "sft"]
    done = 0.0
    for until in train.rungs:
        if not left or (len(left) == 1 and until < 1.0):
            continue
        times = [one["seconds"] for one in left]
        seconds = None if None in times else _together(times, train.processes) * (until - done)
        rounds.append({"until": until, "candidates": len(left), "seconds": seconds})
        left, done = left[: math.ceil(len(left) * train.keep - 1e-9)], until
    return rounds


def _together(seconds: list[float], processes: int) -> float:
    """Give the time of several workers side by side, the longest beginning first."""
    busy = [0.0] * processes
    for one in sorted(seconds, reverse=True):
        busy[busy.index(min(busy))] += one
    return max(busy)


def _took(config: FlywheelConfig, night: str) -> dict[str, Any]:
    """Read how long the same candidates took to their end, on the latest night that tells.

    A candidate that was stopped early is taken to need the rest at the same pace.
    """
    for earlier in reversed(nights(config)):
        record = Ledger(config, earlier).get("train")
        if earlier > night or record is None:
            continue
        seconds = {}
        for one in record["result"]["candidates"]:
            share = one["rungs"][-1]["until"] if one.get("rungs") else 1.0
            if one.get("seconds") and _the_same(config, earlier, one["name"]):
                seconds[one["name"]] = one["seconds"] / share
        if seconds:
            return {"night": earlier, "seconds": seconds}
    return {"night": None, "seconds": {}}


def _the_same(config: FlywheelConfig, night: str, name: str) -> bool:
    """Tell whether a night's candidate had tonight's policy, device and recipes."""
    order = read_object(run_folder(config, night) / "candidates" / name / "order.json")
    if order is None:
        return False
    then, now = order["config"]["train"], config.train.model_dump(mode="json")
    keys = ["policy", "device", "devices", "threads", *name.split("+")]
    return all(then.get(key) == now[key] for key in keys)


def _too_little(
    config: FlywheelConfig, shape: ModelShape, routes: list[str], free: int | None, memory: int
) -> dict[str, str] | None:
    """Say what is wrong where the night has no room."""
    if free is None:
        return None
    try:
        refuse_too_little(shape, config.train, routes, free, memory)
    except ConfigurationError as error:
        return {"kind": error.kind, "message": error.message, "next": error.next_step}
    return None


def _notes(
    config: FlywheelConfig, built: dict[str, Any] | None, device: Any, known: str | None
) -> list[str]:
    notes = []
    if built is None:
        notes.append("This night has no build yet: what its data supports is not known.")
    if device is None:
        notes.append(
            f"train.device is {config.train.device}, and this machine has none: whether the memory"
            " is enough is not known."
        )
    elif config.train.device == "cuda" and config.train.devices > device.devices:
        notes.append(f"train.devices is {config.train.devices}, and there are {device.devices}.")
    if known is None:
        notes.append("Time is unknown until one night has trained this policy with these recipes.")
    return notes
