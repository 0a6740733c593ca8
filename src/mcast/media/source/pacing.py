"""When datagrams leave: the content's clock against the monotonic one.

What is due follows from the time since the start, never from the last datagram: errors of sleeping do not
add up, so the stream neither drifts nor creeps. Only a lag that no viewer's buffer can hide (a suspended
laptop) moves the clock, rather than sending a minute's media at once.

A server that goes on for another one keeps the other's clock: what was due during the outage leaves at
once. If it began where the other stopped instead, each failover would shift the stream by the outage,
and the margin of every viewer's buffer would be gone.
"""

import logging
from dataclasses import dataclass
from typing import Protocol

from mcast.media.source.prepare import CLOCK
from mcast.media.source.prepared import Prepared
from mcast.wire.position import Position
from mcast.wire.train import Train

MAX_LAG = 1.0
"""Seconds behind the clock after which it is moved: what is sent at once must fit into buffers."""
MAX_OVERDUE = 10.0
"""Seconds of media that may be overdue when a stream is taken over. After so long the viewers give up, and
what is sent at once must end somewhere."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Overdue:
    """How late a stream is that another server has begun."""

    seconds: float = 0.0  # since this number was due
    number: int | None = None  # None: the one to go on at


NOT_OVERDUE = Overdue()


class Source(Protocol):
    """Where a streamer's trains come from. For the streamer's thread only."""

    @property
    def ended(self) -> bool:
        """Return whether everything was given."""

    @property
    def is_silent(self) -> bool:
        """Return whether nothing comes from the source for now: viewers are told to wait for it."""
        return False

    @property
    def digest(self) -> bytes:
        """Return the digest of the bytes that it gives; empty where they exist only once."""
        return b""

    @property
    def waits(self) -> bool:
        """Return whether `due` may have to wait: then no other content may depend on its thread."""
        return False

    def due(self, now: float) -> list[Train]:
        """Return what has become due since the last call."""

    def close(self) -> None:
        """Free what is held. Harmless when repeated."""


class PreparedSource(Source):
    """A prepared content from a position on, whose first datagram is due `now`."""

    def __init__(self, prepared: Prepared, position: Position, now: float) -> None:
        self._prepared, self._ssrc, self._next = prepared, position.ssrc, position.next
        prepared.hold()
        self._is_open = True
        self._start = now
        # Whole ticks: a float would lose them in a stream that has been running for years.
        self._skipped = 0 if self.ended else prepared.time_of(position.next)
        self._max_lag = MAX_LAG

    def set_back(self, overdue: Overdue) -> None:
        """Take a datagram to have been due so long ago; the first one at most MAX_OVERDUE.

        To be called before the first look, which returns all that is overdue.
        """
        seconds = min(max(overdue.seconds + self._ahead(overdue.number), -MAX_OVERDUE), MAX_OVERDUE)
        self._start -= seconds
        self._max_lag = MAX_LAG + max(0.0, seconds)

    def _ahead(self, number: int | None) -> float:
        """Return how many seconds after the first datagram a number is due."""
        end = self._prepared.end
        if number is None or self.ended or (end is not None and number >= end):
            return 0.0
        return (self._prepared.time_of(number) - self._prepared.time_of(self._next)) / CLOCK

    def read(self, first: int, most: int) -> Train:
        """Return a train that begins with number `first`: what was sent, byte for byte. From any thread."""
        return self._prepared.train_at(first, self._ssrc, most)

    @property
    def digest(self) -> bytes:
        return self._prepared.digest

    @property
    def ended(self) -> bool:
        end = self._prepared.end
        return end is not None and self._next >= end

    def due(self, now: float) -> list[Train]:
        if self.ended:
            return []
        lag = self._clock(now) - self._prepared.time_of(self._next)
        if lag > self._max_lag * CLOCK:
            logger.warning("behind the clock by %.1f s, which was lost: going on from here", lag / CLOCK)
            self._start, self._skipped = now, self._prepared.time_of(self._next)
        self._max_lag = MAX_LAG
        end = self._prepared.due_by(max(0, self._clock(now)))
        trains = []
        while self._next < end:
            train = self._prepared.train_at(self._next, self._ssrc, end - self._next)
            self._next = train.next
            trains.append(train)
        return trains

    def close(self) -> None:
        """Let go of the prepared content."""
        if self._is_open:
            self._is_open = False
            self._prepared.release()

    def _clock(self, now: float) -> int:
        """Return the content's time that has come, 90 kHz."""
        return self._skipped + int((now - self._start) * CLOCK)
