"""Where a client's transport stream goes: a file, standard output, a player.

Whoever writes must never wait (a paused player, a slow disk): `write` puts the bytes into a
bounded queue, a thread takes them out. What does not fit is dropped, whole TS packets only, and
counted. How it ended (the reader has gone, the disk is full) is asked with `ended`.
"""

import contextlib
import errno
import os
import select
import stat
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mcast.errors import ConfigError, McastError, StreamEndedError
from mcast.net.threads import OnCrash, OwnedThread
from mcast.net.waker import Waker
from mcast.wire.mpegts import PACKET

MAX_QUEUED = 32 * 1024 * 1024
"""Bytes that wait for a slow output: 50 s of 5 Mbit/s, so that a player may be paused for a moment."""
CLOSE_SECONDS = 5.0
"""How long close() lets the queue drain. A disk takes 32 MiB in less."""
_PIPE_STEP = 4096  # PIPE_BUF: a pipe that polls writable takes so much without blocking
_FILE_STEP = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ended:
    """Why an output takes no more: `error` is None if the user ended it (closed the player's window)."""

    reason: str
    error: McastError | None = None


class Output(Protocol):
    """What takes the stream."""

    def write(self, data: bytes) -> bool:
        """Take whole TS packets without waiting; return whether there was room."""
        ...

    def ended(self) -> Ended | None:
        """Return why it takes no more; None while it does."""
        ...

    def close(self, *, drain: bool = True) -> Ended | None:
        """Write what is queued (unless told not to) and close; tell why it ended before, if so."""
        ...

    @property
    def dropped(self) -> int:
        """Return the bytes that found no room."""
        ...


class Writer:
    """Owns a descriptor and the thread "output" that writes to it."""

    def __init__(
        self, fd: int, name: str, on_crash: OnCrash, *, max_queued: int = MAX_QUEUED, replace: bool = False
    ) -> None:
        """Take over a descriptor. With `replace` the file is emptied, but only when the first bytes come:
        a stream that never begins does not cost an older recording."""
        self.name = name
        self._replace = replace
        self.dropped = 0
        self.written = 0
        self._fd, self._max_queued = fd, max_queued
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self._condition = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._closing = self._abandon = False
        self._ended: Ended | None = None
        self._waker = Waker()
        self._thread = OwnedThread("output", self._run, on_crash)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Writer {self.name}, {self._queued} bytes queued, {self._ended}>"

    def write(self, data: bytes) -> bool:
        """Queue whole TS packets; drop them if there is no room. Never waits."""
        with self._condition:
            if self._ended is not None or self._closing:
                return False
            if self._queued + len(data) > self._max_queued:
                self.dropped += len(data)
                return False
            self._queue.append(data)
            self._queued += len(data)
            self._condition.notify()
            return True

    def ended(self) -> Ended | None:
        """Return why nothing more can be written."""
        return self._ended

    def close(self, *, drain: bool = True) -> Ended | None:
        """End the thread, after the queue is written if it can be within CLOSE_SECONDS; close."""
        with self._condition:
            already, self._closing = self._closing, True
            self._abandon = self._abandon or not drain
            self._condition.notify()
        if already:
            return self._ended
        if not drain or not self._wait_drained(time.monotonic() + CLOSE_SECONDS):
            self._abandon = True
            self._waker.wake()
        self._thread.join()
        with contextlib.suppress(OSError):
            os.close(self._fd)
        self._waker.close()
        return self._ended

    def _wait_drained(self, deadline: float) -> bool:
        with self._condition:
            return self._condition.wait_for(
                lambda: self._queued == 0 or self._ended is not None, deadline - time.monotonic()
            )

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        poll.register(self._waker, select.POLLIN)
        while (data := self._next()) is not None:
            try:
                self._write(data, poll)
            except OSError as error:
                self._fail(error)
            with self._condition:
                self._queued -= len(data)
                self._condition.notify_all()

    def _next(self) -> bytes | None:
        with self._condition:
            while not self._queue and not self._closing:
                self._condition.wait()
            if self._abandon or self._ended is not None or not self._queue:
                return None
            return self._queue.popleft()

    def _write(self, data: bytes, poll: "select.poll") -> None:
        if self._replace and self._regular and self.written == 0:
            os.ftruncate(self._fd, 0)
        left = memoryview(data)
        while left and not self._abandon:
            if not self._regular:
                poll.poll()  # until there is room, the reader has gone, or close() has waked us
            if not self._abandon:
                done = os.write(self._fd, left[: _FILE_STEP if self._regular else _PIPE_STEP])
                self.written += done
                left = left[done:]

    def _fail(self, error: OSError) -> None:
        if error.errno in (errno.EPIPE, errno.ECONNRESET):
            self._end(Ended(f"{self.name} was closed"))
            return
        if self._regular and self._replace:
            with contextlib.suppress(OSError):  # a half TS packet is no use to anybody
                os.ftruncate(self._fd, self.written - self.written % PACKET)
        mend = (
            "free some space or choose another --output"
            if error.errno == errno.ENOSPC
            else "check the output"
        )
        text = f"cannot write to {self.name}: {error.strerror or error} after {self.written} bytes: {mend}"
        self._end(Ended(text, StreamEndedError(text)))

    def _end(self, ended: Ended) -> None:
        with self._condition:
            self._ended = ended
            self._queue.clear()
            self._queued = 0
            self._condition.notify_all()


def check_file(path: Path) -> None:
    """Raise ConfigError if a recording could not be written there. Touches nothing."""
    if path.is_dir():
        raise _unusable(path, errno.EISDIR)
    if not path.exists() and not path.parent.is_dir():
        raise _unusable(path, errno.ENOENT)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise _unusable(path, errno.EACCES)


def file_output(path: Path, on_crash: OnCrash) -> Writer:
    """Record to a file, replacing what it held. Raises ConfigError."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _unusable(path, error.errno or errno.EIO) from None
    return Writer(fd, str(path), on_crash, replace=True)


def check_stdout() -> None:
    """Raise ConfigError if standard output is a terminal."""
    if sys.stdout.isatty():
        raise ConfigError("--output -: standard output is a terminal: redirect it, or name a file")


def stdout_output(on_crash: OnCrash) -> Writer:
    """Write to standard output. Raises ConfigError if that is a terminal."""
    check_stdout()
    return Writer(os.dup(sys.stdout.fileno()), "standard output", on_crash)


def _unusable(path: Path, number: int) -> ConfigError:
    return ConfigError(f"--output {path}: {os.strerror(number)}; name a file that can be written")
