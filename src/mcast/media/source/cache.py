"""The cache of prepared contents: who may write what, and when it becomes visible.

    <cache>/<key>/stream.ts      the transport stream, never changed
                  stream.json    what the server must know of it; its time says when it was last used
                  source         the path of the file that it was made from, for people
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
import errno
import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias

from mcast.errors import ConfigError
from mcast.media.cancelling import Cancelled, check_wanted
from mcast.media.source.cache_upkeep import touch
from mcast.media.source.complaints import FREE_SPACE, of_system

_DIRECTORY_MODE, _FILE_MODE = 0o755, 0o644
_POLL = 0.2  # seconds between two looks at a lock that another process holds
_BLOCK = 1 << 20
_MAX_SOURCES = 1_000  # remembered digests


FileIdentity: TypeAlias = tuple[int, int, int, int]
"""Size, times and inode of a file: equal ones mean the same bytes."""


def identity_of(path: Path) -> FileIdentity | None:
    """Return what tells whether a file has changed; None if it cannot be seen."""
    try:
        return _identity(path)
    except OSError:
        return None


def default_cache() -> Path:
    """Return mcast's place in the user's cache directory (XDG Base Directory Specification).

    Raises ConfigError if there is no such user: a container may run as any number.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if Path(base).is_absolute():
        return Path(base) / "mcast"
    try:
        return Path.home() / ".cache" / "mcast"
    except RuntimeError:
        raise ConfigError(
            f"user {os.getuid()} has no home directory; say where to keep prepared contents: --cache DIR"
        ) from None


class Cache:
    """One cache directory. Every method raises ConfigError if the file system refuses."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with _explained(directory):
            directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)

    def find(self, key: str) -> Path | None:
        """Return the directory of a finished entry, and note that it is used."""
        entry = self.directory / key
        if not (entry / "stream.json").is_file():
            return None
        touch(entry)
        return entry

    @contextlib.contextmanager
    def lock(self, key: str, cancelled: Cancelled, on_wait: Callable[[], None]) -> Iterator[None]:
        """Be the only process that prepares this entry. Raises CancelledError when asked to stop waiting."""
        path = self.directory / f"{key}.lock"
        descriptor = self._open_lock(path, cancelled, on_wait)
        try:
            yield
        finally:
            os.close(descriptor)  # this also unlocks

    def _open_lock(self, path: Path, cancelled: Cancelled, on_wait: Callable[[], None]) -> int:
        while True:
            with _explained(path):
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
            try:
                self._wait_for(descriptor, cancelled, on_wait)
                # A clean-up may have removed the file meanwhile: then others lock a new one.
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(descriptor), path.stat()):
                        return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    @contextlib.contextmanager
    def new_entry(self, key: str) -> Iterator[Path]:
        """Yield a directory to fill, which becomes the entry if no exception comes. Needs the lock."""
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

    def digest_of(
        self, source: Path, cancelled: Cancelled, on_progress: Callable[[float], None] = lambda _: None
    ) -> str:
        """Return the SHA-256 of a source file, from memory if it has not changed since.

        `on_progress` is told the fraction that has been read, 0 to 1.
        Raises SourceError if it cannot be read.
        """
        known = self._sources()
        try:
            identity = _identity(source)  # first: it tells links in a circle by their OSError
            name = str(source.resolve())
            entry = known.get(name)
            if isinstance(entry, list) and len(entry) == 2 and entry[0] == list(identity):
                return str(entry[1])
            digest = _file_digest(source, cancelled, on_progress)
        except OSError as error:
            raise of_system(error) from None
        known.pop(name, None)
        known[name] = [list(identity), digest]
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
    def _wait_for(descriptor: int, cancelled: Cancelled, on_wait: Callable[[], None]) -> None:
        told = False
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            if not told:
                on_wait()
                told = True
            check_wanted(cancelled)
            time.sleep(_POLL)


def create(path: Path) -> IO[bytes]:
    """Open a new file for writing, with explicit permissions."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, _FILE_MODE), "wb")


def _identity(path: Path) -> FileIdentity:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _file_digest(path: Path, cancelled: Cancelled, on_progress: Callable[[float], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size or 1
        while block := file.read(_BLOCK):
            check_wanted(cancelled)
            digest.update(block)
            on_progress(min(file.tell() / size, 1.0))
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
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        mend = FREE_SPACE if is_full else "another place for the cache: --cache DIR"
        raise ConfigError(f"{where}: {error.strerror}; {mend}") from None
