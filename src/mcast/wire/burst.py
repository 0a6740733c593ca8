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
from mcast.wire.rtp import HEADER_SIZE, MAX_PACKETS, MP2T, RtpHeader, is_rtcp, payload_packets

_HEADER = struct.Struct("!HHII")  # version, flags and payload type in one; sequence, timestamp, SSRC
_PLAIN_MP2T = 0x8000 | MP2T
_MARKER = 0x0080
_LOW_BYTES = bytes(range(256)) * 3  # low bytes of consecutive sequence numbers, from any start
_SYNC = b"\x47" * 512
_SIZES = frozenset(HEADER_SIZE + packets * PACKET for packets in range(1, MAX_PACKETS + 1))


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
    return len(data) >= HEADER_SIZE and run_length(data, size, data[2] << 8 | data[3], ssrc) > 0


def run_length(data: bytes, size: int, sequence: int, ssrc: int) -> int:
    """Return how many datagrams there are, if all of it is one run from `sequence` on; 0 if it is not."""
    length = len(data)
    rest = length % size if size in _SIZES else -1
    if length < size or (rest and rest not in _SIZES):
        return 0
    count = length // size + (rest > 0)
    kind, first, _, source = _HEADER.unpack_from(data)
    if kind & ~_MARKER != _PLAIN_MP2T or first != sequence or source != ssrc:
        return 0
    if count > 1:
        kind, last, _, source = _HEADER.unpack_from(data, (count - 1) * size)
        if kind & ~_MARKER != _PLAIN_MP2T or (last - sequence) & 0xFFFF != count - 1 or source != ssrc:
            return 0
    low = sequence & 0xFF
    if data[3::size] != _LOW_BYTES[low : low + count] or data[HEADER_SIZE::size] != _SYNC[:count]:
        return 0
    return count


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
