"""Why an episode has the label it has: evidence and weights, terms, and credit step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.config import FlywheelConfig
from schemas.errors import InputError, MissingStateError
from warehouse.tables import Warehouse

SHOWN = 160
"""Characters of a call or result that are given."""


def explain(config: FlywheelConfig, what: str) -> dict[str, Any]:
    """Say why an episode has its label.

    Args:
        config: Home and weights of the terms.
        what: Id of the episode, the log's own id, or anything else that only one episode goes by.

    Returns:
        `episode_id`, `logged_id`, `question`; `label` (state, success, confidence, decided_by,
        predicted, label_version, labelled_at, revision); `prior` and `silence` (log-odds);
        `evidence` (kind, source, value, share, weight, at); `terms` (success, cost, risk, total,
        the weights of each, `costs`, `risks`); `steps` (what each did, its reward and return, and
        what its state and action are worth by all episodes); `history` (older labels).

    Raises:
        InputError: No episode, or several, go by the name.
        MissingStateError: It has no label yet.
    """
    warehouse = Warehouse(config.home)
    episode = named(warehouse, what)
    labels = warehouse.sql(
        "SELECT * FROM labels WHERE episode_id = $id ORDER BY revision DESC",
        id=episode["episode_id"],
    ).to_pylist()
    if not labels:
        raise MissingStateError(f"{what!r} has no label yet.", "Run `flywheel label` first.")
    newest = labels[0]
    return {
        "episode_id": episode["episode_id"],
        "logged_id": episode["logged_id"],
        "question": episode["question"],
        "label": {name: newest[name] for name in (
            "state", "success", "confidence", "decided_by", "predicted", "infrastructure_error",
            "label_version", "labelled_at", "revision",
        )},
        "prior": newest["prior"],
        "silence": newest["silence"],
        "evidence": sorted(newest["evidence"], key=lambda piece: -abs(piece["weight"])),
        "terms": terms_of(newest, config),
        "steps": steps_of(warehouse, episode, newest, config),
        "history": [
            {name: old[name] for name in ("revision", "state", "success", "label_version",
                                          "labelled_at")}
            for old in labels[1:]
        ],
    }  # fmt: skip


def named(warehouse: Warehouse, what: str) -> Mapping[str, Any]:
    """Find the one episode that goes by a name; beginnings of longer ones do not count.

    Raises:
        InputError: There is none, or more than one.
    """
    called = pa.table({"episode_id": warehouse.sql("episodes_named", what=what)["episode_id"]})
    ids = warehouse.sql(
        "SELECT DISTINCT episode_id FROM episodes"
        " WHERE episode_id IN (SELECT episode_id FROM called)",
        relations={"called": called},
    )["episode_id"]
    if called.num_rows and not len(ids):
        raise InputError(
            f"{what!r} is the beginning of an episode that goes on from it.",
            "Give the session's id: the whole episode goes by it.",
        )
    if len(ids) != 1:
        raise InputError(
            f"{len(ids)} episodes go by {what!r}.",
            "Give the id of one: `flywheel sql 'SELECT episode_id, logged_id, question FROM"
            " episodes'` lists them.",
        )
    wanted = pa.table({"episode_id": ids, "place": [0]})
    [row] = warehouse.sql("episodes_by_id", relations={"wanted": wanted}).to_pylist()
    return dict(row)


def terms_of(label: Mapping[str, Any], config: FlywheelConfig) -> dict[str, Any]:
    """Give the terms of the composite reward with their weights and inputs."""
    weights = config.label
    return {
        "success": label["success"],
        "cost": label["cost"],
        "risk": label["risk"],
        "total": label["total"],
        "weights": {
            "success": weights.success_weight,
            "cost": weights.cost_weight,
            "risk": weights.risk_weight,
        },
        "costs": label["costs"],
        "risks": label["risks"],
    }


def steps_of(
    warehouse: Warehouse,
    episode: Mapping[str, Any],
    label: Mapping[str, Any],
    config: FlywheelConfig,
) -> list[dict[str, Any]]:
    """Give each step with its credit; values are None where the state has no other episode."""
    wanted = pa.table({"state": pa.array(label["step_states"], pa.int64())})
    values = warehouse.sql(
        "step_values_of",
        relations={"wanted": wanted.filter(pc.not_equal(wanted["state"], 0))},
        shrinkage=config.label.step_shrinkage,
    ).to_pylist()
    known = {(row["state"], row["action"]): row for row in values}
    columns = zip(
        label["step_rewards"], label["step_returns"], label["step_states"], label["step_actions"],
        strict=True,
    )  # fmt: skip
    steps = []
    for number, (told, credit) in enumerate(zip(told_steps(episode), columns, strict=False), 1):
        reward, following, state, action = credit
        value = known.get((state, action), {})
        steps.append(
            {
                "step": number, **told, "reward": reward, "return": following,
                **{name: value.get(name) for name in ("visits", "q", "v", "advantage", "rivals")},
            }
        )  # fmt: skip
    return steps


def told_steps(episode: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give what each step did and what it was told, shortened."""
    steps: list[dict[str, Any]] = []
    for message in episode["messages"]:
        if message["role"] == "assistant":
            calls = [f"{call['name']} {call['arguments']}" for call in message["tool_calls"]]
            did = "; ".join(calls) or (message["content"] or "")
            steps.append({"did": shortened(did), "calls": len(calls), "told": "", "errors": 0})
        elif message["role"] == "tool" and message["requestor"] is None and steps:
            last = steps[-1]
            last["told"] = shortened(f"{last['told']} {message['content'] or ''}".strip())
            last["errors"] += bool(message["error"])
    return steps


def shortened(text: str) -> str:
    """Shorten a text to one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"
