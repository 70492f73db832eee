"""Orders: what a worker is to do, in a file, with the result that answers it beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import msgspec

from tasks.ledger import read_object, write_whole

ORDER = "order.json"
RESULT = "result.json"
LOG = "worker.log"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is to do: everything that decides its result, but for a limit of time."""

    kind: Literal["train", "score", "diagnose"] = "train"
    """`train`: up to a share of a route, then validation play. `score`: validation play of the
    start. `diagnose`: what failures the start has left."""
    candidate: str
    """Name it is known by; of `score` and `diagnose`, what is told of their progress."""
    route: str = ""
    """Stages to train, joined by `+`."""
    config: dict[str, Any]
    build: str
    start: str | None
    """Folder of the policy to start from; None on the first night."""
    seed: int
    folder: str
    """The candidate's own; stages, checkpoints and a folder a rung are in it."""
    threads: int
    code: str
    """Digest of the code that trains and plays: other code, other order."""
    until: float = 1.0
    """Share of the route's steps to train up to."""
    validation: float = 1.0
    """Share of the validation scenarios that are played."""

    @property
    def name(self) -> str:
        """Name the order among those of the night; the name of a folder."""
        return f"{self.candidate}-to-{round(self.until * 100)}"

    @property
    def rung(self) -> Path:
        """Give the folder of order, log, result and policy."""
        return Path(self.folder) / f"to-{round(self.until * 100)}"


def answered(order: Order) -> dict[str, Any] | None:
    """Read the good result of this very order; None when there is none."""
    written = order.rung / ORDER
    if not written.exists() or written.read_bytes() != msgspec.json.encode(order):
        return None
    found = read_object(order.rung / RESULT)
    return None if found is None or "error" in found else found


def place(order: Order) -> Path:
    """Write an order where its worker finds it; what other orders left there is removed.

    Stages and checkpoints of the same candidate's earlier rung stay: they are what it goes on from.
    """
    folder = Path(order.folder)
    mark = folder / ORDER
    whole = msgspec.json.encode(msgspec.structs.replace(order, until=0.0, validation=0.0))
    if folder.exists() and (not mark.exists() or mark.read_bytes() != whole):
        shutil.rmtree(folder)
    if order.rung.exists():
        shutil.rmtree(order.rung)
    order.rung.mkdir(parents=True)
    mark.write_bytes(whole)
    file = order.rung / ORDER
    file.write_bytes(msgspec.json.encode(order))
    return file


def answer(order: Order, result: dict[str, Any]) -> None:
    """Write an order's result, in one piece."""
    write_whole(order.rung / RESULT, json.dumps(result))


def outcome(order: Order, ended: int | None) -> dict[str, Any]:
    """Read what a worker that ended has left: its result, or what it died of.

    Args:
        order: What it was to do.
        ended: Its exit status; None when its host died with it.
    """
    found = read_object(order.rung / RESULT)
    if found is not None:
        return found
    log = order.rung / LOG
    tail = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
    status = "its host ended" if ended is None else f"exit status {ended}"
    return {
        "name": order.candidate,
        "error": f"training {order.candidate} died: {tail[0] if tail else status}",
        "next": f"Read {log}.",
    }
