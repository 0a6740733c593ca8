"""The one thread of a process that reads what children send and does what is due for them.

It reads the sockets of all fanouts, feeds the children that catch up, checks leases and sends reports.
Only this thread registers and closes sockets; other threads hand it what is to be done.

Where many children report, it does not wake up for each: it rests for some milliseconds and then reads what
has come meanwhile. It does not rest while somebody is in a hurry (`hurry`): a child has just come, or asks
for what it has lost.
"""

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from mcast.media.allowance import MOST, Allowance
from mcast.net.threads import OnCrash, OwnedThread
from mcast.net.waker import Waker

CATCH_UP_BIT_RATE = 400_000_000
"""Bit/s for all children together that catch up or are repaired, to begin with."""
REST_SECONDS = 0.01
"""Half of what a child's NACK gives an answer at least (`round_trip.MIN_PATIENCE`)."""
CROWD = 150
"""Packets a second from which on it rests: with fewer it would wake up more often, not less."""
HURRY_SECONDS = 2.0
"""Who has lost something loses more of it soon; who has come says more than a hello."""
MAX_READY = 256
"""Sockets that are read before the clocks are looked at again."""
_CALL_TIMEOUT = 2.0
_IDLE = 3600.0  # seconds; a wake-up ends it


class Ticking(Protocol):
    """Who wants to be called now and then."""

    @property
    def catching_up(self) -> int:
        """Return how many children it has to feed."""
        ...

    def tick(self, now: float) -> float:
        """Do what is due; return when to be called next (monotonic seconds)."""
        ...


class FeedbackReader:
    """Owns the thread "feedback"."""

    def __init__(
        self, on_crash: OnCrash, *, catch_up_bit_rate: int = CATCH_UP_BIT_RATE, max_bit_rate: int = 0
    ) -> None:
        """`max_bit_rate` is for all that children get together; 0: without a bound."""
        most = max_bit_rate / 8 or MOST
        self.total = Allowance(catch_up_bit_rate / 8, time.monotonic(), most=most)  # bytes
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}  # by descriptor
        self._readers: dict[int, Callable[[socket.socket], None]] = {}
        self._waker = Waker()
        self._rest = select.poll()  # the waker alone
        self._rests_from = 0.0  # nobody is in a hurry from then on
        self._is_crowd, self._came, self._counted = False, 0, time.monotonic()
        self._calls: deque[Callable[[], None]] = deque()
        self._clients: deque[Ticking] = deque()
        self._dues: dict[Ticking, float] = {}  # when each is to be called next
        self._stopping = threading.Event()
        self._thread = OwnedThread("feedback", self._run, on_crash)

    def __repr__(self) -> str:
        return f"<FeedbackReader {len(self._clients)} fanouts, {len(self._sockets)} sockets>"

    def __enter__(self) -> "FeedbackReader":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the thread."""
        self._poll.register(self._waker, select.EPOLLIN)
        self._rest.register(self._waker, select.POLLIN)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close every socket that is left; idempotent. After the fanouts' close()."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._waker.wake()
        self._thread.join()
        self._run_calls()
        for sock in self._sockets.values():
            sock.close()
        self._poll.close()
        self._waker.close()

    @property
    def rests(self) -> bool:
        """Return whether what comes is read by and by: many report, and nobody is in a hurry."""
        return self._is_crowd and time.monotonic() >= self._rests_from

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
        self._dues[client] = 0.0

    def detach(self, client: Ticking) -> None:
        """Call it no more."""
        if self._dues.pop(client, None) is not None:
            self._clients.remove(client)

    def register(self, sock: socket.socket, on_readable: Callable[[socket.socket], None]) -> None:
        """Read a socket: `on_readable` is called whenever something waits there."""
        descriptor = sock.fileno()
        self._sockets[descriptor], self._readers[descriptor] = sock, on_readable
        self._poll.register(descriptor, select.EPOLLIN)

    def close(self, sock: socket.socket) -> None:
        """Forget a socket and close it. Harmless when repeated."""
        if self._sockets.pop(sock.fileno(), None) is not None:
            del self._readers[sock.fileno()]
            with contextlib.suppress(ValueError):  # all is over
                self._poll.unregister(sock)
        sock.close()

    def hurry(self, now: float) -> None:
        """Read what comes at once, for a while."""
        self._rests_from = now + HURRY_SECONDS

    def _run(self) -> None:
        due = 0.0
        while not self._stopping.is_set():
            if self.rests and (left := due - time.monotonic()) > 0:
                self._rest.poll(min(REST_SECONDS, left) * 1000)
            now = time.monotonic()
            # Sockets first: a lease is judged only after all that has arrived was read.
            is_woken = self._read(max(0.0, due - now))
            self._run_calls()
            now = time.monotonic()
            if now >= self._counted + 1.0:
                self._count(now)
            if is_woken or now >= due:
                due = self._tick(now, everyone=is_woken)

    def _tick(self, now: float, *, everyone: bool) -> float:
        """Have those who are due do what is; return when the next one is."""
        self._clients.rotate(-1)  # of contents with as large a crowd, another one is the first
        clients = [client for client in self._clients if everyone or self._dues[client] <= now]
        for client in sorted(clients, key=_crowd):
            due = client.tick(now)
            if client in self._dues:  # it has not detached itself
                self._dues[client] = due
        return min(self._dues.values(), default=now + _IDLE)

    def _read(self, timeout: float) -> bool:
        """Wait for sockets, and read those that have something; return whether somebody has woken us."""
        is_woken = False
        ready = self._poll.poll(timeout, MAX_READY)
        self._came += len(ready)
        for descriptor, _ in ready:
            # A socket may have been closed since, by what another one has brought.
            if (sock := self._sockets.get(descriptor)) is not None:
                self._readers[descriptor](sock)
            elif descriptor == self._waker.fileno():
                self._waker.drain()
                is_woken = True
        return is_woken

    def _count(self, now: float) -> None:
        """Find out whether many have come since the last time, a second ago or longer."""
        self._is_crowd = self._came >= CROWD * (now - self._counted)
        self._came, self._counted = 0, now

    def _run_calls(self) -> None:
        while self._calls:
            self._calls.popleft()()


def _crowd(client: Ticking) -> int:
    """Return about how many catch up: few do not wait for many, and take little from them."""
    return client.catching_up.bit_length()
