"""Signals, turned into calls in a thread of their own; what takes a while, in one more.

A handler that Python runs "in between" in the main thread may not touch an Event: the main thread
may be inside its wait(), holding its lock, and would wait for itself. So the handler does nothing,
the C level writes the signal's number to a socket (set_wakeup_fd), and a thread reads it there.
Blocking the signals and sigwait() would be simpler, but children (ffmpeg) inherit the mask.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from mcast.net.deadline import Deadline
from mcast.net.threads import OnCrash, OwnedThread
from mcast.net.waker import Waker, wait_readable

RELOAD_SECONDS = 0.5
"""How long the end waits for files that are being read again: all in all it is to take less than a second."""


class Signals:
    """Owns the process's signal handlers, while entered, and the thread that hears the signals.

    To be entered in the main thread; in any other one it does nothing (tests call `main()` there).
    """

    def __init__(self, handlers: dict[signal.Signals, Callable[[], None]], on_crash: OnCrash) -> None:
        self._handlers = {int(number): handler for number, handler in handlers.items()}
        self._before: dict[int, object] = {}
        self._fd_before = -1
        self._stopping = threading.Event()
        self._waker: Waker | None = None
        self._thread = OwnedThread("signals", self._run, on_crash)

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._waker = Waker()
        self._fd_before = signal.set_wakeup_fd(self._waker.signal_fd, warn_on_full_buffer=False)
        for number in self._handlers:
            self._before[number] = signal.signal(number, _noticed)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._waker is None:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._fd_before)
        self._stopping.set()
        self._waker.wake()
        self._thread.join()
        self._waker.close()

    def _run(self) -> None:
        assert self._waker is not None
        while True:
            wait_readable([self._waker.fileno()], Deadline(None))
            for number in self._waker.drain():
                handler = self._handlers.get(number)  # 0 is our own wake-up
                if handler is not None:
                    handler()
            if self._stopping.is_set():
                return


class Reloading:
    """Owns the thread `reload`, which reads files again, so that a disk that hangs keeps no signal waiting.

    However often it is asked while it reads, it reads once more.
    """

    def __init__(self, reload: Callable[[], None], on_crash: OnCrash) -> None:
        self._reload = reload
        self._asked, self._stopping = threading.Event(), threading.Event()
        self._thread = OwnedThread("reload", self._run, on_crash, daemon=True)

    def ask(self) -> None:
        """Have the files read again. Never waits."""
        self._asked.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._asked.set()
        self._thread.join(RELOAD_SECONDS)

    def _run(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._stopping.is_set():
                return
            self._reload()


def _noticed(_number: int, _frame: FrameType | None) -> None:
    """Replace the default action (to end the process); the thread does the rest."""
