"""What one receive brought: the RTP datagrams in it, grouped into runs without a gap.

The kernel merges what came from one sender into one buffer of equal segments (UDP_GRO). In the
normal case these are the consecutive datagrams of one stream, and a look at the first and the last
header plus a few strided slices, all at C speed, prove it. Anything else (a gap inside, a foreign
SSRC, an RTCP packet as the shorter last segment, garbage) is taken apart datagram by datagram.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from mcast.errors import WireError
from mcast.wire.mpegts import PACKET
from mcast.wire.rtp import HEADER_SIZE, MP2T, RtpHeader, is_rtcp, payload_packets

_HEADER = struct.Struct("!HHII")  # version, flags and payload type in one; sequence, timestamp, SSRC
_PLAIN_MP2T = 0x8000 | MP2T
_MARKER = 0x0080
_LOW_BYTES = bytes(range(256)) * 3  # low bytes of consecutive sequence numbers, from any start
_SYNC = b"\x47" * 512


@dataclass(frozen=True, slots=True)
class Run:
    """Valid datagrams of the stream with consecutive sequence numbers, all but the last of one size."""

    sequence: int  # of the first, 16 bits
    size: int
    data: bytes

    @property
    def count(self) -> int:
        """Return how many datagrams there are."""
        return -(-len(self.data) // self.size)


@dataclass(slots=True)
class Burst:
    """One receive, sorted."""

    runs: list[Run] = field(default_factory=list)
    rtcp: list[bytes] = field(default_factory=list)
    foreign: int = 0  # valid RTP of another SSRC
    garbage: int = 0  # neither RTP with TS packets nor RTCP


def sort_burst(data: bytes, size: int, ssrc: int) -> Burst:
    """Sort what was received in segments of `size` bytes. Whatever the bytes are, this raises nothing."""
    if is_whole_run(data, size, ssrc):
        return Burst([Run(int.from_bytes(data[2:4], "big"), size, data)])
    burst, kept = Burst(), []
    for at in range(0, len(data), max(size, 1)):
        datagram = data[at : at + size]
        if is_rtcp(datagram):
            burst.rtcp.append(datagram)
        elif (header := _read(datagram)) is None:
            burst.garbage += 1
        elif header.ssrc != ssrc:
            burst.foreign += 1
        else:
            kept.append((header.sequence, datagram))
    burst.garbage += not data
    burst.runs.extend(_join(kept))
    return burst


def is_whole_run(data: bytes, size: int, ssrc: int) -> bool:
    """Return whether all of it is one run: the case that must be fast.

    Looked at are the first and the last header whole, and of every datagram the low byte of its
    sequence number and its first TS packet's sync byte.
    """
    length = len(data)
    if size <= HEADER_SIZE or length < size or (size - HEADER_SIZE) % PACKET:
        return False
    last = (length - 1) // size
    at = last * size
    if length - at <= HEADER_SIZE or (length - at - HEADER_SIZE) % PACKET or size > _MAX_SIZE:
        return False
    kind, sequence, _, source = _HEADER.unpack_from(data, 0)
    last_kind, last_sequence, _, last_source = _HEADER.unpack_from(data, at)
    if kind & ~_MARKER != _PLAIN_MP2T or last_kind & ~_MARKER != _PLAIN_MP2T:
        return False
    if source != ssrc or last_source != ssrc or (last_sequence - sequence) & 0xFFFF != last:
        return False
    low = sequence & 0xFF
    return data[3::size] == _LOW_BYTES[low : low + last + 1] and data[HEADER_SIZE::size] == _SYNC[: last + 1]


_MAX_SIZE = HEADER_SIZE + 7 * PACKET


def _read(datagram: bytes) -> RtpHeader | None:
    try:
        header = RtpHeader.unpack(datagram)
        payload_packets(datagram)
    except WireError:
        return None
    return header


def _join(kept: list[tuple[int, bytes]]) -> Iterator[Run]:
    """Join neighbours in order of arrival: a run ends at a gap and behind a shorter datagram."""
    parts: list[bytes] = []
    start = 0
    for sequence, datagram in kept:
        if parts and not (
            (sequence - start) & 0xFFFF == len(parts) and len(parts[-1]) == len(parts[0]) >= len(datagram)
        ):
            yield Run(start, len(parts[0]), b"".join(parts))
            parts = []
        if not parts:
            start = sequence
        parts.append(datagram)
    if parts:
        yield Run(start, len(parts[0]), b"".join(parts))
