"""Lines for a terminal, a file or a pipe that perhaps nobody reads. Who has something to say never waits.

    any thread --put--> queue, bounded --thread "lines"--> the stream

A terminal that was stopped by Ctrl-S, a pipe whose reader sleeps and a disk that hangs all stop a write.
So one thread alone writes, and it is a daemon: a write that never returns does not keep the process alive.
What finds no room is left out and counted; a line in its place says so once there is room again.
"""

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from mcast.net.waker import Waker

MAX_WAITING = 1024 * 1024
"""Bytes that wait for a reader: some 8,000 lines, a minute of a busy node at --log-level debug."""
CLOSE_SECONDS = 0.5
"""How long the end waits until what is queued has been read: a reader that reads needs some milliseconds."""
_PIPE_STEP = 4096  # PIPE_BUF: a pipe that polls writable takes so much without blocking


def count_left_out(count: int) -> str:
    """Return a line for so many lines that are missing."""
    return f"({count} lines were left out: nobody read them in time)\n"


def be_silent(_error: Exception) -> None:
    """Take a failed write as it is: who reads may have gone, and a disk may be full for a while."""


class LineWriter:
    """Owns a queue of text, and the one thread that writes it to a stream."""

    def __init__(
        self,
        stream: TextIO,
        *,
        max_waiting: int = MAX_WAITING,
        left_out: Callable[[int], str] = count_left_out,
        on_error: Callable[[Exception], None] = be_silent,
        name: str = "lines",
    ) -> None:
        """Begin. `left_out` words the line that stands for missing ones, and may be replaced later.

        `on_error` is told of each write that fails, in the thread, which has this name.
        """
        self.left_out = left_out
        self.is_terminal = stream.isatty()
        self._stream, self._fd = stream, _descriptor(stream)
        self._max_waiting, self._on_error = max_waiting, on_error
        self._condition = threading.Condition()  # guards the next five
        self._queue: deque[str] = deque()
        self._waiting = 0  # characters queued, those that are being written included
        self._missing = 0
        self._closing = False
        self._deadline: float | None = None
        self._waker = Waker()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<LineWriter {self._waiting} characters wait, {self._missing} lines missing>"

    def put(self, text: str, *, always: bool = False) -> None:
        """Queue a line, its end included. Never waits; `always` is for the few last words of a program."""
        with self._condition:
            if self._closing:
                return
            if self._waiting + len(text) > self._max_waiting and not always:
                self._missing += 1
                return
            self._tell_missing()
            self._append(text)

    def offer(self, text: str) -> None:
        """Queue a text that is worth nothing later: only if nothing waits."""
        with self._condition:
            if not self._waiting and not self._closing:
                self._append(text)

    def flush(self, seconds: float) -> bool:
        """Wait, so long at most, until all that is queued has been written; return whether it has."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._waiting, seconds)

    def close(self, seconds: float = CLOSE_SECONDS) -> bool:
        """Write what is queued, if that can be done within the time, and end; return whether it could.

        Harmless when repeated.
        """
        with self._condition:
            self._tell_missing()
            self._closing = True
            self._deadline = time.monotonic() + seconds
            self._condition.notify_all()
        is_written = self.flush(seconds)
        with self._condition:
            self._queue.clear()
            self._deadline = 0.0
        self._waker.wake()
        self._thread.join(0.1)  # which it outlasts only inside a write that never returns
        return is_written

    def _append(self, text: str) -> None:
        self._queue.append(text)
        self._waiting += len(text)
        self._condition.notify_all()

    def _tell_missing(self) -> None:
        if self._missing:
            missing, self._missing = self._missing, 0
            self._append(self.left_out(missing))

    # In the thread

    def _run(self) -> None:
        try:
            while (text := self._next()) is not None:
                try:
                    self._write(text)
                except (OSError, ValueError) as error:
                    self._on_error(error)
                with self._condition:
                    self._waiting -= len(text)
                    if not self._queue:
                        self._tell_missing()
                    self._condition.notify_all()
        finally:
            self._waker.close()
            if self._fd is not None:
                os.close(self._fd)

    def _next(self) -> str | None:
        with self._condition:
            self._condition.wait_for(lambda: self._queue or self._closing)
            return self._queue.popleft() if self._queue else None

    def _write(self, text: str) -> None:
        if self._fd is None:
            self._stream.write(text)
            self._stream.flush()
            return
        left = memoryview(text.encode(errors="backslashreplace"))
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        poll.register(self._waker, select.POLLIN)
        while left:
            poll.poll()
            if self._deadline is not None and time.monotonic() >= self._deadline:
                return
            left = left[os.write(self._fd, left[:_PIPE_STEP]) :]


def _descriptor(stream: TextIO) -> int | None:
    """Return a descriptor of our own; None if the stream has none (a test's)."""
    with contextlib.suppress(OSError, ValueError):
        stream.flush()
        return os.dup(stream.fileno())
    return None
