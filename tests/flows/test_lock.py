"""One run at a time on a home."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.lock import locked
from schemas.errors import FlywheelError


def test_a_second_run_on_a_home_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with (
        locked(home),
        pytest.raises(FlywheelError, match=r"Another run holds .*another --home"),
        locked(home),
    ):
        pass
    with locked(home), locked(tmp_path / "other"):
        pass
