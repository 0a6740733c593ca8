"""A train: datagrams with consecutive numbers, back to back in one piece of memory.

Media moves in trains. The kernel sends one with a single call (UDP_SEGMENT) and receives one with
a single call (UDP_GRO), so whatever Python does is done once per train, not once per datagram:

    |<---- size ---->|<---- size ---->|<---- size ---->|<- shorter ->|
    | RTP, TS pac... | RTP, TS pac... | RTP, TS pac... | RTP, TS ... |
      number first     first + 1        first + 2        first + 3

All datagrams but the last have the same length; the last may be shorter. The bytes are those of
the wire, RTP headers included, and are shared: nobody copies or alters them on the way.

Fields of every datagram can be read at C speed by a slice with a stride (`data[13::size]` is the
second TS byte of each), which is how keyframes are found without looking at datagrams one by one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mcast.wire.mpegts import NULL_PID, PACKET, pid_at, starts_with_pat
from mcast.wire.rtp import HEADER_SIZE, timestamp_at

MAX_TRAIN_DATAGRAMS = 49
"""What one send can carry: 49 datagrams of 1,328 bytes are the most that fit MAX_TRAIN_BYTES."""
MAX_TRAIN_BYTES = 65_072
"""An IPv4 packet's 65,535 bytes less its headers hold 65,507; 49 whole datagrams are these."""

PLAIN_START, PRIORITY_START = 0x40, 0x60
_UNIT_START = bytes((PLAIN_START, PRIORITY_START))
"""Second byte of a PAT: payload unit start, the PID's high bits zero, with or without priority."""
FLAGS_AT = HEADER_SIZE + 1
"""Where it stands in a datagram."""

NULL_DATAGRAM = HEADER_SIZE + PACKET
"""Bytes of a datagram that holds one null packet: what a source sends when it has nothing to say."""


@dataclass(slots=True)
class Train:
    """Datagrams `first`, `first` + 1 and so on; never empty.

    Nobody alters one. It is not frozen, as one is made for each receive, and would be three times as dear.
    """

    first: int  # 64-bit number of the first datagram
    size: int  # bytes of each datagram but perhaps the last
    data: bytes

    @property
    def count(self) -> int:
        """Return how many datagrams there are."""
        return -(-len(self.data) // self.size)

    @property
    def next(self) -> int:
        """Return the number of the datagram after the last."""
        return self.first - (-len(self.data) // self.size)

    def datagram(self, index: int) -> memoryview:
        """Return the datagram with the number `first` + `index`."""
        return memoryview(self.data)[index * self.size : (index + 1) * self.size]

    def datagrams(self) -> Iterator[memoryview]:
        """Yield the datagrams in order."""
        view, size = memoryview(self.data), self.size
        return (view[at : at + size] for at in range(0, len(view), size))

    def slice(self, begin: int, end: int | None = None) -> "Train":
        """Return the part from number `begin` up to `end` (not included); it must not be empty."""
        stop = self.next if end is None else min(end, self.next)
        if begin <= self.first and stop == self.next:
            return self
        start = max(begin, self.first)
        data = self.data[(start - self.first) * self.size : (stop - self.first) * self.size]
        return Train(start, self.size, data)

    def parts(self) -> Iterator["Train"]:
        """Yield it in pieces that one send can carry."""
        step = max(1, min(MAX_TRAIN_DATAGRAMS, MAX_TRAIN_BYTES // self.size))
        return (self.slice(begin, begin + step) for begin in range(self.first, self.next, step))

    def timestamp(self, index: int) -> int:
        """Return the RTP timestamp of the datagram with the number `first` + `index`."""
        return timestamp_at(self.data, index * self.size)

    def last_timestamp(self) -> int:
        """Return the RTP timestamp of the last datagram."""
        return self.timestamp(self.count - 1)

    def keyframes(self) -> tuple[int, ...]:
        """Return the numbers of the datagrams whose payload begins with a PAT."""
        # Byte 13 of each datagram: this costs a few hundred nanoseconds per train, a search through
        # all its bytes a hundred times as much.
        starts = self.data[FLAGS_AT :: self.size]
        if PLAIN_START not in starts and PRIORITY_START not in starts:
            return ()
        return tuple(
            self.first + index
            for index, start in enumerate(starts)
            if start in _UNIT_START and starts_with_pat(self.data, index * self.size + HEADER_SIZE)
        )


def only_nulls(data: bytes, size: int) -> bool:
    """Return whether datagrams of the same size, back to back, hold nothing but a null packet each."""
    if size != NULL_DATAGRAM:
        return False
    return all(pid_at(data, at) == NULL_PID for at in range(HEADER_SIZE, len(data) - PACKET + 1, size))


def make_trains(first: int, datagrams: Iterable[bytes]) -> list[Train]:
    """Pack consecutive datagrams, beginning with number `first`, into as few trains as fit.

    A train ends behind a datagram shorter than its first, before a longer one, and at the bounds
    of what one send can carry.
    """
    trains: list[Train] = []
    parts: list[bytes] = []
    for datagram in datagrams:
        if parts and not _fits(parts, datagram):
            trains.append(Train(first, len(parts[0]), b"".join(parts)))
            first, parts = first + len(parts), []
        parts.append(datagram)
    if parts:
        trains.append(Train(first, len(parts[0]), b"".join(parts)))
    return trains


def _fits(parts: list[bytes], datagram: bytes) -> bool:
    size = len(parts[0])
    return (
        len(parts[-1]) == size >= len(datagram)
        and len(parts) < MAX_TRAIN_DATAGRAMS
        and len(parts) * size + len(datagram) <= MAX_TRAIN_BYTES
    )
