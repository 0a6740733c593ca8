"""RTP as mcast uses it (RFC 3550, RFC 2250): 12 bytes of header, then 1 to 7 whole TS packets.

No padding, no extension, no contributing sources: nothing between the header and the TS packets, so
a datagram is passed on as it came and its parts are found at fixed offsets. RTP and RTCP share a
port; the second byte tells them apart (RFC 5761, section 4).

`timestamp_at` reads one field from a buffer of many datagrams (a GRO train) without slicing; it checks
nothing.
"""

import struct
from dataclasses import dataclass
from typing import ClassVar, Self

from mcast.errors import WireError
from mcast.wire.codec import Buffer
from mcast.wire.mpegts import PACKET

RTP_VERSION = 2
HEADER_SIZE = 12
MP2T = 33  # payload type of an MPEG-2 transport stream (RFC 3551, table 5)
CLOCK_RATE = 90_000  # Hz (RFC 2250, section 2)
MAX_PACKETS = 7  # TS packets in a datagram: 1,328 bytes, below every Ethernet's 1,500

_PLAIN = RTP_VERSION << 6  # the first byte: version 2, no padding, no extension, no CSRC
_RTCP_TYPES = range(192, 224)  # RFC 5761, section 4: the second byte of RTCP, never of RTP here
_SYNC_BYTES = [b"\x47" * count for count in range(MAX_PACKETS + 1)]

_U32 = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class RtpHeader:
    """The twelve bytes in front of the TS packets (docs/protocol.md, "RTP")."""

    sequence: int  # the low 16 bits of the datagram's number
    timestamp: int  # 90 kHz, modulo 2**32
    ssrc: int
    marker: bool = False
    payload_type: int = MP2T

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!BBHII")

    def pack(self) -> bytes:
        """Return the header's bytes. Raises ValueError if a field does not fit."""
        if not 0 <= self.payload_type < 128:
            raise ValueError(f"payload type {self.payload_type} does not fit into 7 bits")
        second = self.marker << 7 | self.payload_type
        try:
            return self.LAYOUT.pack(_PLAIN, second, self.sequence, self.timestamp, self.ssrc)
        except struct.error as error:
            raise ValueError(f"{self}: {error}") from None

    @classmethod
    def unpack(cls, datagram: Buffer, offset: int = 0) -> Self:
        """Read the header of the datagram at `offset`. Raises WireError, and nothing else."""
        if len(datagram) - offset < HEADER_SIZE:
            raise WireError(f"RTP header cut short: {len(datagram) - offset} of {HEADER_SIZE} bytes")
        first, second, sequence, timestamp, ssrc = cls.LAYOUT.unpack_from(datagram, offset)
        if first != _PLAIN:
            raise WireError(f"RTP starts with {first:#04x}, expected {_PLAIN:#04x} (version 2, no options)")
        return cls(sequence, timestamp, ssrc, second >= 128, second & 127)


def write_header(buffer: bytearray | memoryview, offset: int, number: int, timestamp: int, ssrc: int) -> None:
    """Write a plain header in place; number and timestamp go out modulo 2**16 and 2**32."""
    RtpHeader.LAYOUT.pack_into(buffer, offset, _PLAIN, MP2T, number & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)


def payload_packets(datagram: Buffer, start: int = 0, end: int | None = None) -> int:
    """Count the TS packets of the RTP datagram between `start` and `end`.

    Raises WireError unless its payload type is MP2T and its payload 1 to 7 whole TS packets, each
    with its sync byte.
    """
    payload = (len(datagram) if end is None else end) - start - HEADER_SIZE
    count, rest = divmod(payload, PACKET)
    if rest or not 1 <= count <= MAX_PACKETS:
        raise WireError(f"RTP payload of {payload} bytes, expected 1 to {MAX_PACKETS} times {PACKET}")
    if datagram[start + 1] & 127 != MP2T:
        raise WireError(f"RTP payload type {datagram[start + 1] & 127}, expected {MP2T} (MPEG-TS)")
    first = start + HEADER_SIZE
    if bytes(datagram[first : first + payload : PACKET]) != _SYNC_BYTES[count]:
        raise WireError("RTP payload is no MPEG-TS: a packet without its sync byte 0x47")
    return count


def is_rtcp(datagram: Buffer, offset: int = 0) -> bool:
    """Return whether it is RTCP and not RTP, by the second byte."""
    return len(datagram) > offset + 1 and datagram[offset + 1] in _RTCP_TYPES


def timestamp_at(buffer: Buffer, offset: int) -> int:
    timestamp: int = _U32.unpack_from(buffer, offset + 4)[0]
    return timestamp
