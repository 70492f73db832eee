"""The night's contest: the chosen candidate, the champion and the logged agent, all held out."""

from __future__ import annotations

from typing import Any

from schemas.config import FlywheelConfig
from schemas.errors import MissingStateError
from schemas.progress import Progress, report
from tasks.evaluate.attempts import CHAMPION, LOGGED, SCRIPTED
from tasks.evaluate.evaluate import evaluate


def contest(
    config: FlywheelConfig, *, night: str, train: dict[str, Any], champion: dict[str, Any],
    progress: Progress = report,
) -> dict[str, Any]:  # fmt: skip
    """Evaluate the candidate that validation chose, beside what it must beat.

    Args:
        config: What is played.
        night: `YYYY-MM-DD`.
        train: What the train stage returned (`chosen`, `policies`).
        champion: `{"version", "policy"}` of the champion; version None and policy `scripted` on
            the first night.
        progress: Told about each policy's play.

    Returns:
        What `evaluate` returns, with `challenger` (the candidate's name) and `champion_version`;
        the challenger's own figures stand at the top as well.

    Raises:
        MissingStateError: Training chose no candidate.
    """
    chosen = train.get("chosen")
    if not chosen:
        raise MissingStateError(
            f"Night {night} trained no candidate to evaluate.",
            "Give it more logs with feedback, then run `flywheel run nightly` again.",
        )
    candidates = {
        chosen: train["policies"][chosen], CHAMPION: champion["policy"], LOGGED: SCRIPTED
    }  # fmt: skip
    found = evaluate(config, night=night, candidates=candidates, progress=progress)
    return {
        **found["models"][chosen], **found, "challenger": chosen,
        "champion_version": champion["version"], "model": found["models"][chosen]["model"],
    }  # fmt: skip
