"""Acting on a decision: aliases, idempotence, and what a promotion refuses. Real MLflow, Delta."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.config import FlywheelConfig
from schemas.errors import InvariantError
from schemas.release import Attempt
from schemas.tables import arrow_rows
from tasks.evaluate.attempts import SCRIPTED, model_digest
from tasks.evaluate.metrics import summarise
from tasks.evaluate.standing import on_policy_gain, standing
from tasks.promote.champion import as_it_stands, starting_champion
from tasks.promote.promote import promote
from warehouse.tables import Warehouse

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> FlywheelConfig:
    return FlywheelConfig(
        home=tmp_path_factory.mktemp("home"), evaluate={"params": 10, "compositions": 10}
    )


def play(config: FlywheelConfig, model: str, rate: float) -> dict[str, Any]:
    """Put attempts of a policy that solves the first `rate` of 80 scenarios into the table."""
    rows = [
        Attempt(
            evaluation=f"of {model}", night="n", model=model, candidate="c",
            scenario_id=f"{split}{i}", split=split, slice="count", specification=f"{split}{i}",
            mode=mode,  # type: ignore[arg-type]
            attempt=k, success=float(i < 40 * rate), tool_calls=3, tool_errors=0,
            malformed=False, truncated=False, tokens=1, seconds=0.1,
        )
        for split in ("frozen_params", "frozen_compositions")
        for i in range(40)
        for mode, attempts in (("greedy", 1), ("sampled", 4))
        for k in range(attempts)
    ]  # fmt: skip
    Warehouse(config.home).append(
        "evaluations", arrow_rows("evaluations", rows), transaction=f"evaluate:of {model}"
    )
    return {"model": model, "evaluation": f"of {model}", **summarise(rows, 4)}


def night(
    config: FlywheelConfig, date: str, name: str, rate: float, champion: tuple[str | None, str],
    champion_rate: float,
) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
    """Train nothing, but leave a night as train and evaluate would."""
    folder = config.home / "runs" / date / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(f"{date}{name}".encode())
    train = {
        "candidates": [{"name": name, "validation": rate}], "chosen": name, "build": f"b{date}",
        "policies": {name: str(folder)}, "code": "c", "run_id": None,
    }  # fmt: skip
    version, model = champion
    models = {
        name: play(config, model_digest(str(folder)), rate),
        "champion": play(config, model, champion_rate),
        "logged_agent": play(config, SCRIPTED, 0.4),
    }
    return train, {
        "night": date, "challenger": name, "champion_version": version, "models": models,
        "scenario_set": "s",
    }  # fmt: skip


def test_the_loop_of_decisions(config: FlywheelConfig) -> None:
    from models import registry

    train, played = night(config, "2026-01-01", "sft", 0.7, (None, SCRIPTED), 0.4)
    first = promote(config, night="2026-01-01", train=train, evaluation=played, clock=lambda: NOON)
    assert (first["decision"], first["version"], first["previous"]) == ("promoted", "1", None)
    assert registry.alias_version(config, "champion") == "1"
    assert on_policy_gain(config, night="n", train=train, evaluation=played) is None

    again = promote(config, night="2026-01-01", train=train, evaluation=played, clock=lambda: NOON)
    assert again == first
    assert len(registry.versions(config)) == 1
    assert Warehouse(config.home).read("decisions").num_rows == 1

    # Killed before the ledger was written, it starts again from whom it started from.
    assert starting_champion(config, "2026-01-01", "b2026-01-01")["policy"] == SCRIPTED
    assert starting_champion(config, "2026-01-01", "another build")["version"] == "1"
    assert starting_champion(config, "2026-01-02", "b2026-01-02")["version"] == "1"

    model = played["models"]["sft"]["model"]
    train, played = night(config, "2026-01-02", "grpo", 0.7, ("1", model), 0.7)
    kept = promote(config, night="2026-01-02", train=train, evaluation=played, clock=lambda: NOON)
    assert (kept["decision"], kept["version"], kept["previous"]) == ("kept", "2", "1")
    assert registry.alias_version(config, "champion") == "1"
    assert registry.alias_version(config, "challenger") == "2"

    train, played = night(config, "2026-01-03", "grpo", 0.95, ("1", model), 0.7)
    better = promote(config, night="2026-01-03", train=train, evaluation=played, clock=lambda: NOON)
    assert (better["decision"], better["champion"], better["previous"]) == ("promoted", "3", "1")

    assert starting_champion(config, "2026-01-03", "b2026-01-03")["version"] == "1"
    assert as_it_stands(config, better) == better
    assert as_it_stands(config, kept) == kept
    assert as_it_stands(config, first)["reason"].endswith(
        "since then the champion has become version 3, and this run leaves it so"
    )

    gain = on_policy_gain(config, night="2026-01-03", train=train, evaluation=played)
    assert gain is not None
    assert (gain["candidate"], gain["baseline"]) == ("grpo", "champion")
    assert gain["difference"] == pytest.approx(0.25)  # 38 against 28 of 40, on both splits
    assert gain["ci95"][0] > 0
    stands = standing(config, played, "grpo")
    assert stands["params"]["champion"] == pytest.approx(0.95)
    assert stands["params"]["logged_agent"] == pytest.approx(0.4)
    assert stands["compositions"]["n"] == 40


def test_a_decision_whose_record_was_lost_is_not_made_twice_and_moves_no_alias(
    config: FlywheelConfig,
) -> None:
    from models import registry

    model = model_digest(str(config.home / "runs" / "2026-01-01" / "sft"))
    train, played = night(config, "2026-01-03", "grpo", 0.95, ("1", model), 0.7)
    for record in (config.home / "runs" / "2026-01-03").glob("decision-*.json"):
        record.unlink()
    registry.rollback(config, at="2026-01-04T00:00:00Z")
    again = promote(config, night="2026-01-03", train=train, evaluation=played, clock=lambda: NOON)
    assert (again["decision"], again["version"]) == ("promoted", "3")
    assert registry.alias_version(config, "champion") == "1"
    assert len(registry.versions(config)) == 3
    assert Warehouse(config.home).read("decisions").num_rows == 3
    registry.set_alias(config, "champion", "3")


def test_a_night_that_promoted_must_be_rolled_back_to_be_decided_anew(
    config: FlywheelConfig,
) -> None:
    train, played = night(config, "2026-01-03", "rejection", 0.99, ("1", "whoever"), 0.7)
    with pytest.raises(InvariantError, match=r"This very night made it.*flywheel rollback"):
        promote(config, night="2026-01-03", train=train, evaluation=played, clock=lambda: NOON)


def test_a_candidate_that_was_trained_again_must_be_played_again(config: FlywheelConfig) -> None:
    train, played = night(config, "2026-01-04", "sft", 0.99, ("3", "whoever"), 0.7)
    (Path(train["policies"]["sft"]) / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(InvariantError, match="has changed since it was played"):
        promote(config, night="2026-01-04", train=train, evaluation=played, clock=lambda: NOON)


def test_a_champion_that_moved_since_the_play_stops_the_promotion(config: FlywheelConfig) -> None:
    from models import registry

    train, played = night(config, "2026-01-05", "sft", 0.99, ("1", "whoever"), 0.7)
    before = registry.alias_version(config, "champion")
    assert before == "3"
    with pytest.raises(InvariantError, match="The champion is version 3, but 1 was played"):
        promote(config, night="2026-01-05", train=train, evaluation=played, clock=lambda: NOON)
    assert registry.alias_version(config, "champion") == before
    assert len(registry.versions(config)) == 3
