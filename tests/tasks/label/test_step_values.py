"""Step values over nights: sums and decision points, held against plain trees of real logs."""

import json
from datetime import UTC, datetime
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from schemas.config import FlywheelConfig
from tasks.ingest.ingest import ingest
from tasks.label.block import Block
from tasks.label.credit import acts, problems, visits
from tasks.label.process import returns_to_go
from warehouse.tables import Warehouse

BOUNDS = {"gap": 0.5, "support": 2}


def rows(*values):
    """Make rows of `step_values`: state, action, visits, sum of returns."""
    state, action, count, returns = zip(*values, strict=True)
    return pa.table(
        {
            "state": pa.array(state, pa.int64()),
            "action": pa.array(action, pa.int64()),
            "depth": pa.array([0] * len(state), pa.int64()),
            "visits": pa.array(count, pa.int64()),
            "returns": pa.array(returns, pa.float64()),
        }
    )


def counted(answer):
    """Read one row of two counts."""
    [row] = answer.to_pylist()
    return row["decision_points"], row["decision_points_with_support"]


def test_step_values_are_summed_over_nights_and_what_was_taken_back_is_gone(tmp_path):
    warehouse = Warehouse(tmp_path)
    warehouse.append("step_values", rows((1, 10, 2, 2.0), (1, 11, 1, 0.0), (2, 10, 1, 1.0)))
    warehouse.append("step_values", rows((1, 11, 1, 0.0), (2, 10, -1, -1.0), (3, 10, 1, 0.25)))
    found = warehouse.sql("step_values_now", shrinkage=2.0).sort_by("state").to_pylist()
    # State 1: 2 / 4 is its mean; 1 - 0.5, times 2 visits of 2 + 2. State 3 has one action.
    one = {"state": 1, "depth": 0, "visits": 2, "v": 0.5, "rivals": 2}
    assert sorted(found, key=lambda row: (row["state"], row["action"])) == [
        {**one, "action": 10, "q": 1.0, "advantage": 0.25},
        {**one, "action": 11, "q": 0.0, "advantage": -0.25},
        {"state": 3, "action": 10, "depth": 0, "visits": 1, "q": 0.25, "v": 0.25,
         "advantage": 0.0, "rivals": 1},
    ]  # fmt: skip


def test_a_decision_point_is_made_supported_and_unmade(tmp_path):
    warehouse = Warehouse(tmp_path)
    assert counted(warehouse.sql("state_decision_points", **BOUNDS)) == (0, 0)
    nights = [
        # One action in each state: nothing to decide.
        (rows((1, 10, 2, 2.0), (2, 10, 1, 1.0)), (0, 0)),
        # A rival in state 1, half a return worse, once; in state 2, a quarter.
        (rows((1, 11, 1, 0.5), (2, 11, 1, 0.75)), (1, 0)),
        # Its second visit gives support; state 3 comes with all it needs.
        (rows((1, 11, 1, 0.5), (3, 10, 2, 2.0), (3, 11, 2, 0.0)), (1, 2)),
        # State 3 is taken back, and the rival in state 1 does better: 1.5 / 3 -> 1 - 0.75.
        (rows((3, 11, -2, 0.0), (1, 11, 2, 2.0)), (-2, -2)),
    ]
    for night, change in nights:
        assert counted(warehouse.sql("state_changes", relations={"fresh": night}, **BOUNDS)) == (
            change
        )
        warehouse.append("step_values", night)
    assert counted(warehouse.sql("state_decision_points", **BOUNDS)) == (0, 0)


def plain(arguments):
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except ValueError:
        return arguments


def plain_counts(episodes, value):
    """Count decision points with dicts of what was done, and exact means.

    Args:
        episodes: Rows of `episodes` with messages as lists of dicts.
        value: Return of a step, given the row and the steps that follow it.
    """
    tree = {}
    for row in episodes:
        steps = []
        for message in row["messages"]:
            if message["role"] == "assistant":
                made = [(call["name"], plain(call["arguments"])) for call in message["tool_calls"]]
                steps.append((tuple(made), []))
            elif message["role"] == "tool" and message["requestor"] is None and steps:
                steps[-1][1].append(message["content"] or "")
        about = ("scenario", row["scenario_id"]) if row["scenario_id"] else (row["question"],)
        chain = ()
        for number, (made, results) in enumerate(steps):
            left = len(steps) - 1 - number
            if made or left == 0:
                actions = tree.setdefault((about, chain), {})
                actions.setdefault(made, []).append(Fraction(value(row, left)))
                chain = (*chain, (made, tuple(results)))
    points = [0, 0]
    for actions in tree.values():
        for place, support in enumerate((1, BOUNDS["support"])):
            means = [sum(v) / len(v) for v in actions.values() if len(v) >= support]
            # Powers of 0.95 are rounded, so that what would be a half may fall short of it.
            points[place] += bool(means) and max(means) - min(means) >= Fraction(0.5) - 10**-9
    return tuple(points)


class Logged:
    """Episodes of real logs, as rows and as step values under one discount."""

    def __init__(self, table, discount):
        columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        made = Block(columns["messages"], columns["tools"])
        problem = problems(columns["scenario_id"], columns["question"])
        self.found = acts(made, problem)
        self.returns = returns_to_go(
            np.zeros(len(self.found.state)), made.steps,
            columns["logged_reward"].to_numpy(), discount,
        )  # fmt: skip
        self.owner = made.step_owner
        self.rows = table.to_pylist()
        self.discount = discount

    def values(self, episodes, sign=1):
        """Make step values of the episodes whose numbers are in a mask."""
        some = episodes[self.owner]
        return visits(*[part[some] for part in self.found], self.returns[some], sign)

    def counts(self):
        """Count decision points without digests."""
        return plain_counts(self.rows, lambda row, left: row["logged_reward"] * self.discount**left)


@pytest.fixture(scope="module")
def read_logs(real_logs, tmp_path_factory):
    """Ingest a folder of real logs once and give its episodes."""
    tables = {}

    def read(name):
        if name not in tables:
            config = FlywheelConfig(home=tmp_path_factory.mktemp(name))
            now = datetime(2026, 1, 2, 3, tzinfo=UTC)
            ingest(config, [str(real_logs / name)], night="2026-01-02", clock=lambda: now)
            columns = ["messages", "tools", "scenario_id", "question", "logged_reward"]
            tables[name] = Warehouse(config.home).read("episodes", columns)
        return tables[name]

    return read


REAL = [
    ("intercode-sql", 1.0, (124, 8)),
    ("intercode-sql", 0.95, (113, 6)),
    ("tau-bench", 1.0, (10, 1)),
    ("tau-bench", 0.95, (8, 1)),
]
"""Logs, the discount, and their decision points and those with support."""


@pytest.mark.parametrize(("log", "discount", "points"), REAL)
def test_decision_points_of_real_logs_are_those_of_plain_trees(
    read_logs, tmp_path, log, discount, points
):
    logged = Logged(read_logs(log), discount)
    warehouse = Warehouse(tmp_path)
    warehouse.append("step_values", logged.values(np.ones(len(logged.rows), bool)))
    expected = logged.counts()
    assert counted(warehouse.sql("state_decision_points", **BOUNDS)) == expected
    assert expected == points


def rounded(warehouse):
    """Read all step values as they are now, without the last digits."""
    found = warehouse.sql("step_values_now", shrinkage=2.0).to_pylist()
    exact = ("state", "action", "depth", "visits", "rivals")
    return {
        (*[row[name] for name in exact], *[round(row[name], 9) + 0.0 for name in ("q", "v")])
        for row in found
    }


@pytest.mark.parametrize(("log", "discount", "points"), REAL)
def test_nights_add_up_to_the_whole_and_taking_one_back_undoes_it(
    read_logs, tmp_path, log, discount, points
):
    logged = Logged(read_logs(log), discount)
    number = np.arange(len(logged.rows))
    whole = Warehouse(tmp_path / "whole")
    whole.append("step_values", logged.values(number >= 0))
    parts = Warehouse(tmp_path / "parts")
    stood = [(0, 0)]

    def add(night, sign=1):
        fresh = logged.values(number % 3 == night, sign)
        change = counted(parts.sql("state_changes", relations={"fresh": fresh}, **BOUNDS))
        parts.append("step_values", fresh)
        stood.append((stood[-1][0] + change[0], stood[-1][1] + change[1]))
        assert counted(parts.sql("state_decision_points", **BOUNDS)) == stood[-1]

    for night in range(3):
        add(night)
    assert stood[-1] == points
    assert rounded(parts) == rounded(whole)
    add(1, -1)
    assert stood[-1] != stood[-2]
    assert not rounded(parts) >= rounded(whole)
    add(1)
    assert stood[-1] == points
    assert rounded(parts) == rounded(whole)
    # What is taken back and added in one go changes nothing.
    both = pa.concat_tables([logged.values(number % 3 == 2, sign) for sign in (-1, 1)])
    assert counted(parts.sql("state_changes", relations={"fresh": both}, **BOUNDS)) == (0, 0)
