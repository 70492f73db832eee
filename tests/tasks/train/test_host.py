"""The night's host: it forks a child an order, tells of them, and nothing outlives a night."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.train.host import ROOT, environment
from tasks.train.order import LOG, RESULT, Order, answered, place
from tasks.train.workers import Workers

FAKE_HOST = """
import os, subprocess, sys, time
from pathlib import Path
from tasks.train.host import Host
from tasks.train.order import answer

def do(order, seconds, tell):
    print("a library's words", flush=True)
    tell("play", 1, 2)
    if order.candidate == "raises":
        raise ValueError("no such thing")
    if order.candidate == "dies":
        os.kill(os.getpid(), 9)
    if order.candidate.startswith("sleeps"):
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        Path(order.folder, "pids").write_text(f"{os.getpid()} {helper.pid}")
        time.sleep(300)
    answer(order, {"name": order.candidate, "seconds": seconds, "parent": os.getppid()})
    return 0

Host(os.dup(0), os.dup(1), do).serve()
"""
"""A host whose children play a part instead of training: it has nothing heavy to import."""
COMMAND = (sys.executable, "-c", FAKE_HOST)


class Told:
    """What was told, by whoever asks."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, int, str]] = []

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.lines.append((stage, done, total, note))


def order(folder: Path, candidate: str, **how: Any) -> Order:
    return Order(
        candidate=candidate, route="sft", config=how.pop("config", {}), build="b", start=None,
        seed=1, folder=str(folder / candidate), threads=1, code="c", **how,
    )  # fmt: skip


def wait_for(what: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; one that nobody has reaped yet has."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def sleepers(folder: Path) -> list[int]:
    """Wait until the worker that sleeps has said who it is and whom it started."""
    file = folder / "sleeps" / "pids"
    wait_for(lambda: file.exists() and len(file.read_text().split()) == 2)
    return [int(pid) for pid in file.read_text().split()]


def test_orders_are_done_by_children_of_one_host(tmp_path: Path) -> None:
    told = Told()
    with Workers(tmp_path, 1, told, COMMAND) as workers:
        one = workers.do(order(tmp_path, "one"), 1.5)
        two = workers.do(order(tmp_path, "two"))
        host = workers.host_id
    assert one == {"name": "one", "seconds": 1.5, "parent": host}
    assert two == {"name": "two", "seconds": None, "parent": host}
    assert told.lines == [("train one", 1, 2, "play"), ("train two", 1, 2, "play")]


def test_a_result_of_the_very_same_order_is_read_and_nothing_is_started(tmp_path: Path) -> None:
    with Workers(tmp_path, 1, Told(), COMMAND) as workers:
        first = workers.do(order(tmp_path, "one"))
    with Workers(tmp_path, 1, Told(), COMMAND) as workers:
        assert workers.do(order(tmp_path, "one")) == first
        assert workers.host_id is None
        assert workers.do(order(tmp_path, "one", until=0.5))["parent"] == workers.host_id


def test_what_a_library_prints_goes_to_the_workers_log(tmp_path: Path) -> None:
    with Workers(tmp_path, 1, Told(), COMMAND) as workers:
        workers.do(order(tmp_path, "one"))
    assert (tmp_path / "one" / "to-100" / LOG).read_text() == "a library's words\n"


@pytest.mark.parametrize(
    ("how", "said"), [("raises", "ValueError: no such thing"), ("dies", "a library's words")]
)
def test_a_worker_that_dies_is_reported_and_the_others_go_on(
    tmp_path: Path, how: str, said: str
) -> None:
    with Workers(tmp_path, 1, Told(), COMMAND) as workers:
        dead = workers.do(order(tmp_path, how))
        assert workers.do(order(tmp_path, "one"))["name"] == "one"
    assert dead["error"] == f"training {how} died: {said}"
    assert dead["next"] == f"Read {tmp_path / how / 'to-100' / LOG}."


def test_workers_end_with_the_night_that_closes_them(tmp_path: Path) -> None:
    workers = Workers(tmp_path, 1, Told(), COMMAND)
    found: list[dict[str, Any]] = []
    asking = threading.Thread(target=lambda: found.append(workers.do(order(tmp_path, "sleeps"))))
    asking.start()
    running = sleepers(tmp_path)
    workers.close()
    asking.join(60)
    assert found[0]["error"].startswith("training sleeps died: ")
    for pid in running:
        wait_for(lambda pid=pid: is_gone(pid))  # type: ignore[misc]


def test_workers_end_with_a_host_that_is_killed(tmp_path: Path) -> None:
    workers = Workers(tmp_path, 1, Told(), COMMAND)
    found: list[dict[str, Any]] = []
    asking = threading.Thread(target=lambda: found.append(workers.do(order(tmp_path, "sleeps"))))
    asking.start()
    worker, _ = sleepers(tmp_path)
    assert workers.host_id is not None
    os.kill(workers.host_id, signal.SIGKILL)
    asking.join(60)
    assert "died" in found[0]["error"]
    wait_for(lambda: is_gone(worker))
    workers.close()


def test_nothing_outlives_a_night_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text(FAKE_HOST)
    night = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tasks.train.order import Order
from tasks.train.workers import Workers
folder = Path({str(tmp_path)!r})
given = Order(candidate="sleeps", route="sft", config={{}}, build="b", start=None, seed=1,
              folder=str(folder / "sleeps"), threads=1, code="c")
workers = Workers(folder, 1, lambda *told: None, (sys.executable, "-c", {FAKE_HOST!r}))
workers.do(given)
"""
    killed = subprocess.Popen([sys.executable, "-c", night], env=environment(1))
    running = sleepers(tmp_path)
    host = int(Path(f"/proc/{running[0]}/stat").read_text().rpartition(")")[2].split()[1])
    killed.kill()
    killed.wait()
    for pid in [host, *running]:
        wait_for(lambda pid=pid: is_gone(pid))  # type: ignore[misc]


def test_a_limit_of_time_is_no_part_of_an_order(tmp_path: Path) -> None:
    with Workers(tmp_path, 1, Told(), COMMAND) as workers:
        first = workers.do(order(tmp_path, "one"), 10.0)
        assert workers.do(order(tmp_path, "one"), 20.0) == first


def test_what_another_order_left_does_not_answer_for_this_one(tmp_path: Path) -> None:
    before = order(tmp_path, "one", config={"seed": 1})
    place(before)
    (before.rung / RESULT).write_text('{"name": "one", "validation": 1.0}')
    (tmp_path / "one" / "0-sft").mkdir()
    assert answered(before) == {"name": "one", "validation": 1.0}
    now = order(tmp_path, "one", config={"seed": 2})
    assert answered(now) is None
    place(now)
    assert not (tmp_path / "one" / "0-sft").exists()
    assert not (now.rung / RESULT).exists()


def test_a_candidate_goes_on_to_its_next_rung_from_what_it_left(tmp_path: Path) -> None:
    lower = order(tmp_path, "one", until=0.34, validation=0.5)
    place(lower)
    (lower.rung / RESULT).write_text(json.dumps({"name": "one"}))
    (tmp_path / "one" / "0-sft").mkdir()
    upper = order(tmp_path, "one")
    place(upper)
    assert (tmp_path / "one" / "0-sft").exists()
    assert answered(lower) == {"name": "one"}
    assert answered(upper) is None
