"""A build that is killed comes to what it would have come to, whatever was built meanwhile."""

import json
import shutil

import pytest
from deltalake import DeltaTable

from tasks.build.build import WRITTEN, build
from tasks.build.manifest import BEGUN
from tasks.build.remake import remake
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.pins import pins
from warehouse.tables import Warehouse

FIRST, SECOND = "2026-01-02", "2026-01-03"


class KilledError(Exception):
    """Stands for the kill."""


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory):
    """Ingest and label two nights; the second joins questions of the first, two by two."""
    from datetime import UTC, datetime

    from schemas.config import FlywheelConfig

    def clock():
        return datetime(2026, 1, 4, tzinfo=UTC)

    folder = tmp_path_factory.mktemp("killed")
    config = FlywheelConfig(home=folder / "home")
    part = config.build.model_copy(update={"held_out_share": 0.5, "largest_group": 1.0})
    config = config.model_copy(update={"build": part})

    def said(name, question, session):
        asked = [{"role": "user", "content": question}]
        return {
            "id": name, "session_id": session, "model": "m", "reward": 1.0,
            "messages": [*asked, {"role": "assistant", "content": f"It is {name}."}],
        }  # fmt: skip

    nights = {
        FIRST: [said(f"n{i}", f"question {i}", f"s{i}") for i in range(20)],
        SECOND: [said(f"j{i}", f"question {i}", f"joins {i // 2}") for i in range(20)],
    }
    for night, records in nights.items():
        path = folder / f"{night}.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        ingest(config, [str(path)], night=night, clock=clock)
        label(config, night=night, clock=clock)
    whole = config.model_copy(update={"home": folder / "whole"})
    shutil.copytree(config.home, whole.home)
    return config, clock, build(whole, night=FIRST, clock=clock)


def killed(config, clock, monkeypatch, after):
    """Build the first night, killed when so many commits have been made."""
    left, append = [after], Warehouse.append

    def counted(self, table, rows, **keys):
        if table in WRITTEN and not left[0]:
            raise KilledError
        left[0] -= table in WRITTEN
        return append(self, table, rows, **keys)

    def card(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "append", counted)
        patch.setattr("tasks.build.build.write_card", card)
        with pytest.raises(KilledError):
            build(config, night=FIRST, clock=clock)


@pytest.mark.parametrize("after", [0, 1, 2, 9])
def test_a_killed_build_goes_on_with_what_it_had(two_nights, tmp_path, monkeypatch, after):
    prepared, clock, expected = two_nights
    config = prepared.model_copy(update={"home": tmp_path / "home"})
    shutil.copytree(prepared.home, config.home)
    killed(config, clock, monkeypatch, after)
    # Until it is finished, upkeep keeps what it needs.
    [begun] = (config.home / "builds").glob(f"*{BEGUN}")
    episodes = pins(config.home)["episodes"][Warehouse(config.home).version("episodes")]
    assert episodes == [f"build {begun.stem}"]
    later = build(config, night=SECOND, clock=clock)
    assert (later["retired"] > 0) == (after > 0)
    made = build(config, night=FIRST, clock=clock)
    assert not begun.exists()
    for done in (made, later):
        again = remake(config, done["digest"])
        assert again["same"], again["alarms"]
    if after:
        # The second night's groups are none that it knew of when its first row was written.
        assert made["digest"] == expected["digest"]
        assert made["rows"] == expected["rows"]
        assert made["retired"] == expected["retired"] == 0
    else:
        # Nothing was written, so it is as if it had begun behind the second night.
        assert made["rows"] != expected["rows"]


def test_rows_that_are_not_those_of_the_build_are_told(two_nights, tmp_path):
    prepared, clock, _ = two_nights
    config = prepared.model_copy(update={"home": tmp_path / "home"})
    shutil.copytree(prepared.home, config.home)
    made = build(config, night=FIRST, clock=clock)
    # A build is named by its version too, as long as no two share one.
    assert remake(config, str(made["version"]))["digest"] == made["digest"]
    [gone, *_] = Warehouse(config.home).read("held_out", ["episode_id"])["episode_id"].to_pylist()
    DeltaTable(Warehouse(config.home).location("held_out")).delete(f"episode_id = '{gone}'")
    again = remake(config, made["digest"])
    assert again["alarms"] == ["held_out: the rows in the table are others"]
    assert not again["same"]
    assert again["tables"]["held_out"]["same"]


def test_other_logs_are_another_build(two_nights, tmp_path, chat, write):
    prepared, clock, expected = two_nights
    config = prepared.model_copy(update={"home": tmp_path / "home"})
    ingest(config, [write("a.jsonl", chat("r", reward=1.0))], night=FIRST, clock=clock)
    label(config, night=FIRST, clock=clock)
    ingest(config, [write("b.jsonl", chat("q", reward=1.0))], night=SECOND, clock=clock)
    label(config, night=SECOND, clock=clock)
    other = build(config, night=FIRST, clock=clock)
    pinned = ("episodes", "labels", "signals")
    versions = [[one["inputs"].get(table) for table in pinned] for one in (other, expected)]
    assert versions[0] == versions[1]
    assert other["digest"] != expected["digest"]
