"""The night's training host: `python -m tasks.train.host`, from which workers are forked.

It imports the training libraries once (eight CPU seconds, 0.6 GB) and forks a child for every
order that comes on its standard input, so that a worker begins at once and shares that memory.
One JSON line an order: `{"order": name, "file": order.json, "seconds": limit or null}`. Standard
output carries the children's progress and, when one has ended, `{"order": name, "exit": status}`.

The host does nothing but import and fork: a process that has computed, opened CUDA or a database,
or started a thread cannot be forked safely. When its input closes it kills what it started and
ends; when it is killed itself its children see their pipe close and end too. So nothing outlives a
night.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tasks.train.order import LOG, Order
from tasks.train.worker import Tell, end_with, log_to, teller, work

ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    # TRL imports MLflow where it finds it, for a report that is not asked for: a CPU second.
    "DISABLE_MLFLOW_INTEGRATION": "TRUE",
    # The allocators of Arrow and of Delta would each start a thread at import.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "_RJEM_MALLOC_CONF": "background_thread:false",
    # Asking whether there is a GPU must not open CUDA: a forked child could not use it any more.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}  # fmt: skip
"""What a host must be started with."""
ROOT = Path(__file__).parents[2]


def environment(threads: int) -> dict[str, str]:
    """Give the environment of a host whose children compute with so many threads."""
    return {**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": str(threads)}


def launch(order: Order, file: Path, seconds: float | None) -> list[str] | None:
    """Give the command that does an order in a process of its own; None where a fork will do.

    The one place that knows how a candidate that several processes train is started: by torch's
    launcher, whose environment accelerate reads.
    """
    limit = [] if seconds is None else [str(seconds)]
    worker = ["-m", "tasks.train.worker", str(file), *limit]
    devices = int(order.config.get("train", {}).get("devices", 1))
    if devices > 1:
        several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
        return [sys.executable, *several, *worker]
    return None if threads_here() == 1 else [sys.executable, *worker]


def threads_here() -> int:
    """Count the threads of this process, those of libraries included; 1 where nobody can tell."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 1


def import_stack() -> None:
    """Import what training needs, so that no child has to."""
    import tasks.rollout.play
    import tasks.train.diagnosis
    import tasks.train.stages.route  # noqa: F401 - all of them for what they bring

    gc.collect()
    gc.freeze()  # children share these pages as long as no collection writes to them


class Host:
    """Forks a child an order, and says when one has ended.

    Args:
        orders: Descriptor that orders come from.
        relay: Descriptor that progress goes to.
        do: Does an order in a child: told order, seconds and whom to tell; gives its exit status.
    """

    def __init__(
        self, orders: int, relay: int, do: Callable[[Order, float | None, Tell], int] = work
    ) -> None:
        self._orders, self._relay, self._do = orders, relay, do
        self._living, self._held = os.pipe()
        """Children read the first; it ends when nobody holds the second: only the host does."""
        self._woken, self._waker = os.pipe()
        self._running: dict[int, str] = {}
        """Process id to the order's name."""

    def serve(self) -> None:
        """Do orders until their descriptor closes, then end all that is running."""
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._waker)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # noqa: ARG005 - a signal's
        rest = b""
        try:
            while True:
                ready, _, _ = select.select([self._orders, self._woken], [], [])
                if self._woken in ready:
                    os.read(self._woken, 4096)
                    self._reap()
                if self._orders in ready:
                    told = os.read(self._orders, 65536)
                    if not told:
                        return
                    *lines, rest = (rest + told).split(b"\n")
                    for line in lines:
                        self._begin(json.loads(line))
        finally:
            for child in self._running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)

    def _begin(self, told: Mapping[str, Any]) -> None:
        """Start a worker in a process group of its own: what it starts is ended with it."""
        file, seconds = Path(told["file"]), told["seconds"]
        order = msgspec.json.decode(file.read_bytes(), type=Order)
        command = launch(order, file, seconds)
        if command is None:
            child = os.fork()
            if not child:
                self._work(order, seconds)
            with contextlib.suppress(OSError):  # the child does it too, whoever comes first
                os.setpgid(child, child)
        else:
            child = self._start(command, order)
        self._running[child] = str(told["order"])

    def _start(self, command: list[str], order: Order) -> int:
        with (order.rung / LOG).open("ab") as log:
            return subprocess.Popen(
                command, cwd=ROOT, stdin=self._living, stdout=self._relay, stderr=log,
                start_new_session=True,
            ).pid  # fmt: skip

    def _work(self, order: Order, seconds: float | None) -> None:
        """Do an order in a child; never returns."""
        status = 1
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for mine in (self._held, self._woken, self._waker, self._orders):
                os.close(mine)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            log_to(order.rung / LOG)
            end_with(self._living)
            status = self._do(order, seconds, teller(order.name, self._relay))
        finally:
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> None:
        """Tell which workers have ended."""
        while self._running:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            name = self._running.pop(child)
            ended = {"order": name, "exit": os.waitstatus_to_exitcode(status)}
            os.write(self._relay, json.dumps(ended).encode() + b"\n")


def main() -> None:
    """Serve until standard input closes; Ctrl-C is for the night, which closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    relay = os.dup(1)
    os.dup2(2, 1)  # what libraries print goes where errors go
    began = time.process_time()
    import_stack()
    threads = threads_here()
    how = "forks" if threads == 1 else f"{threads} threads: starts each worker by itself"
    sys.stderr.write(f"imported in {time.process_time() - began:.1f} CPU s, {how}\n")
    Host(os.dup(0), relay).serve()
    os._exit(0)  # taking down libraries that never worked would cost half a second


if __name__ == "__main__":
    main()
