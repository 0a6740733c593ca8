"""How large a receive buffer has to be for a stream: by its rate, which nobody knows before it comes.

The kernel drops what finds no room, and a thread that waits for a busy machine reads nothing meanwhile.
Pure: bytes and times are handed in.
"""

from mcast.net.udp import DATAGRAM_BYTES, DATAGRAM_COST, RECEIVE_BUFFER

BUFFER_SECONDS = 0.25
"""Of a stream find room: 4 MiB held 0.05 s of 724 Mbit/s, and overflowed."""
MAX_RECEIVE_BUFFER = 16 * RECEIVE_BUFFER
"""Bytes asked for at most. They are taken when datagrams wait, not before."""
MEASURED_SECONDS = 0.1
"""A rate over so long makes it grow. A join begins with a burst, which is over in less than a second; over a
shorter time what is read at once after a hiccup would pass for a rate."""
STEADY_SECONDS = 10.0
"""A rate over so long says what is needed of a system that grants little: more than its catching up."""
MORE = 1.25
"""Times what is known to be needed: it is told anew if it has grown by so much."""


class BufferFit:
    """Follows the rate of one stream. The buffer only grows: a rate that was reached may come again."""

    def __init__(self, *, quick: float = MEASURED_SECONDS, steady: float = STEADY_SECONDS) -> None:
        self.size = RECEIVE_BUFFER  # bytes to ask for
        self.needed = 0  # bytes to be granted, so that nothing is lost
        self._quick, self._steady = _Rate(quick), _Rate(steady)

    def look(self, octets: int, now: float) -> bool:
        """Take in how many bytes have come in all; return whether `size` or `needed` has grown."""
        quick, steady = size_for(self._quick.look(octets, now)), size_for(self._steady.look(octets, now))
        has_grown = quick > self.size
        if has_grown:
            self.size = min(2 * quick, MAX_RECEIVE_BUFFER)  # so it does not grow every second by a little
        needed = 2 * (max(quick, steady) if has_grown else steady)
        if not has_grown and needed <= MORE * self.needed:
            return False
        self.needed = max(needed, self.needed)
        return True


class _Rate:
    """Bytes a second, over one period after another."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._octets = 0

    def look(self, octets: int, now: float) -> float:
        """Return the rate of the period that is over now, 0 if none is."""
        since = self._since
        if since is not None and now < since + self._seconds:
            return 0.0
        rate = 0.0 if since is None else (octets - self._octets) / (now - since)
        self._octets, self._since = octets, now
        return rate


def size_for(rate: float) -> int:
    """Return how many bytes to ask for where `rate` bytes come in a second, in full datagrams.

    The kernel grants twice what is asked for, and counts what a datagram takes, not what it holds.
    """
    return min(round(rate * BUFFER_SECONDS * DATAGRAM_COST / DATAGRAM_BYTES / 2), MAX_RECEIVE_BUFFER)
