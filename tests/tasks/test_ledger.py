"""The ledger: records are written whole, and one that is not whole is told by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.config import FlywheelConfig
from schemas.errors import InputError
from tasks.ledger import Ledger, read_object, write_whole


def test_a_file_is_replaced_in_one_step_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.json"
    write_whole(path, '{"a": 1}')
    write_whole(path, '{"a": 2}')
    assert read_object(path) == {"a": 2}
    assert list(path.parent.iterdir()) == [path]
    assert read_object(tmp_path / "none.json") is None


@pytest.mark.parametrize("text", ['{"stage": "lab', "", "[1]"])
def test_a_record_that_is_not_whole_is_one_line_that_names_it(tmp_path: Path, text: str) -> None:
    ledger = Ledger(FlywheelConfig(home=tmp_path), "2026-01-01")
    write_whole(ledger.folder / "label.json", text)
    with pytest.raises(InputError, match=r"label\.json does not hold a whole.* Remove that file"):
        ledger.get("label")
