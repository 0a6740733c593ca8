"""RTP datagrams that have overtaken each other, put back into their order (RFC 3550, A.1; RFC 2250).

    comes 4 5 7 6 8 ...    goes on 4 5, then 6 7 8 ...     7 is held until 6 is here
    comes 4 5 7 8 9 ...    goes on 4 5, then 7 8 9 ...     6 is lost: given up when HELD is reached

What is in order is never held. What comes behind a hole waits for it, HELD datagrams and HELD_TICKS of RTP
time at most, so that what is lost costs little. What comes when its place is over (or twice) is left out: a
transport stream has no use for it. A sender that begins anew is followed at once. Pure: no clock.
"""

from dataclasses import dataclass

from mcast.wire.rtp import CLOCK_RATE, RtpHeader

HELD = 64
"""Datagrams that are held while one in front of them is missing."""
HELD_TICKS = CLOCK_RATE // 10
"""RTP time that they may hold, 100 ms: longer than two ways to one host differ, shorter than anybody sees."""
MISORDER = 100
"""A datagram that is older by more is of a sender that has begun anew (RFC 3550, A.1)."""
DROPOUT = 3_000
"""One that is newer by more, too."""


@dataclass(slots=True)
class _Held:
    """A datagram that is not in order yet."""

    timestamp: int
    packets: bytes = b""


class Reordering:
    """Takes datagrams as they come, piece by piece; gives what is in order."""

    def __init__(self) -> None:
        self._ssrc = self._expected = 0
        self._now: int | None = (
            None  # the sequence number of the datagram that is coming; None: no RTP so far
        )
        self._is_late = False  # the place of that one is over
        self._held: dict[int, _Held] = {}

    def add(self, packets: bytes) -> bytes:
        """Take in packets of the datagram that is coming; return what is in order."""
        if self._now is None or self._now == self._expected:
            return packets
        if not self._is_late:
            self._held[self._now].packets += packets
        return b""

    def begin(self, header: RtpHeader) -> bytes:
        """Take in that the next datagram begins; return what is in order by that."""
        released = self._end()
        self._is_late = False
        if self._now is None or header.ssrc != self._ssrc or self._is_leap(header.sequence):
            released += self._release_all()
            self._ssrc, self._expected = header.ssrc, header.sequence
        self._now = header.sequence
        ahead = _distance(self._expected, self._now)
        if ahead > 0 and self._now not in self._held:
            self._held[self._now] = _Held(header.timestamp)
            return released + self._give_up(header.timestamp)
        self._is_late = ahead != 0
        return released

    def _end(self) -> bytes:
        """Take in that the datagram which was coming is complete."""
        if self._now is None or self._now != self._expected:
            return b""
        self._step()
        return self._release()

    def _is_leap(self, sequence: int) -> bool:
        return not -MISORDER <= _distance(self._expected, sequence) <= DROPOUT

    def _step(self) -> None:
        self._expected = (self._expected + 1) & 0xFFFF

    def _release(self) -> bytes:
        """Return what was held and follows on what is in order."""
        released = []
        while self._expected in self._held:
            released.append(self._held.pop(self._expected).packets)
            if self._expected == self._now:  # more of it is to come
                break
            self._step()
        return b"".join(released)

    def _release_all(self) -> bytes:
        """Return all that is held, in its order."""
        places = sorted(self._held, key=lambda sequence: _distance(self._expected, sequence))
        return b"".join(self._held.pop(place).packets for place in places)

    def _give_up(self, timestamp: int) -> bytes:
        """Wait no longer for what is missing if too much is held for it."""
        released = b""
        while self._held and self._is_too_much(timestamp):
            self._expected = min(self._held, key=lambda sequence: _distance(self._expected, sequence))
            released += self._release()
        return released

    def _is_too_much(self, timestamp: int) -> bool:
        first = min(self._held, key=lambda sequence: _distance(self._expected, sequence))
        waited = (timestamp - self._held[first].timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
        return len(self._held) > HELD or waited > HELD_TICKS


def _distance(one: int, other: int) -> int:
    """Return how far a sequence number is behind another one (below 0: before it)."""
    return (other - one + 0x8000 & 0xFFFF) - 0x8000
