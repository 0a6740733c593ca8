"""Standard input as a live input (`source = "-"`): read all the time, and handed to who takes it.

It cannot be opened twice, and it does not stop when nobody watches. So one thread reads it and each ffmpeg
gets a pipe of its own. As long as there is none, what comes is thrown away: who begins to watch sees what
happens now. As long as there is one, the writer waits where it is faster than the viewers' clock.
"""

import contextlib
import os
import threading

from mcast.media.source.ffmpeg import Child
from mcast.net.deadline import Deadline
from mcast.net.threads import OnCrash, OwnedThread
from mcast.net.waker import Waker, wait_readable, wait_writable

_BLOCK = 1 << 16
_LOOK = 0.1  # seconds between two looks at whether a pipe that is full is still wanted
STDIN = 0


class StandardInput:
    """Owns the thread "stdin", and the pipes' ends that it writes to; not the descriptor that it reads."""

    def __init__(self, on_crash: OnCrash, fd: int = STDIN) -> None:
        self._fd = fd
        self._stopping, self._over = threading.Event(), threading.Event()
        self._waker = Waker()
        self._lock = threading.Lock()
        self._takers: list[int] = []
        self._thread = OwnedThread("stdin", self._run, on_crash)

    def __repr__(self) -> str:
        return f"<StandardInput {len(self._takers)} takers, {'over' if self.is_over else 'open'}>"

    @property
    def is_over(self) -> bool:
        """Return whether it has ended."""
        return self._over.is_set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and close the pipes."""
        self._stopping.set()
        self._waker.wake()
        self._thread.join()
        self._waker.close()

    def start_child(self, command: list[str]) -> Child:
        """Start a program whose standard input is what comes from now on. Raises ConfigError."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with self._lock:
            if self.is_over:
                os.close(writing)
            else:
                self._takers.append(writing)
        try:
            return Child(command, stdin=reading)
        finally:
            os.close(reading)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._fd not in wait_readable([self._fd, self._waker.fileno()], Deadline(None)):
                continue
            if not (block := os.read(self._fd, _BLOCK)):
                break
            with self._lock:
                takers = list(self._takers)
            for taker in takers:
                self._write(taker, block)
        with self._lock:
            self._over.set()
            takers, self._takers = self._takers, []
        for taker in takers:
            os.close(taker)

    def _write(self, taker: int, block: bytes) -> None:
        left = memoryview(block)
        try:
            while left and not self._stopping.is_set():
                if wait_writable(taker, Deadline(_LOOK)):
                    with contextlib.suppress(BlockingIOError):
                        left = left[os.write(taker, left) :]
        except BrokenPipeError:  # its reader has ended
            with self._lock:
                self._takers.remove(taker)
            os.close(taker)
