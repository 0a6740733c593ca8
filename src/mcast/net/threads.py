"""Threads with one owner, and what happens when one of them crashes.

Every thread is started, named, woken and joined by exactly one object. An exception that nobody
expected must not leave a process half alive: it goes to the thread's `on_crash`, which in the
programs is a `CrashBox`: it logs the traceback and ends the process with status 1.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeAlias

from mcast.errors import ConfigError

logger = logging.getLogger(__name__)

OnCrash: TypeAlias = Callable[[BaseException], None]

JOIN_TIMEOUT = 5.0
"""Seconds an owner waits for its thread: outlasts every bounded step that a thread may be in."""


class NoThreadError(ConfigError):
    """The system gives this process no more threads. It may do so again later."""


def start_thread(thread: threading.Thread) -> None:
    """Start a thread. Raises NoThreadError."""
    try:
        thread.start()
    except RuntimeError as error:
        if thread.ident is not None:  # it was started before: our mistake
            raise
        limits = "ulimit -u, TasksMax= of systemd, the pids of a container"
        raise NoThreadError(f"{error}; raise the limit of threads ({limits})") from None


class OwnedThread:
    """A named thread that hands an unexpected exception to its owner's `on_crash`."""

    def __init__(
        self, name: str, target: Callable[[], None], on_crash: OnCrash, *, daemon: bool = False
    ) -> None:
        """A `daemon` may be in a step that nothing bounds (a disk that hangs), and keeps no process alive."""
        self._target, self._on_crash = target, on_crash
        self._thread = threading.Thread(target=self._run, name=name, daemon=daemon)

    @property
    def name(self) -> str:
        return self._thread.name

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def is_current(self) -> bool:
        """Whether the caller runs in this thread."""
        return threading.current_thread() is self._thread

    def start(self) -> None:
        """Start the thread. Raises NoThreadError."""
        start_thread(self._thread)

    def join(self, timeout: float = JOIN_TIMEOUT) -> bool:
        """Wait for the end, after waking the thread; return whether it came, log if not.

        Harmless before the start, after the end and from within the thread itself.
        """
        if self._thread.ident is None or self.is_current:
            return True
        self._thread.join(timeout)
        if self._thread.is_alive():
            logger.error("the thread %s has not ended within %.1f s", self.name, timeout)
            return False
        return True

    def _run(self) -> None:
        _name_this_thread(self.name)
        try:
            self._target()
        except BaseException as error:
            self._on_crash(error)

    def __repr__(self) -> str:
        return f"OwnedThread({self.name!r}, {'alive' if self.alive else 'not running'})"


def _name_this_thread(name: str) -> None:
    """Tell the kernel the thread's name, so that `top -H` and profiles show it; Python's own is not told.

    The kernel keeps 15 bytes. Where there is no /proc, or it is read-only, the name stays Python's alone.
    """
    with contextlib.suppress(OSError):
        comm = Path(f"/proc/self/task/{threading.get_native_id()}/comm")
        comm.write_bytes(name.encode(errors="replace")[:15])


class Stoppable(Protocol):
    """An owner of threads that can be asked to end, without waiting, before it is stopped."""

    def ask_to_stop(self) -> None: ...

    def stop(self) -> None: ...


def stop_together(owners: Iterable[Stoppable]) -> None:
    """Stop several owners: all are asked first, so that they end side by side, not one after another."""
    asked = tuple(owners)
    for owner in asked:
        owner.ask_to_stop()
    for owner in asked:
        owner.stop()


class CrashBox:
    """Keeps the first unexpected exception of any thread and asks the process to end.

    An instance is the `on_crash` of all threads of a program.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop, self._lock = stop, threading.Lock()
        self._error: BaseException | None = None

    @property
    def error(self) -> BaseException | None:
        """The first exception that came, None while all is well."""
        return self._error

    def __call__(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
        logger.critical("unexpected %s, the program ends: %s", type(error).__name__, error, exc_info=error)
        self._stop.set()
