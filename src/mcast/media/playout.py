"""The final receiver's buffer: order and completeness are restored here, and only here.

Relays pass on what they have at once, in the order it came. Here each datagram waits for its
output time (timeline.py); what is past it goes out at once and is never dropped for being old.
`latency` is therefore how long the output waits *for a hole*: a hole is given up, and counted, at
the output time of the next datagram that is there.

A stream begins with its first media: null packets that come before (a live input has nothing to say yet) do
not go out.

Pure: the time is handed in, nothing blocks.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import astuple, dataclass

from mcast.media.timeline import Timeline
from mcast.wire.mpegts import is_null
from mcast.wire.rtp import CLOCK_RATE, HEADER_SIZE
from mcast.wire.train import Train

_MAX_HOLES = 1_024  # given up ranges remembered, to tell what came too late from what came twice


@dataclass(frozen=True, slots=True)
class PlayoutCounters:
    """What has gone out, and what has not."""

    datagrams: int = 0
    bytes: int = 0
    lost: int = 0  # given up
    late: int = 0  # came after they were given up
    duplicates: int = 0
    reordered: int = 0

    def plus(self, later: "PlayoutCounters") -> "PlayoutCounters":
        """Return what has become of this stream and of one behind it."""
        return PlayoutCounters(*(a + b for a, b in zip(astuple(self), astuple(later), strict=True)))


@dataclass(frozen=True, slots=True)
class _Held:
    """A datagram that waits."""

    payload: memoryview
    ticks: int
    arrival: float


class PlayoutBuffer:
    """Trains in, any order; payloads out, in number order and each once. Not thread-safe."""

    def __init__(self, latency_ms: float, start: int | None = None) -> None:
        """`start` is the first number that counts; None: the least that comes before the first is due."""
        self._timeline = Timeline(latency_ms / 1000)
        self._next = start  # the number to go out next; None: whatever is first when its time comes
        self._highest = -1
        self._held: dict[int, _Held] = {}
        self._order: list[int] = []  # a heap of the numbers held
        self._holes: deque[tuple[int, int]] = deque(maxlen=_MAX_HOLES)
        self.first: int | None = None  # the number of the first datagram that went out
        self._newest: int | None = None  # the ticks of the newest one that did
        self._datagrams = self._bytes = self._lost = self._late = self._duplicates = self._reordered = 0

    def __repr__(self) -> str:
        return f"<PlayoutBuffer {self.held} held, {self._lost} lost>"

    @property
    def held(self) -> int:
        """Return how many datagrams wait."""
        return len(self._held)

    @property
    def held_ms(self) -> float:
        """Return how many milliseconds of media wait."""
        ticks = [held.ticks for held in self._held.values()]
        return (max(ticks) - min(ticks)) * 1000 / CLOCK_RATE if ticks else 0.0

    def counters(self) -> PlayoutCounters:
        """Describe what has gone out so far."""
        return PlayoutCounters(
            self._datagrams, self._bytes, self._lost, self._late, self._duplicates, self._reordered
        )

    @property
    def timestamp(self) -> int | None:
        """Return the RTP timestamp of the newest datagram that went out."""
        return None if self._newest is None else self._newest & 0xFFFF_FFFF

    def behind(self, now: float) -> float | None:
        """Return how many seconds the output is behind the earliest that it could be."""
        transit = self._timeline.least_transit
        return None if self._newest is None or transit is None else now - self._newest / CLOCK_RATE - transit

    def change_way(self, now: float) -> None:
        """Take in that the stream comes by another way from now on: its transit is measured anew."""
        self._timeline.change_way(now)

    def push(self, train: Train, now: float) -> None:
        """Take in what has arrived."""
        for index, datagram in enumerate(train.datagrams()):
            self._put(train.first + index, datagram, train.timestamp(index), now)

    def pop(self, now: float) -> list[memoryview]:
        """Return the payloads that are due."""
        return self._take_while(lambda: (due := self.next_due()) is not None and due <= now)

    def next_due(self) -> float | None:
        """Return when to call pop() again, None if nothing is held."""
        if not self._order:
            return None
        first = self._held[self._order[0]]
        return self._timeline.due(first.ticks, first.arrival)

    def flush(self, last: int | None = None) -> list[memoryview]:
        """Return all that is held: the end. What is missing up to the stream's `last` number is lost."""
        payloads = self.pop(float("inf"))
        if last is not None and self._next is not None and last >= self._next:
            self._lost += last + 1 - self._next
            self._next = last + 1
        return payloads

    def flush_unbroken(self, since: float) -> list[memoryview]:
        """Return what is held before the first hole that may yet have been filled: the end by a user's wish.

        That is one behind which nothing came before `since`: what is missing there is still being asked for.
        """
        return self._take_while(lambda: bool(self._order) and not self._is_hole_since(since))

    def _is_hole_since(self, since: float) -> bool:
        number = self._order[0]
        is_hole = self._next is not None and number > self._next
        return is_hole and min(held.arrival for held in self._held.values()) >= since

    def _take_while(self, goes_on: Callable[[], bool]) -> list[memoryview]:
        payloads: list[memoryview] = []
        while goes_on():
            payload = self._take()
            if self.first is not None:
                payloads.append(payload)
        self._datagrams += len(payloads)
        return payloads

    def _put(self, number: int, datagram: memoryview, timestamp: int, now: float) -> None:
        ticks = self._timeline.unwrap(timestamp)
        self._timeline.note(ticks, now)
        if number in self._held:
            self._duplicates += 1
        elif self._next is not None and number < self._next:
            self._count_past(number)
        else:
            self._reordered += number < self._highest
            self._highest = max(self._highest, number)
            self._held[number] = _Held(datagram[HEADER_SIZE:], ticks, now)
            heapq.heappush(self._order, number)

    def _take(self) -> memoryview:
        """Take out the first datagram held; what is missing before it is given up."""
        number = heapq.heappop(self._order)
        held = self._held.pop(number)
        if self._next is not None and number > self._next:
            self._lost += number - self._next
            self._holes.append((self._next, number))
        self._next = number + 1
        self._newest = held.ticks
        if self.first is None and not is_null(held.payload):
            self.first = number
        if self.first is not None:
            self._bytes += len(held.payload)
        return held.payload

    def _count_past(self, number: int) -> None:
        if any(begin <= number < end for begin, end in self._holes):
            self._late += 1
        else:
            self._duplicates += 1
