"""Log files wherever they are: folders, globs and URLs through fsspec, compressed or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, Protocol, cast

import fsspec
import pyarrow as pa

from schemas.errors import InputError

ENDINGS = (".json", ".jsonl", ".ndjson", ".eval")
"""Endings that count as logs when a folder is given, with or without one of `PACKED`."""
PACKED = (".gz", ".zst")
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
"""First bytes of a compressed file; its name plays no part."""
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure", "az": "azure"}
"""Protocol to the extra of this project that brings its file system."""


class Stream(Protocol):
    """An open file, wherever it is."""

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes; none at the end."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes over others, and say how many; 0 at the end."""


class LogFile(NamedTuple):
    """One file to be read."""

    name: str
    """Path or URL as it is shown and recorded."""
    path: str
    """Path within its file system."""
    system: Any
    """The fsspec file system."""
    size: int
    """Bytes as stored, compressed where it is."""
    named: bool
    """Whether it was named itself, not found in a folder."""


def expand(paths: Iterable[str]) -> list[LogFile]:
    """List the files that paths, folders, globs and URLs name, each once.

    Raises:
        InputError: A path is not there, a folder or pattern holds no logs, or the file system of
            a URL is not installed.
    """
    files: dict[str, LogFile] = {}
    for given in paths:
        found = list(_files_of(given))
        for file in found:
            if file.name not in files or file.named:
                files[file.name] = file
    return list(files.values())


def _files_of(given: str) -> Iterator[LogFile]:
    """List the files of one path."""
    system, path = _system_of(given)
    local = "://" not in given
    try:
        if system.isfile(path):
            yield _log_file(system, path, given, named=True)
            return
        if system.isdir(path):
            inside = sorted(p for p in system.find(path) if is_log(p))
            what, why = f"folder {given} holds no log files", "Logs end in one of: "
        elif any(sign in given for sign in "*?["):
            inside = sorted(p for p in system.glob(path) if system.isfile(p))
            what, why = f"no file matches {given}", "Check the pattern; logs end in one of: "
        else:
            raise InputError(f"no such file or folder: {given}", "Check the path.")
    except (OSError, ValueError) as error:
        raise InputError(f"{given} cannot be listed: {error}", "Check path and access.") from error
    if not inside:
        raise InputError(what, f"{why}{', '.join(ENDINGS)} (or these with {', '.join(PACKED)}).")
    for found in inside:
        name = _relative(given, path, found) if local else cast(str, system.unstrip_protocol(found))
        yield _log_file(system, found, name, named=False)


def _relative(given: str, path: str, found: str) -> str:
    """Name a file found in a local folder the way the folder was named."""
    if found.startswith(path.rstrip("/") + "/"):
        return str(Path(given) / found[len(path.rstrip("/")) + 1 :])
    here = str(Path.cwd()) + "/"
    return found if Path(given).is_absolute() else found.removeprefix(here)


def _log_file(system: Any, path: str, name: str, *, named: bool) -> LogFile:
    try:
        size = int(system.size(path) or 0)
    except OSError:
        size = 0  # a link to nothing, say: reading it refuses it alone
    return LogFile(name, path, system, size, named)


def log_file(name: str, size: int, *, named: bool) -> LogFile:
    """Give a file again that was listed elsewhere, for example in another process.

    Args:
        name: Path or URL, as `expand` gave it.
        size: Bytes as stored.
        named: Whether it was named itself.

    Raises:
        InputError: Its file system is not installed here.
    """
    system, path = _system_of(name)
    return LogFile(name, path, system, size, named)


def _system_of(given: str) -> tuple[Any, str]:
    """Open the file system of a path or URL.

    Raises:
        InputError: None is known or installed for it.
    """
    try:
        system, path = fsspec.core.url_to_fs(given)
    except (ImportError, ValueError) as error:
        protocol = given.split("://", 1)[0]
        extra = EXTRAS.get(protocol)
        install = f"`pip install 'agent-flywheel[{extra}]'`" if extra else "its fsspec package"
        raise InputError(f"{given} cannot be opened: {error}", f"Install {install}.") from error
    return system, path


def is_log(path: str) -> bool:
    """Say whether a file in a folder counts as a log, by its ending."""
    pure = PurePosixPath(path)
    if pure.suffix in PACKED:
        pure = pure.with_suffix("")
    return pure.suffix in ENDINGS


@contextmanager
def opened(file: LogFile, start: int = 0) -> Iterator[Stream]:
    """Open a file for reading its (decompressed) bytes from `start` on.

    Raises:
        InputError: It cannot be read, or its compressed bytes end too early, where the `with`
            block itself reads; whoever reads on elsewhere meanwhile gets the `OSError`.
    """
    try:
        with file.system.open(file.path, "rb") as raw:
            packed = _compression(raw)
            if packed is None:
                raw.seek(start)
                yield raw
                return
            stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), packed)
            left = start
            while left > 0 and (skipped := len(stream.read(min(left, 1 << 20)))):
                left -= skipped
            yield cast(Stream, stream)
    except OSError as error:
        what = error.strerror or str(error)
        raise InputError(
            f"{file.name} cannot be read: {what}", "Check that the file is whole."
        ) from error


def _compression(raw: IO[bytes]) -> str | None:
    """Tell from the first bytes how a file is compressed; leaves the position at 0."""
    head = raw.read(4)
    raw.seek(0)
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
