"""A run that is killed between its commits, and two runs at once, leave what one run would."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from itertools import count

import numpy as np
import pytest

from schemas.config import FlywheelConfig
from schemas.errors import FlywheelError
from tasks.ingest.ingest import ingest
from tasks.label.commit import learnt
from tasks.label.label import label
from tasks.label.signals import Kind
from tasks.label.weighing import Weighed
from tasks.label.weights import Counts, Weights
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"
KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from schemas.config import FlywheelConfig
from tasks.label.label import label
from warehouse.tables import Warehouse

class Dying(Warehouse):
    def append(self, table, rows, **keys):
        if table == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().append(table, rows, **keys)

import tasks.label.label
tasks.label.label.Warehouse = Dying
config = FlywheelConfig(home=Path(sys.argv[1]))
label(config, night="2026-01-03", clock=lambda: datetime(2026, 1, 2, 3, tzinfo=UTC))
"""


def event(name, kind, value=1):
    return {"episode_id": name, "kind": kind, "value": value, "timestamp": 1767323045}


def chat(name, question, query="select 1", **keys):
    """Make a chat of one call, that agrees in it with others of the same question, or does not."""
    call = {"id": "c", "function": {"name": "run_sql", "arguments": json.dumps({"query": query})}}
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
        {"role": "assistant", "content": "one"},
    ]
    return {"id": name, "messages": messages, **keys}


NIGHTS = {
    NIGHT: [
        *(chat(f"r{n}", f"q{n % 2}", reward=n % 2) for n in range(4)),
        event("s2", "thumbs"),
    ],
    "2026-01-03": [
        chat("s0", "q0", reward=1.0),
        chat("s1", "q0", "select 2", reward=0.0),
        chat("s2", "q1"),
        event("r0", "outcome"),
        event("r1", "complaint"),
    ],
}


def now():
    return datetime(2026, 1, 2, 3, tzinfo=UTC)


def finish(config):
    return label(config, night="2026-01-03", clock=now)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """A home with one labelled night and a second one read: what is new, and told late."""
    folder = tmp_path_factory.mktemp("read")
    config = FlywheelConfig(home=folder / "home")
    for night, records in NIGHTS.items():
        path = folder / f"{night}.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        if night != NIGHT:
            label(config, night=NIGHT, clock=now)
        ingest(config, [str(path)], night=night, clock=now)
    return config


@pytest.fixture(scope="module")
def undisturbed(read, tmp_path_factory):
    """What labels and step values are where nothing happens to the second run."""
    config = read.model_copy(update={"home": tmp_path_factory.mktemp("undisturbed") / "home"})
    shutil.copytree(read.home, config.home)
    finish(config)
    return content(config)


@pytest.fixture
def home(read, config):
    shutil.copytree(read.home, config.home)
    return config


def content(config):
    """Give what labels and step values say, and what the newest row of `labellings` counts."""
    warehouse = Warehouse(config.home)
    labels = warehouse.sql(
        "SELECT e.logged_id, l.* EXCLUDE (episode_id, label_version) FROM labels AS l"
        " JOIN episodes AS e USING (episode_id) ORDER BY logged_id, revision"
    )
    steps = warehouse.sql(
        "SELECT state, action, visits, q, v, advantage FROM s ORDER BY state, action",
        relations={"s": warehouse.sql("step_values_now", shrinkage=2)},
    )
    [last] = warehouse.read("labellings").sort_by([("number", "descending")])[:1].to_pylist()
    counted = ("totals", "decision_points", "decision_points_with_support", "kinds", "calibration")
    return rounded([labels.to_pylist(), steps.to_pylist(), [last[name] for name in counted]])


def rounded(value):
    """Round all numbers in a nested value: sums depend on their order in the last digits."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return round(value, 9) + 0.0 if isinstance(value, float) else value


class KilledError(BaseException):
    """Stands for the end of the process; nothing may catch it."""


@pytest.mark.parametrize("table", ["step_values", "labels", "labellings"])
def test_a_run_killed_before_one_of_its_commits_is_made_good_by_the_next(
    home, undisturbed, monkeypatch, table
):
    append = Warehouse.append

    def dies(self, name, rows, **keys):
        if name == table:
            raise KilledError
        return append(self, name, rows, **keys)

    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "append", dies)
        with pytest.raises(KilledError):
            finish(home)
    finish(home)
    assert content(home) == undisturbed
    assert finish(home)["labelled"] == 0


def test_a_process_killed_outright_between_commits_is_made_good_by_the_next(home, undisturbed):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(home.home), "labellings"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert Warehouse(home.home).read("labels").num_rows == 9
    assert finish(home)["labelled"] == 0
    assert content(home) == undisturbed


def test_runs_at_once_write_each_label_once(home, undisturbed):
    done = []
    runs = [threading.Thread(target=lambda: done.append(finish(home))) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert content(home) == undisturbed
    # r0 and r1 are told of late, and three are new: one run labels them all.
    assert sorted(account["labelled"] for account in done) == [0, 0, 5]


def test_a_run_that_another_always_overtakes_gives_up_and_writes_nothing(home, monkeypatch):
    before = Warehouse(home.home).versions()
    grows = count(99)
    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "version", lambda *_: next(grows))
        with pytest.raises(FlywheelError, match="kept labelling"):
            finish(home)
    assert Warehouse(home.home).versions() == before


def test_what_was_learnt_is_kept_by_the_names_of_kinds():
    kinds = (Kind("good", "feedback", 0.4, 0.1, ""), Kind("bad", "implicit", 0.1, 0.4, ""))
    counts = Counts(np.array([1.0, 2.5]), np.array([3.0, 0.0]), np.array([5.0, 7.0]))
    weights = Weights(np.array([0.5, -0.5]), 0.25, np.array([True, False]), np.zeros(2))
    bins = np.zeros((10, 3))
    bins[9] = 2, 1.9, 2
    row = learnt(Weighed(None, counts, weights, bins), kinds)
    assert (row["failures"], row["successes"], row["prior"]) == (5.0, 7.0, 0.25)
    # The default is ln(0.4 / 0.1) = 1.386 one way and its negative the other.
    assert [(k["kind"], k["failures"], k["successes"], k["weight"]) for k in row["kinds"]] == [
        ("good", 1.0, 3.0, 0.5), ("bad", 2.5, 0.0, -0.5),
    ]  # fmt: skip
    assert [k["default"] for k in row["kinds"]] == pytest.approx([1.3863, -1.3863], abs=1e-4)
    assert row["calibration"][9] == {"n": 2, "predicted": 1.9, "observed": 2.0}
    assert sum(counted["n"] for counted in row["calibration"]) == 2
