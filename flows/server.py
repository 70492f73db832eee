"""A Prefect server in the home: started for a run, stopped by its own process id, opened later."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from schemas.errors import FlywheelError, MissingStateError
from tasks.ledger import write_whole

START_SECONDS = 180
"""Longest wait for a server; the first start creates its database."""
STOP_SECONDS = 20
"""Longest wait for a server to end before it is killed."""


def prefect_environment(home: Path) -> dict[str, str]:
    """Name the settings that keep Prefect's state inside a home and its logs off the terminal.

    Results are stored there too: Prefect's cache would otherwise cross from one home to another.
    """
    folder = home.resolve() / "prefect"
    return {
        "PREFECT_HOME": str(folder),
        "PREFECT_LOCAL_STORAGE_PATH": str(folder / "storage"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_FLOW_RUNS_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_TASK_RUNS_LEVEL": "CRITICAL",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }


class Server:
    """A Prefect server process of our own on a free loopback port.

    Prefect reads its settings when it is imported, so make one of these before that; and hold the
    home (`flows.lock`), for a server that its record names is taken for a killed run's.

    Args:
        home: Home that holds its database and log.
    """

    def __init__(self, home: Path) -> None:
        self._log = home.resolve() / "prefect" / "server.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._pid = self._log.with_name("server.pid")
        end_orphan(self._pid)
        self.port = free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        os.environ.update(prefect_environment(home), PREFECT_API_URL=self.api)
        settings = {
            "PREFECT_SERVER_API_HOST": "127.0.0.1", "PREFECT_SERVER_API_PORT": str(self.port)
        }  # fmt: skip
        command = [sys.executable, "-m", "prefect", "server", "start"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env={**os.environ, **settings}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        write_whole(self._pid, str(self._process.pid))

    def wait(self) -> None:
        """Wait until the server answers.

        Raises:
            FlywheelError: It ended, or did not answer in time.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if _answers(self.api):
                return
            time.sleep(0.2)
        self.stop()
        raise FlywheelError(
            "The Prefect server did not start.", f"Read {self._log}; `flywheel doctor` checks pins."
        )

    def stop(self) -> None:
        """Send what is still queued, then end the server by its own process id."""
        if self._process.poll() is not None:
            return
        _drain()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._pid.unlink(missing_ok=True)


@contextlib.contextmanager
def served(home: Path, *, own: bool = False) -> Iterator[Server | None]:
    """Give flows a server: the one that `PREFECT_API_URL` names, else one of our own meanwhile.

    Args:
        home: Home that holds the state of a server of our own.
        own: Start one of our own whatever the environment names.

    Yields:
        The server to wait for, or None when there is one already.

    Raises:
        MissingStateError: The server that the environment names does not answer.
    """
    named = os.environ.get("PREFECT_API_URL")
    if named and not own:
        if not _answers(named):
            raise MissingStateError(
                f"PREFECT_API_URL = {named} does not answer.",
                "Start that server (docs/operate.md), or unset PREFECT_API_URL.",
            )
        for key, value in prefect_environment(home).items():
            os.environ.setdefault(key, value)
        yield None
        return
    server = Server(home)
    # A terminated command must not leave its server behind: let `finally` run.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield server
    finally:
        signal.signal(signal.SIGTERM, before)
        server.stop()
        os.environ.pop("PREFECT_API_URL", None)


def end_orphan(record: Path) -> None:
    """End the server that a killed run of this home left behind, if it is still that server.

    Only for whoever holds the home (`flows.lock`): then no live run can own that server.
    """
    text = record.read_text().strip() if record.is_file() else ""
    if text.isdecimal():
        pid = int(text)
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
            if "prefect server start" in " ".join(psutil.Process(pid).cmdline()):
                os.killpg(pid, signal.SIGKILL)
    record.unlink(missing_ok=True)


def free_port() -> int:
    """Find a free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(api: str) -> bool:
    """Ask a server for its health."""
    parts = urlsplit(api)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/health")
        return connection.getresponse().status in (200, 401, 403)  # it may ask who we are
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _drain() -> None:
    """Flush Prefect's queues; without it the process waits a minute for the server that is gone."""
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker  # noqa: PLC0415 (only if it is loaded)
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415

    for worker in (EventsWorker, APILogWorker):
        worker.drain_all(timeout=10)
