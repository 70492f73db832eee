"""A night's workers, as the recipe sees them: an order goes in, its result comes out.

They are forked from one host (`tasks.train.host`), which starts with the first order that has no
result yet; a night whose every order is answered starts nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from schemas.progress import Progress
from tasks.train.host import ROOT, environment
from tasks.train.order import Order, answered, outcome, place

HOST = (sys.executable, "-m", "tasks.train.host")


class Workers:
    """Runs orders, each in a process of its own. Safe to use from several threads.

    Args:
        folder: Where the host's log goes.
        threads: CPU threads of a worker.
        progress: Told what the workers tell.
        host: Command that starts the host.
    """

    def __init__(
        self, folder: Path, threads: int, progress: Progress, host: Sequence[str] = HOST
    ) -> None:
        self._folder, self._threads, self._progress = folder, threads, progress
        self._command = list(host)
        self._host: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[Order, threading.Event]] = {}
        self._ended: dict[str, int | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def do(self, order: Order, seconds: float | None = None) -> dict[str, Any]:
        """Do one order and give its result; a good result of the very same order is kept.

        Args:
            order: What is to be done.
            seconds: Time after which training stops where it is; None does not limit it.

        Returns:
            What the worker wrote; one that died has `error` and `next`.
        """
        known = answered(order)
        if known is not None:
            return known
        file = place(order)
        ended = threading.Event()
        with self._lock:
            self._waiting[order.name] = (order, ended)
        line = json.dumps({"order": order.name, "file": str(file), "seconds": seconds})
        if self._send(line):
            ended.wait()
        with self._lock:
            self._waiting.pop(order.name)
            return outcome(order, self._ended.pop(order.name, None))

    def close(self) -> None:
        """End the host, and with it whatever is still running."""
        with self._lock:
            host, self._host = self._host, None
        if host is not None:
            assert host.stdin is not None
            host.stdin.close()
            host.wait()

    @property
    def host_id(self) -> int | None:
        """Process id of the host; None while none runs."""
        return self._host.pid if self._host else None

    def _send(self, line: str) -> bool:
        """Hand an order to the host; False when the host is gone."""
        with self._lock:
            host = self._host = self._host or self._start()
            assert host.stdin is not None
            try:
                host.stdin.write(line + "\n")
                host.stdin.flush()
            except BrokenPipeError:
                return False
        return True

    def _start(self) -> subprocess.Popen[str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "host.log").open("w") as log:
            host = subprocess.Popen(
                self._command, cwd=ROOT,
                env=environment(self._threads), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, text=True,
            )  # fmt: skip
        threading.Thread(target=self._listen, args=(host,), daemon=True).start()
        return host

    def _listen(self, host: subprocess.Popen[str]) -> None:
        """Pass progress on; when the host ends, so does all that was waited for."""
        assert host.stdout is not None
        with host.stdout:
            for line in host.stdout:
                self._hear(line)
        with self._lock:
            left = list(self._waiting.values())
        for _, ended in left:
            ended.set()

    def _hear(self, line: str) -> None:
        """Take one line of the host's; anything else a library printed is left out."""
        try:
            told = json.loads(line)
        except json.JSONDecodeError:
            return
        name = told.get("order") if isinstance(told, dict) else None
        with self._lock:
            if name not in self._waiting:
                return
            order, ended = self._waiting[name]
            if "exit" in told:
                self._ended[name] = int(told["exit"])
                ended.set()
                return
        note = "" if told["stage"] == order.candidate else str(told["stage"])
        self._progress(f"train {order.candidate}", int(told["done"]), int(told["total"]), note)
