"""What gets through from one parent to its child, by UDP, while their TCP connection is up.

Two faults look like a parent that is cut off, and only a look at what arrives tells them apart:

    nothing ever arrives            a firewall lets TCP through and no UDP
    small datagrams alone arrive    the path's MTU is smaller than media datagrams are: SRs come, and
                                    datagrams of one null packet, and gaps between them that no repair fills

Null packets without gaps mean nothing: the source is idle. Pure: no socket, no clock.
"""

from collections import deque

from mcast.overlay.events import Feed
from mcast.wire.rtp import is_rtcp
from mcast.wire.train import NULL_DATAGRAM, only_nulls

VANISHED_SECONDS = 1.0
"""Small datagrams alone for so long, and numbers missing: repair has been tried many times."""
_MEND = "try datagram_packets = 6 at the server"  # of 1,140 bytes: they fit even IPv6's least MTU
_SAID = 16
"""Complaints that are remembered, so that each is made once."""
_DEAD = (Feed.SILENT, Feed.REFUSED)


class Way:
    """Which of one parent's datagrams have arrived. The receiver's thread owns it."""

    __slots__ = ("_heard_at", "_lost", "_media_at", "address", "is_open")

    def __init__(self, address: str, now: float) -> None:
        """Expect datagrams from HOST:PORT."""
        self.address = address
        """HOST:PORT, for people."""
        self._heard_at: float | None = None  # anything
        self._media_at = now  # media, or the beginning
        self._lost = 0  # numbers that were missing then
        self.is_open = False  # media has come last

    def on_received(self, data: bytes, size: int, lost: int, now: float) -> None:
        """Take in one receive, in segments of `size`; `lost` of the parent's numbers are missing."""
        self._heard_at = now
        if _is_media(data, size):
            self.on_media(now, lost)

    def on_media(self, now: float, lost: int) -> None:
        """Take in that media has come, lately."""
        self._heard_at = self._media_at = now
        self._lost, self.is_open = lost, True

    @property
    def muteness(self) -> str:
        """Return what it means, in a line for people, that nothing has come so far; nothing if some has."""
        return "" if self._heard_at is not None else _no_udp(self.address)

    def doubt(self, state: Feed | None, lost: int) -> str:
        """Return what seems to be wrong with the way, in a line for people; nothing if all may be well."""
        if self._heard_at is None:
            return self.muteness if state in _DEAD else ""
        if lost <= self._lost:
            return ""
        if self._heard_at - self._media_at < VANISHED_SECONDS:
            return ""
        self.is_open = False
        return f"only small datagrams arrive from {self.address}: MTU? {_MEND}"


class Doubts:
    """What is said of the ways from a content's parents. The receiver's thread owns it."""

    def __init__(self) -> None:
        self.present = ""
        """What seems to be wrong now, for people; or nothing."""
        self._said: deque[str] = deque(maxlen=_SAID)

    def judge(self, way: Way, state: Feed | None, lost: int) -> str:
        """Return a complaint that is to be made now, nothing if there is none.

        Each is made once, however often the parent is tried again, and whatever comes from another one.
        """
        doubt = way.doubt(state, lost)
        if doubt or way.is_open or (not way.muteness and self.present == _no_udp(way.address)):
            self.present = doubt
        if not doubt or doubt in self._said:
            return ""
        self._said.append(doubt)
        return doubt


def _no_udp(address: str) -> str:
    return f"no UDP comes from {address} though TCP is up: a firewall?"


def _is_media(data: bytes, size: int) -> bool:
    """Return whether RTP has come that holds more than a null packet."""
    return size >= NULL_DATAGRAM and not is_rtcp(data) and not only_nulls(data, size)
