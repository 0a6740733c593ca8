"""How large a receive buffer has to be for a stream: by its rate, which nobody knows before it comes.

The kernel drops what finds no room, and a thread that waits for a busy machine reads nothing meanwhile.
Pure: bytes and times are handed in.
"""

from mcast.net.udp import DATAGRAM_BYTES, DATAGRAM_COST, RECEIVE_BUFFER

BUFFER_SECONDS = 0.25
"""Of a stream find room: 4 MiB held 0.05 s of 724 Mbit/s, and overflowed."""
MAX_RECEIVE_BUFFER = 16 * RECEIVE_BUFFER
"""Bytes asked for at most. They are taken when datagrams wait, not before."""
MEASURED_SECONDS = 1.0


class BufferFit:
    """Follows the rate of one stream. The buffer only grows: a rate that was reached may come again."""

    def __init__(self) -> None:
        self.size = RECEIVE_BUFFER  # bytes to ask for
        self._since: float | None = None
        self._octets = 0

    def look(self, octets: int, now: float) -> bool:
        """Take in how many bytes have come in all; return whether `size` has grown."""
        if self._since is not None and now < self._since + MEASURED_SECONDS:
            return False
        rate = 0.0 if self._since is None else (octets - self._octets) / (now - self._since)
        self._octets, self._since = octets, now
        if (needed := size_for(rate)) <= self.size:
            return False
        self.size = min(2 * needed, MAX_RECEIVE_BUFFER)  # so it does not grow each second by a little
        return True


def size_for(rate: float) -> int:
    """Return how many bytes to ask for where `rate` bytes come in a second, in full datagrams.

    The kernel grants twice what is asked for, and counts what a datagram takes, not what it holds.
    """
    return min(round(rate * BUFFER_SECONDS * DATAGRAM_COST / DATAGRAM_BYTES / 2), MAX_RECEIVE_BUFFER)
