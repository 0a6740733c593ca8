"""Standard input as a live input (`source = "-"`): read all the time, and handed to who takes it.

It cannot be opened twice, and it does not stop when nobody watches. So one thread reads it and each ffmpeg
gets a pipe of its own. As long as there is none, what comes is thrown away: who begins to watch sees what
happens now. As long as there is one, the writer waits where it is faster than the viewers' clock.

A look (ffprobe) in front of ffmpeg's first run takes the first seconds. They are held meanwhile, and ffmpeg
gets the same bytes again:

    bytes --> pipe of ffprobe
          `-> held             ffprobe has ended: held bytes --> pipe of ffmpeg, and then what comes

A FIFO cannot be opened twice, either. It is read the same way, from when a source begins until it ends.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mcast.errors import ConfigError
from mcast.media.source.ffmpeg import Child
from mcast.net.deadline import Deadline
from mcast.net.threads import NoThreadError, OnCrash, OwnedThread
from mcast.net.waker import Waker, wait_readable, wait_writable

logger = logging.getLogger(__name__)

MAX_HELD = 16 * 1024 * 1024
"""Bytes that are held for who comes behind a look, which takes 5 MB at most; beyond, the writer waits."""
_BLOCK = 1 << 16
_LOOK = 0.1  # seconds between two looks at whether a pipe that is full is still wanted
STDIN = 0


@dataclass(eq=False, slots=True)
class _Taker:
    """Who gets what comes. The thread alone writes to the pipe and closes it."""

    pipe: int | None  # None: its reader has gone
    first: bytes = b""  # what it gets before all else
    held: bytearray | None = None  # a look: all that has come since, for who comes behind it
    is_left: bool = False  # nobody wants it any more


@dataclass(eq=False, slots=True)
class Taking:
    """One source's way to standard input: perhaps a look, and behind it ffmpeg with the same bytes."""

    _start: Callable[[list[str], _Taker | None, bool], tuple[_Taker, Child]]
    _leave: Callable[[_Taker], None]
    _look: _Taker | None = field(default=None, init=False)

    def start_look(self, command: list[str]) -> Child:
        """Start a program that gets what comes from now on, which is held. Raises ConfigError."""
        self.let_go()
        self._look, child = self._start(command, None, True)
        return child

    def start_child(self, command: list[str]) -> Child:
        """Start a program that gets what is held, and then what comes. Raises ConfigError."""
        look, self._look = self._look, None
        return self._start(command, look, False)[1]

    def let_go(self) -> None:
        """Hold nothing any more. Harmless when repeated."""
        look, self._look = self._look, None
        if look is not None:
            self._leave(look)


class StandardInput:
    """Owns its thread, and the pipes' ends that it writes to; not the descriptor that it reads."""

    def __init__(self, on_crash: OnCrash, fd: int = STDIN, name: str = "stdin") -> None:
        self._fd = fd
        self._stopping, self._over = threading.Event(), threading.Event()
        self._waker = Waker()
        self._lock = threading.Lock()
        self._takers: list[_Taker] = []
        self._thread = OwnedThread(name, self._run, on_crash)

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

    def taking(self) -> Taking:
        """Return what a source needs to take it."""
        return Taking(self._start, self._leave)

    def start_child(self, command: list[str]) -> Child:
        """Start a program whose standard input is what comes from now on. Raises ConfigError."""
        return self._start(command, None, False)[1]

    def _start(self, command: list[str], behind: _Taker | None, holds: bool) -> tuple[_Taker, Child]:
        try:
            reading, writing = os.pipe()
        except OSError as error:
            raise ConfigError(f"{command[0]} cannot be started: {error.strerror}") from None
        os.set_blocking(writing, False)
        taker = _Taker(writing, held=bytearray() if holds else None)
        with self._lock:
            if behind is not None and behind.held is not None:
                taker.first, behind.is_left = bytes(behind.held), True
            self._takers.append(taker)
        self._waker.wake()
        try:
            return taker, Child(command, stdin=reading)
        except ConfigError:
            self._leave(taker)  # else what it holds would grow until its writer has to wait
            raise
        finally:
            os.close(reading)

    def _leave(self, taker: _Taker) -> None:
        taker.is_left = True
        self._waker.wake()

    # In the thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            is_awaited = not self.is_over and not self._is_full()
            ready = wait_readable([*([self._fd] if is_awaited else []), self._waker.fileno()], Deadline(None))
            self._waker.drain()
            self._hand_out(self._read() if self._fd in ready else b"")
        for taker in self._takers:
            self._close(taker)

    def _read(self) -> bytes:
        try:
            block = os.read(self._fd, _BLOCK)
        except BlockingIOError:  # another reader of this FIFO was quicker
            return b""
        except OSError as error:  # a socket that was reset, a disk that fails: nothing more comes
            logger.warning("%s cannot be read any more: %s", self._thread.name, error.strerror)
            block = b""
        if not block:
            self._over.set()
        return block

    def _is_full(self) -> bool:
        with self._lock:
            return any(len(taker.held or b"") >= MAX_HELD for taker in self._takers if not taker.is_left)

    def _hand_out(self, block: bytes) -> None:
        with self._lock:
            takers = list(self._takers)
            for taker in takers:
                if taker.held is not None:
                    taker.held += block
        for taker in takers:
            first, taker.first = taker.first, b""
            self._write(taker, first + block)
            if self.is_over or taker.is_left:
                self._close(taker)
        with self._lock:
            self._takers = [each for each in self._takers if each.pipe is not None or _holds(each)]

    def _write(self, taker: _Taker, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left and taker.pipe is not None and not (self._stopping.is_set() or taker.is_left):
                if wait_writable([taker.pipe], Deadline(_LOOK)):
                    with contextlib.suppress(BlockingIOError):
                        left = left[os.write(taker.pipe, left) :]
        except BrokenPipeError:  # its reader has ended
            self._close(taker)

    def _close(self, taker: _Taker) -> None:
        pipe, taker.pipe = taker.pipe, None
        if pipe is not None:
            os.close(pipe)


class Fifo:
    """A FIFO as one source's live input. Owns its descriptor, and the thread that reads it."""

    def __init__(self, path: Path, content: str, on_crash: OnCrash) -> None:
        self._path, self._content, self._on_crash = path, content, on_crash
        self._reader: StandardInput | None = None
        self._taking: Taking | None = None
        self._fd = -1

    def start_look(self, command: list[str]) -> Child:
        """Start a program that gets what comes from now on, which is held. Raises ConfigError."""
        return self._opened().start_look(command)

    def start_child(self, command: list[str]) -> Child:
        """Start a program that gets what is held, and then what comes. Raises ConfigError."""
        return self._opened().start_child(command)

    def let_go(self) -> None:
        """Close it. Harmless when repeated."""
        if self._reader is not None:
            self._reader.stop()
            self._reader = self._taking = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _opened(self) -> Taking:
        if self._taking is None:
            try:
                self._open()
            except (OSError, NoThreadError) as error:
                self.let_go()
                why = error.strerror if isinstance(error, OSError) else error
                raise ConfigError(f"{self._path} cannot be read: {why}") from None
            assert self._reader is not None
            self._taking = self._reader.taking()
        return self._taking

    def _open(self) -> None:
        """Raises OSError, NoThreadError."""
        # Without waiting for its writer.
        self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._reader = StandardInput(self._on_crash, self._fd, f"fifo-{self._content}")
        self._reader.start()


def _holds(taker: _Taker) -> bool:
    return taker.held is not None and not taker.is_left
