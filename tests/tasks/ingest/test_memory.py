"""What an ingest asks of Python and of the kernel is as it was when it ends, also by an error."""

import ctypes
import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from tasks.ingest import memory
from tasks.ingest.memory import GET_THP_DISABLE, steady


def kept_from_huge_pages() -> bool:
    return bool(ctypes.CDLL(None).prctl(GET_THP_DISABLE, 0, 0, 0, 0))


def test_the_collector_is_off_meanwhile_and_stays_off_where_it_was():
    with steady():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with steady():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_there_are_no_huge_pages_meanwhile():
    before = kept_from_huge_pages()
    with steady():
        assert kept_from_huge_pages()
    assert kept_from_huge_pages() == before


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_an_error_puts_all_back():
    before = kept_from_huge_pages()
    with pytest.raises(ZeroDivisionError), steady():
        1 / 0  # noqa: B018
    assert (gc.isenabled(), kept_from_huge_pages()) == (True, before)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_the_last_of_several_threads_puts_all_back():
    before, begun, done = kept_from_huge_pages(), Event(), Event()

    def other() -> None:
        with steady():
            begun.set()
            done.wait(10)

    with ThreadPoolExecutor(1) as pool:
        with steady():
            ended = pool.submit(other)
            assert begun.wait(10)
        # The first one has left, the other is at work.
        assert (gc.isenabled(), kept_from_huge_pages()) == (False, True)
        done.set()
        ended.result()
    assert (gc.isenabled(), kept_from_huge_pages()) == (True, before)


def test_a_system_that_knows_nothing_of_it_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    with steady():
        assert not gc.isenabled()
