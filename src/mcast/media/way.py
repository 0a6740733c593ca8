"""What gets through from one parent to its child, by UDP, while their TCP connection is up.

Two faults look like a parent that is cut off, and only a look at what arrives tells them apart:

    nothing ever arrives            a firewall lets TCP through and no UDP
    small datagrams alone arrive    the path's MTU is smaller than media datagrams are: SRs come, and
                                    datagrams of one null packet, and gaps between them that no repair fills

Null packets without gaps mean nothing: the source is idle. Pure: no socket, no clock.
"""

from mcast.media.parent import ParentState
from mcast.wire.rtp import is_rtcp
from mcast.wire.train import NULL_DATAGRAM, only_nulls

VANISHED_SECONDS = 1.0
"""Small datagrams alone for so long, and numbers missing: repair has been tried many times."""
_MEND = "try datagram_packets = 6 at the server"  # of 1,140 bytes: they fit even IPv6's least MTU
_DEAD = (ParentState.SILENT, ParentState.REFUSED)


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

    def doubt(self, state: ParentState | None, lost: int) -> str:
        """Return what seems to be wrong with the way, in a line for people; nothing if all may be well."""
        if self._heard_at is None:
            is_dead = state in _DEAD
            return f"no UDP comes from {self.address} though TCP is up: a firewall?" if is_dead else ""
        if lost <= self._lost:
            return ""
        if self._heard_at - self._media_at < VANISHED_SECONDS:
            return ""
        self.is_open = False
        return f"only small datagrams arrive from {self.address}: MTU? {_MEND}"


def _is_media(data: bytes, size: int) -> bool:
    """Return whether RTP has come that holds more than a null packet."""
    return size >= NULL_DATAGRAM and not is_rtcp(data) and not only_nulls(data, size)
