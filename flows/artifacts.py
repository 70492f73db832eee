"""What a night leaves on its Prefect page: its table, the decision, and a link to the report."""

from __future__ import annotations

from pathlib import Path

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from tasks.ledger import Ledger
from tasks.promote.night import summary_of_night


def publish_night(ledger: Ledger, report: Path) -> None:
    """Publish the artifacts of a night.

    Args:
        ledger: The night's finished stages.
        report: Path of its page.
    """
    night = summary_of_night(ledger)
    create_table_artifact(
        key="night", table=night.rows(), description=f"What happened in night {night.night}"
    )
    create_markdown_artifact(
        key="decision",
        markdown=night.markdown(),
        description=f"Night {night.night}: {night.decision}",
    )
    create_link_artifact(
        key="report", link=report.resolve().as_uri(), link_text=f"Report of {night.night}"
    )
