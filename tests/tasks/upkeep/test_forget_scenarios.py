"""A forgotten user's logged scenarios go too: their prompts are people's words."""

import json
from datetime import UTC, datetime

from schemas.config import FlywheelConfig
from tasks.build.build import build
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from tasks.promote.pairs_page import drawn_pairs
from tasks.upkeep.forget import forget
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"


def test_scenarios_that_hold_the_users_episodes_go_and_others_stay(tmp_path):
    def clock():
        return datetime(2026, 1, 2, tzinfo=UTC)

    def record(name, user, scenario, reward):
        said = [
            {"role": "user", "content": f"about {scenario}"},
            {"role": "assistant", "content": f"answer {name}"},
        ]
        return {
            "id": name, "user_id": user, "scenario_id": scenario, "session_id": f"s{name}",
            "messages": said, "reward": reward,
        }  # fmt: skip

    config = FlywheelConfig(home=tmp_path / "home")
    part = config.build.model_copy(update={"held_out_share": 0.0})
    config = config.model_copy(update={"build": part})
    rows = [
        record("a1", "anna-17", "heron", 1.0), record("b1", "berta-42", "heron", 0.0),
        record("a2", "anna-17", "walrus", 1.0), record("a3", "anna-17", "walrus", 0.0),
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ingest(config, [str(tmp_path / "a.jsonl")], night=NIGHT, clock=clock)
    label(config, night=NIGHT, clock=clock)
    made = build(config, night=NIGHT, clock=clock)
    warehouse = Warehouse(config.home)

    def kept():
        return sorted(warehouse.read("scenarios", ["scenario_id"])["scenario_id"].to_pylist())

    assert kept() == ["heron", "walrus"]
    gone = forget(config, "berta-42", clock=clock)
    assert kept() == ["walrus"]
    [pair] = drawn_pairs(config)["pairs"]
    assert {side["state"] for side in pair["labels"].values()} == {"success", "failure"}
    assert [found["digest"] for found in gone["builds"]] == [made["digest"]]
