"""The cache of prepared contents: who may write what, and when it becomes visible.

    <cache>/<key>/stream.ts      the transport stream, never changed
                  stream.json    what the server must know of it
                  cuts-7.<v>     where it is cut into datagrams (made when first needed)
    <cache>/<key>.lock           held by the one process that prepares this entry
    <cache>/<key>.<pid>.tmp/     a preparation in progress
    <cache>/sources.json         digests of source files by size and times, or each start would read all

An entry appears by one rename of its directory, after its bytes have reached the disk: whatever ends
the process, nobody ever uses half a file. Locks are the kernel's and vanish with their holder, so several
servers can share a cache, and a killed one blocks nobody; its leftovers are removed by the next holder.

Permissions are given explicitly: a process with umask 0 leaves nothing that others may write.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from mcast.errors import ConfigError

_DIRECTORY_MODE, _FILE_MODE = 0o755, 0o644
_POLL = 0.2  # seconds between two looks at a lock that another process holds
_BLOCK = 1 << 20
_MAX_SOURCES = 1_000  # remembered digests


class CancelledError(Exception):
    """The preparation was asked to stop."""


def default_cache() -> Path:
    """Give mcast's place in the user's cache directory (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "mcast"


class Cache:
    """One cache directory. Every method raises ConfigError if the file system refuses."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with _explained(directory):
            directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)

    def find(self, key: str) -> Path | None:
        """Give the directory of a finished entry."""
        entry = self.directory / key
        return entry if (entry / "stream.json").is_file() else None

    @contextlib.contextmanager
    def lock(self, key: str, cancelled: Callable[[], bool], on_wait: Callable[[], None]) -> Iterator[None]:
        """Be the only process that prepares this entry. Raises CancelledError when asked to stop waiting."""
        path = self.directory / f"{key}.lock"
        with _explained(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        try:
            self._wait_for(descriptor, cancelled, on_wait)
            yield
        finally:
            os.close(descriptor)  # this also unlocks; the file stays, as removing it would be a race

    @contextlib.contextmanager
    def new_entry(self, key: str) -> Iterator[Path]:
        """Give a directory to fill, which becomes the entry if no exception comes. Needs the lock."""
        for leftover in self.directory.glob(f"{key}.*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        work = self.directory / f"{key}.{os.getpid()}.tmp"
        try:
            with _explained(self.directory):
                work.mkdir(mode=_DIRECTORY_MODE)
                yield work
                _sync(work)
                shutil.rmtree(self.directory / key, ignore_errors=True)  # an entry without its description
                work.rename(self.directory / key)
                _sync(self.directory)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def digest_of(self, source: Path, cancelled: Callable[[], bool]) -> str:
        """Give the SHA-256 of a source file, from memory if it has not changed since."""
        with _explained(source):
            status = source.stat()
            identity = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            known = self._sources()
            name = str(source.resolve())
            entry = known.get(name)
            if isinstance(entry, list) and len(entry) == 2 and entry[0] == identity:
                return str(entry[1])
            digest = _file_digest(source, cancelled)
        known.pop(name, None)
        known[name] = [identity, digest]
        self.write(
            self.directory / "sources.json", json.dumps(dict([*known.items()][-_MAX_SOURCES:])).encode()
        )
        return digest

    def write(self, path: Path, data: bytes) -> None:
        """Write a small file so that it is seen whole or not at all; the last writer wins."""
        work = path.with_name(f"{path.name}.{threading.get_native_id()}.new")
        with _explained(path):
            try:
                with create(work) as file:
                    file.write(data)
                work.replace(path)
            finally:
                work.unlink(missing_ok=True)

    def _sources(self) -> dict[str, Any]:
        try:
            found = json.loads((self.directory / "sources.json").read_bytes())
        except (OSError, ValueError):  # none yet, or damaged: it is only a shortcut
            return {}
        return found if isinstance(found, dict) else {}

    @staticmethod
    def _wait_for(descriptor: int, cancelled: Callable[[], bool], on_wait: Callable[[], None]) -> None:
        told = False
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            if not told:
                on_wait()
                told = True
            if cancelled():
                raise CancelledError
            time.sleep(_POLL)


def create(path: Path) -> IO[bytes]:
    """Open a new file for writing, with explicit permissions."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, _FILE_MODE), "wb")


def _file_digest(path: Path, cancelled: Callable[[], bool]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if cancelled():
                raise CancelledError
            digest.update(block)
    return digest.hexdigest()


def _sync(directory: Path) -> None:
    """Let a directory's entries reach the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the file system says into one line for the user."""
    try:
        yield
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else path
        raise ConfigError(f"{where}: {error.strerror}; another place for the cache: --cache DIR") from None
