"""The sign of life for the service manager's watchdog, from the threads that a program cannot do without.

A timer that ticks proves that the timer lives. So a question goes round: each thread hands it to the next
one, in its own loop, between two pieces of its work; only when it has been all the way round the manager is
told.

    the thread that begins ---> watcher ---> feedback ---> WATCHDOG=1

A thread that hangs keeps the question, no other one is sent, and the manager ends the program and starts it
anew. Threads that may wait for a peer or a disk as part of their work do not belong into the round.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from mcast.roles.service_manager import ServiceManager

Task: TypeAlias = Callable[[], None]
Call: TypeAlias = Callable[[Task], None]
"""Has a thread do something in its loop, soon; never waits."""


class Pulse:
    """Sends the question round. One thread alone may begin the rounds of a program at a time."""

    def __init__(self, manager: ServiceManager, clock: Callable[[], float] = time.monotonic) -> None:
        self._manager, self._clock = manager, clock
        self._next = -math.inf
        self._is_under_way = False

    def beat(self, *threads: Call) -> None:
        """Begin a round if it is time and the last one is over; to be called once a second, or oftener."""
        if self._manager.beat is None or self._is_under_way or (now := self._clock()) < self._next:
            return
        self._next, self._is_under_way = now + self._manager.beat, True
        self._hand_on(threads)

    def _hand_on(self, threads: Sequence[Call]) -> None:
        if threads:
            threads[0](lambda: self._hand_on(threads[1:]))
        else:
            self._is_under_way = False
            self._manager.alive()
