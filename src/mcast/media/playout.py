"""The final receiver's buffer: order and completeness are restored here, and only here.

Relays pass on what they have at once, in the order it came. Here each datagram waits for its
output time (timeline.py); what is past it goes out at once and is never dropped for being old.
`latency` is therefore how long the output waits *for a hole*: a hole is given up, and counted, at
the output time of the next datagram that is there.

Pure: the time is handed in, nothing blocks.
"""

import heapq
from collections import deque
from dataclasses import dataclass

from mcast.media.timeline import Timeline
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


@dataclass(frozen=True, slots=True)
class _Held:
    """A datagram that waits."""

    payload: memoryview
    ticks: int
    arrival: float


class _Stream:
    """The datagrams of one SSRC that wait, and where the output is."""

    def __init__(self, latency: float, start: int | None) -> None:
        self.timeline = Timeline(latency)
        self.next = start  # the number to go out next; None: whatever is first when its time comes
        self.highest = -1
        self.held: dict[int, _Held] = {}
        self.order: list[int] = []  # a heap of the numbers held

    def due(self) -> float | None:
        """Return when the first datagram held goes out."""
        if not self.order:
            return None
        first = self.held[self.order[0]]
        return self.timeline.due(first.ticks, first.arrival)

    def take(self) -> tuple[int, _Held]:
        """Take the first datagram held."""
        number = heapq.heappop(self.order)
        return number, self.held.pop(number)


class PlayoutBuffer:
    """Trains in, any order; payloads out, in number order and each once. Not thread-safe."""

    def __init__(self, latency_ms: float, start: int | None = None) -> None:
        """`start` is the first number that counts; None: the least that comes before the first is due."""
        self._latency = latency_ms / 1000
        self._streams = deque([_Stream(self._latency, start)])
        self._holes: deque[tuple[int, int]] = deque(maxlen=_MAX_HOLES)
        self.first: int | None = None  # the number of the first datagram that went out
        self._newest: tuple[int, Timeline] | None = None  # the ticks of the newest one that did
        self._datagrams = self._bytes = self._lost = self._late = self._duplicates = self._reordered = 0

    def __repr__(self) -> str:
        return f"<PlayoutBuffer {self.held} held, {self._lost} lost>"

    @property
    def held(self) -> int:
        """Return how many datagrams wait."""
        return sum(len(stream.held) for stream in self._streams)

    @property
    def held_ms(self) -> float:
        """Return how many milliseconds of media wait."""
        ticks = [held.ticks for stream in self._streams for held in stream.held.values()]
        return (max(ticks) - min(ticks)) * 1000 / CLOCK_RATE if ticks else 0.0

    def counters(self) -> PlayoutCounters:
        """Describe what has gone out so far."""
        return PlayoutCounters(
            self._datagrams, self._bytes, self._lost, self._late, self._duplicates, self._reordered
        )

    @property
    def timestamp(self) -> int | None:
        """Return the RTP timestamp of the newest datagram that went out."""
        return None if self._newest is None else self._newest[0] & 0xFFFF_FFFF

    def behind(self, now: float) -> float | None:
        """Return how many seconds the output is behind the earliest that it could be."""
        if self._newest is None:
            return None
        ticks, timeline = self._newest
        transit = timeline.least_transit
        return None if transit is None else now - ticks / CLOCK_RATE - transit

    def push(self, train: Train, now: float) -> None:
        """Take in what has arrived."""
        stream = self._streams[-1]
        for index, datagram in enumerate(train.datagrams()):
            self._put(stream, train.first + index, datagram, train.timestamp(index), now)

    def rebase(self, start: int | None = None) -> None:
        """Begin another stream (a new SSRC); what is held of the old one still goes out before it."""
        self._streams.append(_Stream(self._latency, start))

    def pop(self, now: float) -> list[memoryview]:
        """Return the payloads that are due."""
        return self._take(now)

    def next_due(self) -> float | None:
        """Return when to call pop() again, None if nothing is held."""
        return next((due for stream in self._streams if (due := stream.due()) is not None), None)

    def flush(self, last: int | None = None) -> list[memoryview]:
        """Return all that is held: the end. With the number of the stream's last, count what lacks."""
        payloads = self._take(float("inf"))
        stream = self._streams[-1]
        if last is not None and stream.next is not None and last >= stream.next:
            self._lost += last + 1 - stream.next
            stream.next = last + 1
        return payloads

    def _put(self, stream: _Stream, number: int, datagram: memoryview, timestamp: int, now: float) -> None:
        ticks = stream.timeline.unwrap(timestamp)
        stream.timeline.note(ticks, now)
        if number in stream.held:
            self._duplicates += 1
        elif stream.next is not None and number < stream.next:
            self._count_past(number)
        else:
            self._reordered += number < stream.highest
            stream.highest = max(stream.highest, number)
            stream.held[number] = _Held(datagram[HEADER_SIZE:], ticks, now)
            heapq.heappush(stream.order, number)

    def _count_past(self, number: int) -> None:
        if any(begin <= number < end for begin, end in self._holes):
            self._late += 1
        else:
            self._duplicates += 1

    def _take(self, now: float) -> list[memoryview]:
        payloads: list[memoryview] = []
        while True:
            stream = self._streams[0]
            while (due := stream.due()) is not None and due <= now:
                number, held = stream.take()
                if stream.next is not None and number > stream.next:
                    self._lost += number - stream.next
                    self._holes.append((stream.next, number))
                stream.next = number + 1
                self.first = number if self.first is None else self.first
                self._newest = held.ticks, stream.timeline
                payloads.append(held.payload)
                self._bytes += len(held.payload)
            if stream.held or len(self._streams) == 1:
                self._datagrams += len(payloads)
                return payloads
            self._streams.popleft()
            self._holes.clear()
