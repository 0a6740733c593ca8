"""Where a client's transport stream goes: a file, standard output, a player.

Whoever writes must never wait (a paused player, a slow disk): `write` puts the bytes into a
bounded queue, a thread takes them out. What does not fit is dropped, whole TS packets only, and
counted. How it ended (the reader has gone, the disk is full) is asked with `ended`.
"""

import contextlib
import errno
import fcntl
import logging
import os
import stat
import sys
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mcast.errors import ConfigError, McastError, StreamEndedError, UnreachableError
from mcast.media.stores import Descriptor, FileStore, Store
from mcast.net.deadline import Deadline
from mcast.net.threads import NoThreadError, OnCrash, OwnedThread

logger = logging.getLogger(__name__)

MAX_QUEUED = 32 * 1024 * 1024
"""Bytes that wait for a slow output: 50 s of 5 Mbit/s, so that a player may be paused for a moment."""
CLOSE_SECONDS = 5.0
"""How long close() lets the queue drain. A disk takes 32 MiB in less."""
HURRY_SECONDS = 0.5
"""The same, once the program has been told to end: that is to take less than a second in all."""
_LOOK = 0.05  # seconds between two looks at whether somebody is in a hurry


@dataclass(frozen=True, slots=True)
class Ended:
    """Why an output takes no more: `error` is None if the user ended it (closed the player's window)."""

    reason: str
    error: McastError | None = None


class Sink(Protocol):
    """What takes a stream's bytes."""

    def write(self, data: bytes) -> bool:
        """Take whole TS packets without waiting; return whether there was room."""
        ...

    def begin_anew(self) -> None:
        """Take in that what is written next is another stream, which does not go on with the last one."""
        ...

    @property
    def dropped(self) -> int:
        """Return the bytes that found no room."""
        ...


class Output(Sink, Protocol):
    """Where a client's stream goes to."""

    @property
    def name(self) -> str:
        """Return what it is called in messages."""
        ...

    @property
    def written(self) -> int:
        """Return the bytes that have gone out."""
        ...

    def ended(self) -> Ended | None:
        """Return why it takes no more; None while it does."""
        ...

    def close(self, *, drain: bool = True, is_over: bool = False) -> Ended | None:
        """Write what is queued (unless told not to) and close; tell why it ended before, if so.

        `is_over` if the content has come to its end: then its last picture is whole.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Queued:
    """What waits to be written."""

    data: bytes
    begins_anew: bool  # it is of another stream than what was before it


class Writer:
    """Owns a store and the thread "output" that writes to it."""

    def __init__(
        self,
        store: Store,
        on_crash: OnCrash,
        *,
        max_queued: int = MAX_QUEUED,
        hurry: threading.Event | None = None,
    ) -> None:
        """Take over a store. `hurry` is set when close() is to take no longer than HURRY_SECONDS.

        Raises NoThreadError, and has closed the store then.
        """
        self.name, self._store = store.name, store
        self._hurry = hurry or threading.Event()
        self.dropped = 0
        self._max_queued = max_queued
        self._condition = threading.Condition()
        self._queue: deque[_Queued] = deque()
        self._begins_anew = False  # what is written next
        self._queued = self._accepted = 0
        self._closing = self._abandon = False
        self._ended: Ended | None = None
        self._thread = OwnedThread("output", self._run, on_crash)
        try:
            self._thread.start()
        except NoThreadError:
            store.close()
            raise

    def __repr__(self) -> str:
        return f"<Writer {self.name}, {self._queued} bytes queued, {self._ended}>"

    @property
    def written(self) -> int:
        """Return the bytes that have gone out."""
        return self._store.written

    def write(self, data: bytes) -> bool:
        """Queue whole TS packets; drop them if there is no room. Never waits."""
        with self._condition:
            if self._ended is not None or self._closing:
                return False
            if self._queued + len(data) > self._max_queued:
                self.dropped += len(data)
                return False
            self._queue.append(_Queued(data, self._begins_anew))
            self._begins_anew = False
            self._queued += len(data)
            self._accepted += len(data)
            self._condition.notify()
            return True

    def begin_anew(self) -> None:
        """Take in that what is written next is another stream. Never waits."""
        with self._condition:
            self._begins_anew = True

    def ended(self) -> Ended | None:
        """Return why nothing more can be written."""
        return self._ended

    def close(self, *, drain: bool = True, is_over: bool = False) -> Ended | None:
        """End the thread, after the queue is written if it can be within CLOSE_SECONDS; close."""
        with self._condition:
            already, self._closing = self._closing, True
            self._abandon = self._abandon or not drain
            self._condition.notify()
        if already:
            return self._ended
        if not drain or not self._wait_drained():
            self._abandon = True
            self._store.wake()
        self._thread.join()
        if drain and self._abandon:
            left = self._accepted - self.written
            logger.warning("%s has not taken the last %d bytes in time", self.name, left)
        try:
            self._store.finish(is_over=is_over and not self._abandon and self._ended is None)
        except OSError as error:
            self._fail(error)
        self._store.close()
        return self._ended

    def _wait_drained(self) -> bool:
        deadline = Deadline(CLOSE_SECONDS)
        while not deadline.expired:
            if self._hurry.is_set():
                deadline = deadline.sooner(HURRY_SECONDS)
            with self._condition:
                if self._condition.wait_for(lambda: self._queued == 0 or self._ended is not None, _LOOK):
                    return True
        return False

    def _run(self) -> None:
        while (queued := self._next()) is not None:
            if queued.begins_anew:
                self._store.begin_anew()
            try:
                self._store.write(queued.data, lambda: self._abandon)
            except OSError as error:
                self._fail(error)
            with self._condition:
                self._queued -= len(queued.data)
                self._condition.notify_all()

    def _next(self) -> _Queued | None:
        with self._condition:
            while not self._queue and not self._closing:
                self._condition.wait()
            if self._abandon or self._ended is not None or not self._queue:
                return None
            return self._queue.popleft()

    def _fail(self, error: OSError) -> None:
        if error.errno in (errno.EPIPE, errno.ECONNRESET):
            self._end(Ended(f"{self.name} was closed"))
            return
        mend = (
            "free some space or choose another --output"
            if error.errno == errno.ENOSPC
            else "check the output"
        )
        text = f"cannot write to {self.name}: {error.strerror or error} after {self.written} bytes: {mend}"
        self._end(Ended(text, StreamEndedError(text)))

    def _end(self, ended: Ended) -> None:
        with self._condition:
            self._ended = self._ended or ended
            self._queue.clear()
            self._queued = 0
            self._condition.notify_all()


def check_file(path: Path) -> None:
    """Raise ConfigError if a recording could not be written there. Touches nothing."""
    if path.is_dir():
        raise unusable(path, errno.EISDIR)
    if not path.exists() and not path.parent.is_dir():
        raise unusable(path, errno.ENOENT)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise unusable(path, errno.EACCES)
    if path.is_file():
        with contextlib.suppress(OSError), path.open("rb") as file:
            lock_recording(file.fileno(), path, fcntl.LOCK_SH)


def file_output(path: Path, on_crash: OnCrash, hurry: threading.Event | None = None) -> Writer:
    """Record to a file, replacing what it held. Raises ConfigError.

    As long as it is open, no other mcast can record there.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)  # its end is read again
    except OSError as error:
        raise unusable(path, error.errno or errno.EIO) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return Writer(Descriptor(fd, str(path)), on_crash, hurry=hurry)
    try:
        lock_recording(fd, path, fcntl.LOCK_EX)
    except ConfigError:
        os.close(fd)
        raise
    return Writer(FileStore(fd, str(path)), on_crash, hurry=hurry)


def fifo_output(path: Path, on_crash: OnCrash, seconds: float, hurry: threading.Event) -> Writer | None:
    """Write to a FIFO once somebody reads it; None if `hurry` is set while nobody does.

    Raises UnreachableError if nobody does within the time, and ConfigError.
    """
    deadline, said = Deadline(seconds), False
    while (fd := _open_fifo(path)) is None:
        if not said:
            logger.info("%s waits for a reader", path)
            said = True
        if hurry.wait(deadline.sooner(_LOOK).timeout()):
            return None
        if deadline.expired:
            raise UnreachableError(
                f"--output {path}: nobody reads this FIFO (waited {seconds:g} s): start its reader first"
            )
    return Writer(Descriptor(fd, str(path)), on_crash, hurry=hurry)


def _open_fifo(path: Path) -> int | None:
    """Open a FIFO without waiting; None if nobody reads it. Raises ConfigError."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise unusable(path, error.errno or errno.EIO) from None
    os.set_blocking(fd, True)
    return fd


def check_stdout() -> None:
    """Raise ConfigError if standard output is a terminal."""
    if sys.stdout.isatty():
        raise ConfigError("--output -: standard output is a terminal: redirect it, or name a file")


def stdout_output(on_crash: OnCrash, hurry: threading.Event | None = None) -> Writer:
    """Write to standard output. Raises ConfigError if that is a terminal."""
    check_stdout()
    store = Descriptor(os.dup(sys.stdout.fileno()), "standard output")
    return Writer(store, on_crash, hurry=hurry)


def lock_recording(fd: int, path: Path, how: int) -> None:
    """Lock an open file or folder, as long as it is open.

    Raises ConfigError if another process records there.
    """
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"--output {path}: another mcast records there: name another one") from None
    except OSError:  # a file system without locks
        return


def unusable(path: Path, number: int) -> ConfigError:
    """Return why no recording can be written there."""
    return ConfigError(f"--output {path}: {os.strerror(number)}; name a file that can be written")
