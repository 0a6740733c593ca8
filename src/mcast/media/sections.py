"""The sections of a stream's tables, put together from packets (ISO 13818-1, 2.4.4).

A section lies in one packet or in several; several may lie in one packet. Where the first one of a packet
begins, its pointer field says; behind the last one stand bytes 0xFF. A section whose checksum is wrong is
dropped, as tables come again and again; of a packet that is missing the checksum tells, too, so nobody need
look at the counters.

Pure, and any bytes are taken without a complaint.
"""

import zlib
from dataclasses import dataclass

from mcast.wire.mpegts import PACKET, has_payload_at, payload_start_at

_HEAD = 3  # table id and length
_STUFFING = 0xFF  # a table id that there is not
_WHOLE = 0xFFFF_FFFF  # the checksum of what ends with its checksum
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Section:
    """One section that is whole, and the packets that it lies in."""

    data: bytes
    packets: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        """Return what stands between the eight bytes of the long header and the checksum."""
        return self.data[8:-4]


class Sections:
    """Those of one PID."""

    def __init__(self) -> None:
        self._begun: bytearray | None = None  # a section that goes on in the next packet
        self._packets: list[bytes] = []  # that it lies in so far
        self._last = b""  # the packet before

    def feed(self, packet: bytes) -> list[Section]:
        """Take the PID's next packet; return the sections with a long header that are whole now."""
        if not has_payload_at(packet, 0) or packet == self._last:  # a packet may be sent twice
            return []
        self._last = packet
        start = payload_start_at(packet, 0)
        if packet[1] & 0x80 or packet[3] & 0xC0 or start >= PACKET:  # damaged, scrambled, or empty
            self._drop()
            return []
        if not packet[1] & 0x40:
            return self._go_on(packet, packet[start:])
        first = start + 1 + packet[start]  # behind the pointer field: where a section begins
        found = self._go_on(packet, packet[start + 1 : first])
        self._drop()
        return found + self._begin(packet, packet[first:])

    def _go_on(self, packet: bytes, data: bytes) -> list[Section]:
        """Take in what belongs to the section that has begun."""
        if self._begun is None:
            return []
        self._begun += data
        self._packets.append(packet)
        length = _length(self._begun)
        if length is None or len(self._begun) < length:
            return []
        whole = Section(bytes(self._begun[:length]), tuple(self._packets))
        self._drop()
        return [whole] if _is_right(whole.data) else []

    def _begin(self, packet: bytes, data: bytes) -> list[Section]:
        """Take in the sections that begin in a packet."""
        found: list[Section] = []
        while data and data[0] != _STUFFING:
            length = _length(data)
            if length is None or len(data) < length:
                self._begun, self._packets = bytearray(data), [packet]
                break
            if _is_right(data[:length]):
                found.append(Section(data[:length], (packet,)))
            data = data[length:]
        return found

    def _drop(self) -> None:
        self._begun, self._packets = None, []


def checksum(data: bytes) -> int:
    """Return the CRC-32 of a section (ISO 13818-1, annex A), which takes the bits from the other end."""
    mirrored = zlib.crc32(data.translate(_MIRRORED)) ^ _WHOLE
    return int(f"{mirrored:032b}"[::-1], 2)


def _length(data: bytes | bytearray) -> int | None:
    """Return how long a section is in all; None if that is still to come."""
    return _HEAD + ((data[1] & 0x0F) << 8 | data[2]) if len(data) >= _HEAD else None


def _is_right(section: bytes) -> bool:
    """Return whether it has a long header and its checksum is right."""
    return len(section) >= 12 and section[1] & 0x80 != 0 and checksum(section) == 0
