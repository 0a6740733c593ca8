"""The last seconds of a stream, by number: what a relay can still send.

One mechanism for three things: a new child begins at the last keyframe, a lost datagram is sent
again, a child that comes from another parent goes on at its next number. It is also the send queue
of every child that cannot keep up, which is why no child has a queue of its own.

Trains are kept as they came, in order and without overlap. It is bounded in time, in bytes and in
datagrams; what falls out of a bound is the oldest. Pure: the time is handed in; no lock.

A server that streams a file has an *archive*: the file itself, from which it makes any datagram again.
There everything below the head can be had, whatever the bounds, and even what was due before this
server began.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from mcast.wire.rtp import CLOCK_RATE
from mcast.wire.train import FLAGS_AT, PLAIN_START, PRIORITY_START, Train

MAX_SECONDS = 8.0
"""Longer than a GOP (2 s when mcast has encoded it) and than any change of parent takes."""
MAX_BYTES = 32 * 1024 * 1024
"""Per content: 5 s of 50 Mbit/s."""
MAX_DATAGRAMS = 16_384
"""A quarter of what a 16-bit sequence number can name, so that a NACK is never ambiguous."""

_HALF_TIMESTAMP = 1 << 31
_LOOKS = 32  # in the time that is held: so often it is looked for what is too old
_COMPACT_AT = 256  # dropped entries before the lists are moved


@dataclass(frozen=True, slots=True)
class HistoryBounds:
    """How much a history holds at most."""

    seconds: float = MAX_SECONDS
    bytes: int = MAX_BYTES
    datagrams: int = MAX_DATAGRAMS


DEFAULT_BOUNDS = HistoryBounds()

Archive: TypeAlias = Callable[[int, int], Train]
"""Returns a train that begins with this number and holds at most so many datagrams. From any thread."""


class History:
    """Trains by number, the newest seconds of them."""

    def __init__(
        self, start: int, bounds: HistoryBounds = DEFAULT_BOUNDS, archive: Archive | None = None
    ) -> None:
        self.head = start  # the number after the newest; `start` as long as there is none
        self._archive = archive
        self.bytes = 0
        self._bounds = bounds
        # Parallel lists, of which the first `_dropped` entries are gone (None): taking one off the
        # front of a list is not cheap, and a deque cannot be searched.
        self._trains: list[Train | None] = []
        self._firsts: list[int] = []
        self._times: list[float] = []
        self._dropped = 0
        self._gone = 0  # what is below has fallen out of a bound
        self._keyframes: list[int] = []
        self._trim_at = 0.0  # it is time to look for what is too old; or the head has come this far
        self._trim_head = start + bounds.datagrams

    def __repr__(self) -> str:
        return f"<History {self.tail}..{self.head}, {self.bytes} bytes, {len(self._keyframes)} keyframes>"

    @property
    def tail(self) -> int:
        """Return the oldest number held; `head` if there is none."""
        return self._firsts[self._dropped] if self._dropped < len(self._firsts) else self.head

    @property
    def oldest(self) -> int:
        """Return the oldest number that can be sent: 0 where an archive holds them all, else `tail`."""
        return self.tail if self._archive is None else 0

    @property
    def last_keyframe(self) -> int | None:
        """Return the number of the newest datagram whose payload starts with a PAT."""
        return self._keyframes[-1] if self._keyframes else None

    def keyframe_from(self, number: int) -> int | None:
        """Return the first keyframe held at `number` or after it."""
        index = bisect_left(self._keyframes, number)
        return self._keyframes[index] if index < len(self._keyframes) else None

    def insert(self, train: Train, now: float) -> None:
        """Keep a train, in order or late; what is held already of it is not kept twice."""
        if train.first >= self.head or self._newest() is None:  # the first may lie below the start
            self.append(train, train.next, now)
            return
        for part in self._not_held(train):
            self._put(part, now)
        self._trim(now)

    def append(self, train: Train, head: int, now: float) -> None:
        """Keep a train that is in order, or the first; `head` is the number after its last."""
        data = train.data
        self._trains.append(train)
        self._firsts.append(train.first)
        self._times.append(now)
        self.head = head
        self.bytes += len(data)
        # A PAT's first bytes: nearly no train has one, and this look at all its datagrams is cheap.
        starts = data[FLAGS_AT :: train.size]
        if PLAIN_START in starts or PRIORITY_START in starts:
            self._keyframes.extend(train.keyframes())
        if now >= self._trim_at or head > self._trim_head or self.bytes > self._bounds.bytes:
            self._trim(now)

    def clear(self) -> None:
        """Hold nothing any more; the head stays."""
        del self._trains[:], self._firsts[:], self._times[:], self._keyframes[:]
        self._dropped = self.bytes = 0
        self._gone = self.head

    def after(self, number: int, most: int) -> Train | None:
        """Return a train of up to `most` datagrams, from the first one held at `number` or after it."""
        if self._archive is not None and number < self.tail:
            return self._archive(number, min(most, self.tail - number))
        for train in self._from(self._index(number)):
            if train.next > number:
                return train.slice(number, max(number, train.first) + most)
        return None

    def get(self, number: int) -> memoryview | None:
        """Return one datagram, None if it is not held."""
        if self._archive is not None and 0 <= number < self.tail:
            return self._archive(number, 1).datagram(0)
        index = bisect_right(self._firsts, number, self._dropped) - 1
        if index < self._dropped:
            return None
        train = self._trains[index]
        if train is None or number >= train.next:
            return None
        return train.datagram(number - train.first)

    def rtp_timestamp(self, number: int) -> int | None:
        """Return the RTP timestamp of the first datagram held at `number` or after it."""
        train = self.after(number, 1)
        return None if train is None else train.timestamp(0)

    def lag(self, number: int) -> float:
        """Return how many seconds of media are held from `number` on."""
        first, newest = self.rtp_timestamp(number), self._newest()
        if first is None or newest is None:
            return 0.0
        return _elapsed(first, newest.last_timestamp())

    def rate(self) -> float:
        """Return the stream's rate in datagrams per second of media, 0 if too little is held."""
        newest = self._newest()
        if newest is None:
            return 0.0
        seconds = self.lag(self.tail)
        return (self.head - self.tail) / seconds if seconds > 0 else 0.0

    def _newest(self) -> Train | None:
        return self._trains[-1] if self._dropped < len(self._trains) else None

    def _index(self, number: int) -> int:
        """Return where the train that holds `number`, or the one before the gap there, is."""
        return max(bisect_right(self._firsts, number, self._dropped) - 1, self._dropped)

    def _from(self, index: int) -> Iterator[Train]:
        for at in range(index, len(self._trains)):
            train = self._trains[at]
            if train is not None:
                yield train

    def _not_held(self, train: Train) -> Iterator[Train]:
        """Cut out of a train what lies in the gaps of this history."""
        at = train.first
        for held in list(self._from(self._index(at))):
            if held.first >= train.next:
                break
            if at < held.first:
                yield train.slice(at, held.first)
            at = max(at, held.next)
        if at < train.next:
            yield train.slice(at)

    def _put(self, train: Train, now: float) -> None:
        if train.first < self._gone:
            return  # it would be the first to go
        index = bisect_left(self._firsts, train.first, self._dropped)
        self._trains.insert(index, train)
        self._firsts.insert(index, train.first)
        self._times.insert(index, now)
        self.head = max(self.head, train.next)
        self.bytes += len(train.data)
        for keyframe in train.keyframes():
            self._keyframes.insert(bisect_left(self._keyframes, keyframe), keyframe)

    def _trim(self, now: float) -> None:
        bounds = self._bounds
        while self._dropped < len(self._trains) - 1 and (
            self.bytes > bounds.bytes
            or self._times[self._dropped] < now - bounds.seconds
            or self.head - self._firsts[self._dropped] > bounds.datagrams
        ):
            oldest = self._trains[self._dropped]
            self._trains[self._dropped] = None
            self._dropped += 1
            if oldest is not None:
                self.bytes -= len(oldest.data)
                self._gone = oldest.next
        if self._keyframes and self._keyframes[0] < self.tail:
            del self._keyframes[: bisect_left(self._keyframes, self.tail)]
        if self._dropped > _COMPACT_AT and self._dropped * 2 > len(self._trains):
            del self._trains[: self._dropped], self._firsts[: self._dropped], self._times[: self._dropped]
            self._dropped = 0
        self._trim_at = now + bounds.seconds / _LOOKS
        self._trim_head = self.tail + bounds.datagrams


def _elapsed(first: int, last: int) -> float:
    """Return the seconds between two RTP timestamps; 0 if time went backwards."""
    ticks = (last - first) & 0xFFFF_FFFF
    return ticks / CLOCK_RATE if ticks < _HALF_TIMESTAMP else 0.0
