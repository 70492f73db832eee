"""A night's training in MLflow: every candidate is a run, losers and those left out included."""

from pathlib import Path
from typing import Any

import pytest

from schemas.config import FlywheelConfig
from tasks.train.night import record, scores, training_page

NIGHT = "2026-06-02"


def candidate(name: str, *rungs: tuple[float, float], **more: Any) -> dict[str, Any]:
    return {
        "name": name, "stages": [], "validation": rungs[-1][1] if rungs else None, "seconds": 2.0,
        "health": [], "history": [{"step": 5.0, "loss": 0.5}] if rungs else [],
        "rungs": [
            {"until": until, "validation": score, "greedy": score, "sampled": score, "n": 20,
             "seconds": 1.0, "cut": False}
            for until, score in rungs
        ],
        "stopped_at": None, **more,
    }  # fmt: skip


def trained() -> dict[str, Any]:
    behind = "stopped after 34%: 71.5 is behind 83.0"
    seen = "step 12: KL 0.62 is over 0.5: went back to the last good weights and stopped"
    return {
        "candidates": [
            candidate("grpo", (0.34, 0.83), (1.0, 0.965), decided="chosen", health=[seen]),
            candidate(
                "sft+dpo", (0.34, 0.715), decided=behind,
                stopped_at={"rung": 0.34, "reason": behind},
            ),
            candidate("kto", decided="left out: too few", health=["left out: too few"]),
        ],
        "chosen": "grpo", "reason": "grpo 96.5 on 20 validation scenarios",
        "policies": {}, "start": "s", "start_validation": 0.7,
        "diagnosis": {"mixed": 0.4, "success": 0.6, "pass_at_k": 0.9, "lines": ["60 x 4"]},
    }  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[FlywheelConfig, dict[str, Any]]:
    config = FlywheelConfig(home=tmp_path_factory.mktemp("home"))
    return config, record(config, NIGHT, {"digest": "b", "inputs": {}, "tables": {}}, trained())


def test_every_candidate_has_a_run_that_says_what_became_of_it(
    recorded: tuple[FlywheelConfig, dict[str, Any]],
) -> None:
    from models.tracking import connect

    config, result = recorded
    client = connect(config)
    grpo, dpo, kto = (client.get_run(c["run_id"]).data for c in result["candidates"])
    assert [run.tags["flywheel.chosen"] for run in (grpo, dpo, kto)] == ["True", "False", "False"]
    assert dpo.tags["flywheel.stopped_at"] == "34%"
    assert dpo.tags["flywheel.reason"] == "stopped after 34%: 71.5 is behind 83.0"
    assert kto.tags["flywheel.reason"] == "left out: too few"
    assert "flywheel.stopped_at" not in grpo.tags
    assert {key.split(".")[0] for key in dpo.params} == {"sft", "dpo"}
    assert grpo.metrics["validation/success"] == 0.965
    assert "validation/success" not in kto.metrics


def test_scores_of_the_rungs_are_a_history_by_share_trained(
    recorded: tuple[FlywheelConfig, dict[str, Any]],
) -> None:
    from models.tracking import connect

    config, result = recorded
    run_id = result["candidates"][0]["run_id"]
    points = connect(config).get_metric_history(run_id, "rung/validation")
    assert [(p.step, p.value) for p in points] == [(34, 0.83), (100, 0.965)]


def test_the_nights_run_says_why_and_keeps_the_page(
    recorded: tuple[FlywheelConfig, dict[str, Any]],
) -> None:
    from models.tracking import connect

    config, result = recorded
    client = connect(config)
    night = client.get_run(result["run_id"]).data
    assert night.tags["flywheel.reason"] == "grpo 96.5 on 20 validation scenarios"
    assert night.metrics["start/validation"] == 0.7
    assert night.metrics["start/mixed"] == 0.4
    (page,) = client.list_artifacts(result["run_id"], "training")
    kept = Path(client.download_artifacts(result["run_id"], page.path)).read_text()
    assert kept == training_page(NIGHT, trained())


def test_the_page_tells_the_choice_the_start_and_what_monitors_did() -> None:
    page = training_page(NIGHT, trained())
    assert "Chosen: grpo 96.5 on 20 validation scenarios." in page
    assert "| sft+dpo | 71.5 after 34% | stopped after 34%: 71.5 is behind 83.0 |" in page
    assert "- 60 x 4" in page
    assert "- step 12: KL 0.62 is over 0.5" in page


def test_scores_read_rung_by_rung() -> None:
    assert scores(candidate("a", (0.34, 0.715), (1.0, 0.83))) == "71.5 after 34%, 83.0"
    assert scores(candidate("a")) == "-"
