"""Packets out of bytes that come from anywhere: a pipe joined in the middle, datagrams with RTP headers.

By these headers the packets are put back into their order (reordering.py). Pure.
"""

from mcast.media.source.reordering import Reordering
from mcast.wire.mpegts import PACKET, SYNC
from mcast.wire.rtp import HEADER_SIZE, MP2T, RtpHeader

_SURE = 3  # packets in a row that must begin with the sync byte, before they are taken for packets
_SYNC = bytes([SYNC])


class Aligner:
    """Finds the packets of a transport stream, and leaves out what is none."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_sure = False
        self._order = Reordering()

    def feed(self, data: bytes) -> bytes:
        """Return the packets that are complete."""
        data, found, at = self._rest + data, [], 0
        while True:
            if not self._is_sure:
                begin = _search(data, at)
                if begin is None:
                    at = max(at, len(data) - _SURE * PACKET)
                    break
                at, self._is_sure = begin, True
            run = _run(data, at)
            found.append(self._order.add(data[at : at + run * PACKET]))
            at += run * PACKET
            if len(data) - at < PACKET:
                break
            header = _rtp_header(data, at)
            if header:
                _, _, sequence, timestamp, ssrc = RtpHeader.LAYOUT.unpack_from(data, at)
                found.append(self._order.begin(RtpHeader(sequence, timestamp, ssrc)))
            at, self._is_sure = at + header, header > 0
        self._rest = data[at:]
        return b"".join(found)


def _run(data: bytes, at: int) -> int:
    """Return how many whole packets stand one behind the other."""
    syncs = data[at : at + (len(data) - at) // PACKET * PACKET : PACKET]
    return len(syncs) - len(syncs.lstrip(_SYNC))


def _search(data: bytes, at: int) -> int | None:
    """Return where packets begin; None if there are none yet."""
    last = len(data) - _SURE * PACKET
    while 0 <= (at := data.find(_SYNC, at)) <= last:
        if data[at : at + _SURE * PACKET : PACKET] == _SYNC * _SURE:
            return at
        at += 1
    return None


def _rtp_header(data: bytes, at: int) -> int:
    """Return the length of the RTP header that stands here (RFC 3550, 5.1); 0 if there is none.

    That of a packet without an extension: senders of transport streams use none.
    """
    is_rtp = data[at] & 0xF0 == 0x80 and data[at + 1] & 0x7F == MP2T
    return HEADER_SIZE + 4 * (data[at] & 0x0F) if is_rtp else 0
