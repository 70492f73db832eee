"""The account of a night's ingest, kept also where a file was refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.errors import InputError
from tasks.ledger import Ledger


def keep_account(
    ledger: Ledger, work: Callable[[], tuple[dict[str, Any], InputError | None]]
) -> tuple[dict[str, Any], InputError | None]:
    """Ingest, and keep the account of what was taken: the next stages rest on it.

    Args:
        ledger: Of the night.
        work: Gives the account, and the error of a named file that was refused.

    Returns:
        What `work` gave; the error is to be raised now.
    """
    refusals: list[InputError | None] = []

    def taken() -> dict[str, Any]:
        account, refusal = work()
        refusals.append(refusal)
        return account

    account = ledger.run("ingest", taken)
    return account, refusals[0]
