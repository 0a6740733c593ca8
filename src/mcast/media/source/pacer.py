"""The threads that send streams: each has all streamers that it carries look at their clocks, on one grid.

What several contents have to send so leaves in one go, and every relay on the way is woken up once for all of
them, not once for each. A thread of its own for each content would spread the same work over the whole time,
with cold caches and a contest for the interpreter's lock at each train.
"""

import threading
import time
from typing import Protocol

from mcast.net.threads import OnCrash, OwnedThread


class Paced(Protocol):
    """What a pacer carries: a `Streamer`. All for the pacer's thread."""

    def look(self, now: float) -> bool:
        """Send what is due; return whether to be carried on."""
        ...

    def finish(self) -> None:
        """End: the thread carries it no more."""
        ...


class Pacer:
    """Owns one thread, which looks each `pace` seconds.

    Longer paces make longer trains, which cost every relay less, and are paid once, here, with as much delay.
    """

    def __init__(self, name: str, pace: float, on_crash: OnCrash) -> None:
        self._pace = pace
        self._stopping, self._woken = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._carried: list[Paced] = []  # changed with the lock held
        self._thread = OwnedThread(name, self._run, on_crash)
        self._is_started = False  # with the lock

    def __repr__(self) -> str:
        return f"<Pacer {self._thread.name} {len(self)} streamers>"

    def __len__(self) -> int:
        return len(self._carried)

    @property
    def is_current(self) -> bool:
        """Return whether the caller runs in the thread."""
        return self._thread.is_current

    def carry(self, item: Paced) -> None:
        """Carry one more, and look at it at once. Raises NoThreadError."""
        with self._lock:
            if not self._is_started:
                self._thread.start()
                self._is_started = True
            self._carried.append(item)
        self.wake()

    def wake(self) -> None:
        """Have the thread look now, beside the grid."""
        self._woken.set()

    def stop(self) -> None:
        """End the thread and all that it carries, and wait for that. Harmless when repeated."""
        self._stopping.set()
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        tick = time.monotonic()
        try:
            while not self._stopping.is_set():
                self._woken.clear()
                self._look()
                # A fixed grid, of which missed ticks are left out: how long a look takes adds no delay.
                now = time.monotonic()
                if now >= tick:
                    tick += self._pace * (1 + (now - tick) // self._pace)
                self._woken.wait(tick - now if self._carried else None)
        finally:
            for item in self._carried:
                item.finish()

    def _look(self) -> None:
        for item in tuple(self._carried):
            if not item.look(time.monotonic()):
                with self._lock:
                    self._carried.remove(item)
                item.finish()
