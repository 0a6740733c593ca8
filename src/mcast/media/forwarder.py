"""The threads that read media: each waits for the sockets of all receivers that it carries.

A thread of its own for each content is right for a few. With many, each of them would wake up alone for each
train, with cold caches, and ask for the interpreter's lock: fifty made 50,000 to 170,000 context switches a
second, one thread for all of them 2,500, at a quarter of the CPU time. So the number of threads is bounded,
and the thread that carries the fewest takes the next receiver (carriers.py).

No thread waits for anything but its sockets and the next tick, so no content waits for another one longer
than that one's trains take to send.
"""

import heapq
import itertools
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Protocol

from mcast.net.threads import OnCrash, OwnedThread
from mcast.net.train_reader import TrainReader
from mcast.net.waker import Waker

TICK_SECONDS = 0.02
"""Clocks are looked at this long after each other."""
FORWARD_THREADS = 1
"""The most of a node, if the operator says nothing else."""
EARLY_SECONDS = 0.01
"""They are looked at so much earlier when the thread is awake for media: that saves a wake-up."""
MAX_READY = 64
"""Sockets that are read before the clock is looked at again."""


class Carried(Protocol):
    """What a forwarder carries: a `Receiver`. All for the forwarder's thread."""

    def look(self, now: float) -> bool:
        """Do what was asked for and what is due; return whether to be carried on."""
        ...

    def finish(self) -> None:
        """End: the thread carries it no more."""
        ...


class Forwarder:
    """Owns one thread, and knows which sockets it is to read."""

    def __init__(self, name: str, on_crash: OnCrash) -> None:
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._carried: list[Carried] = []  # changed with the lock held
        self._readers: dict[int, Callable[[], None]] = {}  # the thread's: by descriptor
        self._poll, self._waker = select.epoll(), Waker()
        self._look_at = 0.0  # the thread's
        self._calls: list[tuple[float, int, Callable[[], None]]] = []  # the thread's: a heap
        self._order = itertools.count()
        self.receive = TrainReader().receive  # for the thread only
        self.watch(self._waker, self._on_wake)
        self._on_crash = on_crash
        self._thread = OwnedThread(name, self._run, on_crash)
        self._is_started = False  # with the lock

    def __repr__(self) -> str:
        return f"<Forwarder {self._thread.name} {len(self)} receivers>"

    def __len__(self) -> int:
        return len(self._carried)

    @property
    def is_current(self) -> bool:
        """Return whether the caller runs in the thread."""
        return self._thread.is_current

    # From any thread; nothing of this waits for the thread

    def carry(self, item: Carried) -> None:
        """Carry one more, and look at it at once. Raises NoThreadError."""
        with self._lock:
            if not self._is_started:
                self._thread.start()
                self._is_started = True
            self._carried.append(item)
        self.wake()

    def wake(self) -> None:
        """Have the thread look at all that it carries now."""
        self._waker.wake()

    def stop(self) -> None:
        """End the thread and all that it carries, and wait for that. Harmless when repeated."""
        self._stopping.set()
        self._waker.wake()
        self._thread.join()
        if not self._is_started:
            self._close()

    # In the thread

    def watch(self, source: socket.socket | Waker, on_readable: Callable[[], None]) -> None:
        """Call this whenever something waits at a socket."""
        self._readers[source.fileno()] = on_readable
        self._poll.register(source, select.EPOLLIN)

    def forget(self, sock: socket.socket) -> None:
        """Read a socket no more; before it is closed, and in `look` or `finish` of what is carried."""
        self._poll.unregister(sock)
        del self._readers[sock.fileno()]

    def call_at(self, moment: float, function: Callable[[], None]) -> None:
        """Call something once, at a moment of its own (monotonic seconds), whatever else is due."""
        heapq.heappush(self._calls, (moment, next(self._order), function))

    def _run(self) -> None:
        readers = self._readers
        try:
            while not self._stopping.is_set():
                ready = self._poll.poll(self._timeout(), MAX_READY)
                for descriptor, _ in ready:
                    readers[descriptor]()
                # Sockets first: silence is judged only after what has arrived was read.
                now = time.monotonic()
                while self._calls and self._calls[0][0] <= now:
                    heapq.heappop(self._calls)[2]()
                if now >= (self._look_at - EARLY_SECONDS if ready else self._look_at):
                    self._look_at = now + TICK_SECONDS
                    self._look(now)
        except BaseException as error:
            self._on_crash(error)  # before parents hear BYE: a worker ends here, and another one goes on
        finally:
            for item in self._carried:
                item.finish()
            self._close()

    def _timeout(self) -> float | None:
        """Return how long to wait for sockets."""
        if not self._carried:
            return None
        due = min(self._look_at, self._calls[0][0]) if self._calls else self._look_at
        return max(0.0, due - time.monotonic())

    def _look(self, now: float) -> None:
        for item in tuple(self._carried):
            if not item.look(now):
                item.finish()
                with self._lock:
                    self._carried.remove(item)

    def _on_wake(self) -> None:
        self._waker.drain()
        self._look_at = 0.0

    def _close(self) -> None:
        self._poll.close()
        self._waker.close()
