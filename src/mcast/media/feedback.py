"""The one thread of a process that reads what children send and does what is due for them.

It reads the sockets of all fanouts, feeds the children that catch up, checks leases and sends reports.
Only this thread registers and closes sockets; other threads hand it what is to be done.
"""

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from mcast.media.allowance import Allowance
from mcast.net.threads import OnCrash, OwnedThread
from mcast.net.waker import Waker

CATCH_UP_BIT_RATE = 400_000_000
"""Bit/s for all children together that catch up or are repaired, to begin with."""
_CALL_TIMEOUT = 2.0
_IDLE = 3600.0  # seconds; a wake-up ends it


class Ticking(Protocol):
    """Who wants to be called now and then."""

    def tick(self, now: float) -> float:
        """Do what is due; return when to be called next (monotonic seconds)."""
        ...


class FeedbackReader:
    """Owns the thread "feedback"."""

    def __init__(self, on_crash: OnCrash, *, catch_up_bit_rate: int = CATCH_UP_BIT_RATE) -> None:
        self.total = Allowance(catch_up_bit_rate / 8, time.monotonic())  # bytes
        self._selector = selectors.DefaultSelector()
        self._waker = Waker()
        self._calls: deque[Callable[[], None]] = deque()
        self._clients: deque[Ticking] = deque()
        self._stopping = threading.Event()
        self._thread = OwnedThread("feedback", self._run, on_crash)

    def __repr__(self) -> str:
        return f"<FeedbackReader {len(self._clients)} fanouts, {len(self._selector.get_map() or ())} sockets>"

    def __enter__(self) -> "FeedbackReader":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the thread."""
        self._selector.register(self._waker, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close every socket that is left; idempotent. After the fanouts' close()."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._waker.wake()
        self._thread.join()
        self._run_calls()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._waker.close()

    def wake(self) -> None:
        """Let the thread look at its clients' clocks again."""
        self._waker.wake()

    def call(self, function: Callable[[], None], *, wait: bool = False) -> None:
        """Have the thread do something; with `wait`, return when it is done (at most 2 s later)."""
        if self._thread.is_current:
            function()
            return
        done = threading.Event()
        self._calls.append(function)
        self._calls.append(done.set)
        self._waker.wake()
        if not self._thread.alive:
            self._run_calls()
        elif wait:
            done.wait(_CALL_TIMEOUT)

    # In the thread

    def attach(self, client: Ticking) -> None:
        """Call a client's tick from now on."""
        self._clients.append(client)

    def detach(self, client: Ticking) -> None:
        """Call it no more."""
        if client in self._clients:
            self._clients.remove(client)

    def register(self, sock: socket.socket, on_readable: Callable[[socket.socket], None]) -> None:
        """Read a socket: `on_readable` is called whenever something waits there."""
        self._selector.register(sock, selectors.EVENT_READ, on_readable)

    def close(self, sock: socket.socket) -> None:
        """Forget a socket and close it."""
        with contextlib.suppress(KeyError, ValueError):  # closed, or never registered, or all is over
            self._selector.unregister(sock)
        sock.close()

    def _run(self) -> None:
        due = 0.0
        while not self._stopping.is_set():
            # Sockets first: a lease is judged only after all that has arrived was read.
            for key, _ in self._selector.select(max(0.0, due - time.monotonic())):
                if isinstance(key.fileobj, socket.socket):
                    key.data(key.fileobj)
                else:
                    self._waker.drain()
                    due = 0.0
            self._run_calls()
            now = time.monotonic()
            if now >= due:
                self._clients.rotate(-1)  # another content is the first to feed its children
                due = min((client.tick(now) for client in tuple(self._clients)), default=now + _IDLE)

    def _run_calls(self) -> None:
        while self._calls:
            self._calls.popleft()()
