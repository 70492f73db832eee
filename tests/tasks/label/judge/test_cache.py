"""Answers and budgets outlive kills, share their file between processes, and hold no text."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from schemas.errors import InputError
from tasks.label.judge.cache import Cache, clear, key_of

ROOT = Path(__file__).parents[4]

WRITER = """
import sys
from pathlib import Path
from tasks.label.judge.cache import Cache, key_of
with Cache(Path(sys.argv[1])) as cache:
    for number in range(int(sys.argv[3])):
        if cache.claim("n", 1, 40):
            cache.put(key_of(sys.argv[2], str(number)), [0.5, None])
        print(number, flush=True)
"""


def writer(home, name, count):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(home), name, str(count)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )


def test_what_was_put_is_there_the_next_time(tmp_path):
    with Cache(tmp_path) as cache:
        assert cache.get("k") is None
        cache.put("k", [0.25, None])
    with Cache(tmp_path) as cache:
        assert cache.get("k") == [0.25, None]


def test_a_budget_is_taken_whole_or_not_at_all_and_by_night(tmp_path):
    with Cache(tmp_path) as cache:
        assert cache.claim("2026-01-01", 2, 3)
        assert not cache.claim("2026-01-01", 2, 3)
        assert cache.claim("2026-01-01", 1, 3)
        cache.give_back("2026-01-01", 1)
        assert cache.spent("2026-01-01") == 2
        assert cache.claim("2026-01-02", 3, 3)
        assert cache.spent("2026-01-03") == 0


def test_a_key_depends_on_the_order_and_the_borders_of_its_parts():
    assert len({key_of("a", "b"), key_of("b", "a"), key_of("ab"), key_of("a", "b", "")}) == 4


def test_threads_take_no_more_than_the_budget(tmp_path):
    with Cache(tmp_path) as cache, ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: cache.claim("n", 1, 25), range(60)))
    assert sum(taken) == 25


def test_two_processes_share_one_budget_and_lose_nothing(tmp_path):
    running = [writer(tmp_path, name, 30) for name in ("one", "two")]
    for process in running:
        process.communicate()
        assert process.returncode == 0
    with Cache(tmp_path) as cache:
        assert cache.spent("n") == 40
        kept = [cache.get(key_of(name, str(n))) for name in ("one", "two") for n in range(30)]
    assert kept.count([0.5, None]) == 40


def test_a_kill_leaves_all_that_was_answered_before_it(tmp_path):
    process = writer(tmp_path, "one", 10_000)
    assert process.stdout is not None
    for _ in range(20):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with Cache(tmp_path) as cache:
        assert all(cache.get(key_of("one", str(n))) == [0.5, None] for n in range(20))
        assert 20 <= cache.spent("n") <= 40
        cache.put("after", [1.0])


def test_clearing_leaves_no_trace_of_answers_and_keeps_what_nights_spent(tmp_path):
    assert clear(tmp_path) == 0
    keys = [key_of(str(n)) for n in range(300)]
    with Cache(tmp_path) as cache:
        for key in keys:
            cache.put(key, [0.5])
        cache.claim("n", 7, 10)
        file = cache.path
    assert keys[0].encode() in file.read_bytes()
    assert clear(tmp_path) == 300
    assert not any(key.encode() in file.read_bytes() for key in keys)
    with Cache(tmp_path) as cache:
        assert cache.spent("n") == 7


def test_a_file_that_is_no_cache_says_what_to_do(tmp_path):
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "answers.sqlite").write_bytes(b"torn" * 1000)
    with pytest.raises(InputError, match=r"answers\.sqlite cannot be used.*remove that file"):
        Cache(tmp_path)
