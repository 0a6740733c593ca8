"""Who of those who have connected to a node rests, who asks, and who has to go.

A connection rests while nothing is asked or taken on it. It may rest for a while, as it is kept warm for the
next question; when there are too many, the oldest one of the address with the most gives way. One
address cannot have all questions in work either; who asks too much is told to ask again later.

A connection on which a stream is taken does not rest. So one address cannot take streams on all of them:
beyond its share it is refused.
"""

import threading
import time
from collections.abc import Callable

from mcast.hostport import IPAddress
from mcast.net.entrance import FIRST_QUESTION
from mcast.overlay.actions import ConnectionId
from mcast.shares import UNCOUNTED, Places, Shares, Source, WaitingRoom, reserve_of, source_of

MAX_ASKING = 1024
"""Questions in work at a time, for the shares: a decision takes some 50 us, so a quarter of them delays
nobody by more than a few hundredths of a second."""


class Crowd:
    """Safe for all threads."""

    def __init__(self, most: int, is_favoured: Callable[[IPAddress], bool]) -> None:
        self._most, self._is_favoured = most, is_favoured
        self._lock = threading.Lock()  # guards what follows
        self._present: dict[ConnectionId, Source] = {}
        self._resting: WaitingRoom[ConnectionId] = WaitingRoom(most + reserve_of(most))
        self._until: dict[ConnectionId, float] = {}  # of those who rest, the oldest first
        self._asking: dict[ConnectionId, Source] = {}
        self._questions = Shares(MAX_ASKING)
        self._taking: Places[ConnectionId] = Places(most)  # on which a stream is taken, or was asked for

    def source_of(self, ip: IPAddress) -> Source:
        """Return what an address is counted under: a peer of the layout is held to no share."""
        return UNCOUNTED if self._is_favoured(ip) else source_of(ip)

    def enter(self, number: ConnectionId, ip: IPAddress) -> tuple[bool, ConnectionId | None]:
        """Let a connection in; return whether there is room for it, and who has to go instead."""
        room = self._most + (reserve_of(self._most) if self._is_favoured(ip) else 0)
        with self._lock:
            gives_way = self._resting.oldest_of_the_most() if len(self._present) >= room else None
            if len(self._present) >= room and gives_way is None:
                return False, None
            if gives_way is not None:
                self._leave(gives_way)
            self._present[number] = source_of(ip)
            self._rests(number)
        return True, gives_way

    def asks(self, number: ConnectionId, source: Source) -> bool:
        """Note that something is asked on a connection; return False if its address asks too much."""
        with self._lock:
            if number not in self._present or not self._questions.take(source):
                return False
            self._stirs(number)
            self._asking[number] = source
        return True

    def may_take(self, number: ConnectionId, source: Source) -> bool:
        """Note that a stream is asked for on a connection; return False if its address takes too many."""
        with self._lock:
            return self._taking.take(number, source, favoured=source == UNCOUNTED)

    def takes(self, number: ConnectionId) -> None:
        """Note that what was asked for is taken on the connection from now on: it does not rest."""
        with self._lock:
            self._answered(number)
            self._stirs(number)

    def rests(self, number: ConnectionId) -> None:
        """Note that what was asked has been answered."""
        with self._lock:
            self._answered(number)
            self._taking.leave(number)
            if number in self._present:
                self._rests(number)

    def leave(self, number: ConnectionId) -> None:
        """Forget a connection."""
        with self._lock:
            self._leave(number)

    def overdue(self, now: float) -> list[ConnectionId]:
        """Return those who have rested too long."""
        with self._lock:
            late: list[ConnectionId] = []
            for number, until in self._until.items():
                if until > now:
                    break
                late.append(number)
            return late

    def _rests(self, number: ConnectionId) -> None:
        self._stirs(number)
        self._resting.enter(number, self._present[number], favoured=True)
        self._until[number] = time.monotonic() + FIRST_QUESTION

    def _stirs(self, number: ConnectionId) -> None:
        self._resting.leave(number)
        self._until.pop(number, None)

    def _answered(self, number: ConnectionId) -> None:
        if (source := self._asking.pop(number, None)) is not None:
            self._questions.give_back(source)

    def _leave(self, number: ConnectionId) -> None:
        self._answered(number)
        self._taking.leave(number)
        self._stirs(number)
        self._present.pop(number, None)
